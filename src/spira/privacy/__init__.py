"""Keeping people private: pseudonyms, encryption at the objects' edge."""

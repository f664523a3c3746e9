"""Technologies behind small ports: objects, documents, broker. Knows no subsystem."""

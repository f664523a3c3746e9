"""From a hospital's request to one result of record."""

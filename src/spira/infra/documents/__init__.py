"""JSON documents with unique keys and compare-and-set: `port` is the specification."""

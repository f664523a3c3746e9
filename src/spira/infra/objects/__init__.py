"""Immutable blobs by key: `port` is the specification, one module per technology."""

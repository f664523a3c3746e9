"""SPIRA: screening for respiratory insufficiency from a few seconds of speech."""

__version__ = "0.1.0"

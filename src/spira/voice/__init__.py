"""The science that training and serving share to the last bit: from bytes to a score. No I/O beyond bytes."""

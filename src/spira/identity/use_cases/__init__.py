"""What identity does, as plain functions over ports."""

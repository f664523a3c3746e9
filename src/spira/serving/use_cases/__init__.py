"""What serving does, as plain functions over ports."""

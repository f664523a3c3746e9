"""The steps of training as plain functions."""

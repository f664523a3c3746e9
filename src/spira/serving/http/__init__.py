"""Models, inferences and results over HTTP."""

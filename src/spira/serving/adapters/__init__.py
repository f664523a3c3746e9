"""Technologies of serving: models from the MLflow registry."""

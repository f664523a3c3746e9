"""One module per process: the only place that reads the environment, chooses adapters and mounts blueprints."""

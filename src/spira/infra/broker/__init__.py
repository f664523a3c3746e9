"""A durable log with partitions and consumer groups: `port` is the specification."""

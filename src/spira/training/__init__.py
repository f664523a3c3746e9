"""From recordings and labels to a registered model with its evidence."""

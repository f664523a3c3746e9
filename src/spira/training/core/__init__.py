"""Values and decisions of training: configuration, data set, splits, figures. Pure."""

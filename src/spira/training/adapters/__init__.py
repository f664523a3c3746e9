"""Technologies behind training: files of manifests and recordings, plots, report, MLflow."""

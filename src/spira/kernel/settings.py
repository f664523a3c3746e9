"""Typed settings. Classes live next to the process they configure; only `spira.apps` makes instances."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Base of every process's settings: read once from `SPIRA_*`, immutable, each field described.

    Values come from the environment and from arguments only; a file is never read silently.
    """

    model_config = SettingsConfigDict(env_prefix="SPIRA_", frozen=True, extra="ignore", env_file=None)


class StoreSettings(Settings):
    """Which stores and which broker; the embedded ones lie under `./var`."""

    objects_url: str = "file:var/objects"
    documents_url: str = "sqlite:var/documents.sqlite3"
    broker_url: str = "sqlite:var/broker.sqlite3"
    mlflow_tracking_uri: str = "sqlite:///var/mlflow/mlflow.db"
    mlflow_artifact_root: str = "var/mlflow/artifacts"

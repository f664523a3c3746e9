"""Settings of the serving processes: `SPIRA_*`, described once, shown in each process's help."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from spira.kernel.settings import Settings, StoreSettings


class ApiSettings(StoreSettings):
    """The serving API."""

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    api_workers: int = Field(default=2, ge=1, description="Processes")
    api_threads: int = Field(default=8, ge=1, description="Threads of each process")
    keys_dir: Path = Field(default=Path("var/keys"), description="Ed25519 keys jwt-*.pem; made when there is none")
    token_minutes: float = Field(default=30, gt=0, description="Life of an access token")
    max_recording_bytes: int = Field(default=32 * 2**20, gt=0, description="Largest recording")
    max_request_bytes: int = Field(default=100 * 2**20, gt=0, description="Largest request")
    answer_within_s: float = Field(default=600, gt=0, description="An inference without an answer fails after this")
    trusted_proxies: int = Field(default=0, ge=0, description="Reverse proxies in front that set X-Forwarded-For")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")


class WorkerSettings(StoreSettings):
    """One worker of one model."""

    model: str = Field(default="", description="Name of the model to answer for")
    model_version: str = Field(default="", description="Registry version to load before the first request")
    worker_batch: int = Field(default=8, ge=1, description="Most requests taken at once")
    heartbeat_file: Path | None = Field(default=None, description="Touched while the process is well")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")


class ResultsSettings(StoreSettings):
    """The results process: outbox relay, result writer, deadline sweeper."""

    relay_every_s: float = Field(default=0.05, gt=0, description="Between two looks for accepted requests")
    sweep_every_s: float = Field(default=1.0, gt=0, description="Between two looks for requests beyond their deadline")
    heartbeat_file: Path | None = Field(default=None, description="Touched while the process is well")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")


class ClientSettings(Settings):
    """`spira infer` and `spira users create`."""

    url: str = Field(default="http://127.0.0.1:8000", description="Where the API is")
    username: str = Field(default="", description="Who signs in")
    password: SecretStr | None = Field(default=None, description="Their password")


class PlatformSettings(StoreSettings):
    """Everything as local processes."""

    var_dir: Path = Field(default=Path("var"), description="Folder of pid files, logs and keys")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the API; 0 takes a free one")
    mlflow_port: int = Field(default=5000, ge=0, le=65535, description="Port of the MLflow UI; 0 takes a free one")

    def under(self, folder: Path) -> PlatformSettings:
        """The same with all embedded stores in `folder`."""
        return self.model_copy(
            update={
                "var_dir": folder,
                "objects_url": f"file:{folder}/objects",
                "documents_url": f"sqlite:{folder}/documents.sqlite3",
                "broker_url": f"sqlite:{folder}/broker.sqlite3",
                "mlflow_tracking_uri": f"sqlite:///{folder}/mlflow/mlflow.db",
                "mlflow_artifact_root": f"{folder}/mlflow/artifacts",
            }
        )


def described(kind: type[Settings]) -> str:
    """The environment variables of `kind` for the end of a command's help, one a line."""
    prefix = kind.model_config.get("env_prefix", "")
    lines = [
        f"{prefix}{name.upper()} (default {field.default}): {field.description or 'see the documentation'}"
        for name, field in kind.model_fields.items()
    ]
    return "Environment:\n\n" + "\n\n".join(lines)

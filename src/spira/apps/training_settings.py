"""What the training commands and steps take from the environment, and where a workspace keeps things."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import Field, SecretStr

from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.settings import StoreSettings

PROJECT = "spira"
KEY_FILE = "pseudonym.key"
_KEY_BYTES = 32


class TrainingSettings(StoreSettings):
    """Stores of training. With a workspace, what the environment does not name lies below that folder."""

    pseudonym_key: SecretStr = Field(default=SecretStr(""), description="64 hexadecimal digits; keys the pseudonyms")
    image: str = Field(default="", description="digest of the container image, kept in every step's manifest")
    checkpoint_every_s: float = Field(default=30.0, ge=0.0, description="seconds between two checkpoints of a fit")


class ReceiptSettings(TrainingSettings):
    """Where a process that a run started says what came of it."""

    step_receipt: str = Field(default="", description="object key of the receipt that is written at the end")
    step_label: str = Field(default="", description="how the run calls this piece; empty: the step's name")


class StepSettings(ReceiptSettings):
    """What a step's process is told, beside the stores."""

    step_config: str = Field(description="object key of the training configuration")
    step_parameters: dict[str, int] = Field(default={}, description='such as {"fold": 1}')
    step_inputs: dict[str, str] = Field(default={}, description="object keys of the manifests it reads, by label")
    step_outside: dict[str, dict[str, str]] = Field(default={}, description="location and digest of other inputs")
    step_resume: bool = Field(default=False, description="go on after the last checkpoint")
    step_force: bool = Field(default=False, description="do it again although it is done")
    step_progress_fd: int | None = Field(default=None, description="descriptor for progress as JSON lines")


def in_workspace(workspace: Path) -> TrainingSettings:
    """Settings for `workspace`; what the environment names wins. Makes the workspace's pseudonym key on first use."""
    given = TrainingSettings()
    folder = workspace.absolute()
    places = {
        "objects_url": f"file:{folder}/objects",
        "mlflow_tracking_uri": f"sqlite:///{folder}/mlflow/mlflow.db",
        "mlflow_artifact_root": f"{folder}/mlflow/artifacts",
        "pseudonym_key": SecretStr(""),
    }
    chosen = {name: value for name, value in places.items() if name not in given.model_fields_set}
    if not given.pseudonym_key.get_secret_value():
        chosen["pseudonym_key"] = SecretStr(_key_file(folder / KEY_FILE))
    return given.model_copy(update=chosen)


def pseudonym_key(settings: TrainingSettings) -> bytes:
    """Raises InvalidInput when there is no key or it is none."""
    text = settings.pseudonym_key.get_secret_value()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < _KEY_BYTES:
        what = "is missing" if not text else f"is not at least {2 * _KEY_BYTES} hexadecimal digits"
        hint = f"make one with: {PROJECT} train, which keeps it in its workspace, or openssl rand -hex {_KEY_BYTES}"
        raise InvalidInput.of([Problem(where="SPIRA_PSEUDONYM_KEY", what=what, hint=hint)])
    return key


def environment_of(settings: TrainingSettings) -> dict[str, str]:
    """The whole environment of a step's process on this machine.

    Numerical libraries get one thread each, unless the environment says otherwise: steps run side by side.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SPIRA_STEP_")}  # noqa: TID251 - an entry point hands it on
    return (
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        | inherited
        | {
            "SPIRA_OBJECTS_URL": settings.objects_url,
            "SPIRA_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
            "SPIRA_MLFLOW_ARTIFACT_ROOT": settings.mlflow_artifact_root,
            "SPIRA_PSEUDONYM_KEY": settings.pseudonym_key.get_secret_value(),
        }
    )


def _key_file(file: Path) -> str:
    """The key in `file`, which is made, readable by its owner alone, when it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as sink:
        key = secrets.token_hex(_KEY_BYTES)
        sink.write(key + "\n")
    return key

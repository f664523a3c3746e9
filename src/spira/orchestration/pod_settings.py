"""What an Airflow installation says about its cluster, in one Airflow variable: `spira_training`, as JSON.

It is read when a task runs, never when a DAG file is parsed. As an environment variable of Airflow's processes:
AIRFLOW_VAR_SPIRA_TRAINING='{"image": "registry/spira/ml@sha256:…", "objects_url": "s3://bucket/prefix?endpoint=…"}'.
Credentials of the object store come from boto3's ordinary sources, such as AWS_ACCESS_KEY_ID, never from here.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spira.kernel.errors import InvalidInput, Problem
from spira.orchestration.sizes import SIZES, Size

VARIABLE = "spira_training"
_BY_DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")


class PodSettings(BaseModel):
    """Where step pods run and what they are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    """Image of the steps, by digest: a tag may mean other code tomorrow."""
    allow_tags: bool = False
    """For development alone: take an image by its tag."""
    objects_url: str
    """The object store as Airflow's workers reach it; it is the one that the pods' ConfigMap names."""
    broker_url: str = ""
    """Where accepted data sets are announced; empty: nobody listens, runs are started by people or over REST."""
    namespace: str = "spira-training"
    config_map: str = "spira-training"
    """Becomes the pods' environment: addresses of the stores."""
    secret: str = "spira-training"  # noqa: S105 - the name of a Kubernetes Secret
    """Becomes the pods' environment: the pseudonyms' key and the stores' credentials."""
    service_account: str = "spira-step"
    image_pull_secrets: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    """More variables for every step, such as OMP_NUM_THREADS."""
    sizes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Changes to the sizes of steps: {"train": {"memory": "6Gi"}}; see `spira.orchestration.sizes`."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    gpu_node_selector: dict[str, str] = Field(default_factory=dict)
    """For pods that ask for a GPU, beside `node_selector`."""
    gpu_tolerations: tuple[dict[str, str], ...] = ({"key": "nvidia.com/gpu", "operator": "Exists"},)

    def size_of(self, step: str, *, gpus: int) -> Size:
        """Raises InvalidInput when the installation's change names no field of a size."""
        size = SIZES[step]
        try:
            return size.changed(self.sizes.get(step, {}) | ({"gpus": gpus} if gpus else {}))
        except TypeError as error:
            raise InvalidInput.of([Problem(where=f"{VARIABLE}.sizes.{step}", what=str(error))]) from error


def read_pod_settings(text: str) -> PodSettings:
    """Of the variable's text; raises InvalidInput that names the variable and the field."""
    if not text:
        hint = 'set it to {"image": "…@sha256:…", "objects_url": "s3://…"}'
        raise InvalidInput.of([Problem(where=f"Airflow variable {VARIABLE}", what="is not set", hint=hint)])
    try:
        settings = PodSettings.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(where=".".join([f"Airflow variable {VARIABLE}", *map(str, one["loc"])]), what=one["msg"])
            for one in error.errors()
        ) from error
    unknown = sorted(set(settings.sizes) - set(SIZES))
    if unknown:
        what = f"names no step: {', '.join(unknown)}"
        raise InvalidInput.of([Problem(where=f"Airflow variable {VARIABLE}.sizes", what=what)])
    if not settings.allow_tags and not _BY_DIGEST.fullmatch(settings.image):
        hint = "push it and name NAME@sha256:…; allow_tags: true is for development"
        raise InvalidInput.of(
            [Problem(where=f"Airflow variable {VARIABLE}.image", what=f"{settings.image!r} has no digest", hint=hint)]
        )
    return settings

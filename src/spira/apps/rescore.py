"""`spira step rescore`: the pod that tests the model in production on a newer data set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spira.apps.evaluation_run import LABEL, EvaluationRequest, run_evaluation
from spira.apps.prepare import PrepareSettings, manifest_of
from spira.apps.receipts import leave_refusal, settings_of
from spira.infra.registry_aliases import version_behind
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, NotFound, Problem, SpiraError

ALIASES = ("production", "challenger")
"""The version that is judged: the champion, and before there is one the newest candidate."""


class RescoreParameters(BaseModel):
    """The form of an evaluation run; the DAG shows the same fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    """Name in the registry."""
    manifest: str | None = None
    noise: str | None = None
    overrides: tuple[str, ...] = ()
    allow_seen: bool = False


def rescore() -> dict[str, Any]:
    """Figures and gates of the model on the data set; the receipt is left like every step's."""
    settings = settings_of(PrepareSettings)
    objects = open_objects(settings.objects_url)
    try:
        given = read_rescore_parameters(settings.run_parameters)
        request = EvaluationRequest(
            model=version_of(settings, given.model),
            manifest=manifest_of(given.manifest or None, objects),
            noise=given.noise or None,
            overrides=given.overrides,
            allow_seen=given.allow_seen,
        )
    except SpiraError as error:
        leave_refusal(error, label=settings.step_label or LABEL, settings=settings, objects=objects)
        raise
    return run_evaluation(request)


def read_rescore_parameters(text: str) -> RescoreParameters:
    """Raises InvalidInput that names every field of the form that is wrong."""
    try:
        return RescoreParameters.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(where=".".join(map(str, one["loc"])) or "the run's parameters", what=one["msg"])
            for one in error.errors()
        ) from error


def version_of(settings: PrepareSettings, name: str) -> str:
    """NAME/VERSION of the champion, else of the challenger; raises NotFound when there is neither."""
    for alias in ALIASES:
        found = version_behind(settings.mlflow_tracking_uri, settings.mlflow_artifact_root, name=name, alias=alias)
        if found is not None:
            return f"{found.name}/{found.version}"
    raise NotFound(f"model: {name!r} has no version with the alias {' or '.join(ALIASES)}")

"""`spira prepare`: the first pod of a run turns what a person filled in into the plan that all later pods follow.

Everything that can be wrong with a form is found here, before anything is computed: unknown presets, options that
contradict each other, data sets that are not there or not the ones that were frozen.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from spira.apps.receipts import settings_of, with_receipt
from spira.apps.training_inputs import folds_of_manifest, location_of, outside_inputs
from spira.apps.training_run import TrainRequest, config_of_request
from spira.apps.training_settings import ReceiptSettings
from spira.infra.objects.port import Objects
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem
from spira.kernel.ids import sha256_hex
from spira.orchestration.manifest import Outside, digest_of
from spira.orchestration.planning import Planned, plan
from spira.orchestration.process import store_config
from spira.orchestration.receipts import Receipt
from spira.orchestration.steps import STEPS
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.config import TrainingConfig
from spira.training.use_cases.accept_dataset import last_accepted, read_accepted

_ACCEPTED = "dataset:"


class RunParameters(BaseModel):
    """The form of a training run; the DAG shows the same fields. Unset ones leave the preset as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str | None = None
    """Data set: location of its manifest, or dataset:SERIES for the last accepted one of a series."""
    noise: str | None = None
    evaluation: str | None = None
    """Frozen data set that the model is judged on beside its held-out people."""
    evaluation_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """What the frozen manifest must hash to."""
    preset: str = "robust"
    overrides: tuple[str, ...] = ()
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    members: int | None = Field(default=None, ge=1, le=32)
    """Networks of the ensemble, each with a seed of its own."""
    cross_validate: bool = False
    shards: int = Field(default=1, ge=1, le=64)
    parts: int = Field(default=1, ge=1, le=32)
    gpus: int = Field(default=0, ge=0, le=8)
    allow_cache: bool = True
    allow_label_dependent_noise: bool = False
    model_name: str | None = None

    @field_validator("manifest", "noise", "evaluation", "evaluation_sha256", "model_name", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: Any) -> Any:
        """A form sends an empty text for a field that was left alone."""
        return value or None


class PrepareSettings(ReceiptSettings):
    """What `spira prepare` is told, beside the stores."""

    run_parameters: str = Field(description="the run's form as JSON")


def prepare() -> dict[str, Any]:
    """Store configuration and plan; gives the receipt as JSON values."""
    settings = settings_of(PrepareSettings)
    receipt = with_receipt(settings, "prepare", lambda objects: _prepare(settings, objects))
    return receipt.model_dump(mode="json")


def _prepare(settings: PrepareSettings, objects: Objects) -> Receipt:
    given = read_parameters(settings.run_parameters)
    config = config_of_parameters(given)
    _check_frozen(given)
    manifest = manifest_of(given.manifest, objects)
    outside = outside_inputs(
        settings,
        config.dataset,
        manifest=manifest,
        noise=given.noise,
        evaluation=given.evaluation,
        model=config.publication.model_name,
    )
    folds = folds_of_manifest(manifest, config)
    steps = plan(folds=folds, cross_validate=given.cross_validate, shards=given.shards, parts=given.parts)
    told = {
        "config": store_config(config.model_dump(mode="json"), objects=objects),
        "outside": _as_values(outside),
        "steps": pieces_of(steps),
        "model": config.publication.model_name,
        "folds": folds,
    }
    key = f"plans/{digest_of(told)}.json"
    objects.put(key, json.dumps(told, indent=1).encode())
    return Receipt(label="prepare", manifest=key, told=told)


def read_parameters(text: str) -> RunParameters:
    """Raises InvalidInput that names every field of the form that is wrong."""
    try:
        return RunParameters.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(where=".".join(map(str, one["loc"])) or "the run's parameters", what=one["msg"])
            for one in error.errors()
        ) from error


def manifest_of(given: str | None, objects: Objects) -> str:
    """Where the manifest lies; raises InvalidInput without one and NotFound for a series that nothing is in."""
    if given is None:
        hint = "give its location, such as s3://bucket/rows.csv, or dataset:SERIES"
        raise InvalidInput.of([Problem(where="manifest", what="is missing", hint=hint)])
    if not given.startswith(_ACCEPTED):
        return given
    series = given.removeprefix(_ACCEPTED)
    key = last_accepted(series, store=objects)
    if key is None:
        raise NotFound(f"manifest: no data set of the series {series!r} was accepted; see spira data accept")
    return read_accepted(key, store=objects).manifest


def config_of_parameters(given: RunParameters) -> TrainingConfig:
    """The preset with the form's settings; a setting that is also overridden by hand contradicts."""
    settings = {
        "seed": given.seed,
        "network.members": given.members,
        "training.device": "cuda" if given.gpus else None,
        "augmentation.allow_label_dependent": True if given.allow_label_dependent_noise else None,
    }
    named = {text.partition("=")[0]: text for text in given.overrides}
    chosen = {name: value for name, value in settings.items() if value is not None}
    problems = [
        Problem(where=f"overrides, {named[name]}", what=f"contradicts the form's own field for {name}", hint="give one")
        for name, value in chosen.items()
        if name in named and named[name] != f"{name}={json.dumps(value)}"
    ]
    if problems:
        raise InvalidInput.of(problems)
    overrides = [*given.overrides, *(f"{name}={json.dumps(value)}" for name, value in chosen.items())]
    request = TrainRequest(
        manifest=given.manifest or "", preset=given.preset, overrides=tuple(overrides), name=given.model_name
    )
    config = config_of_request(request)
    if given.parts > config.network.members:
        what = f"{given.parts} parts for {config.network.members} members"
        raise InvalidInput.of([Problem(where="parts", what=what, hint="a part trains at least one member")])
    return config


def pieces_of(steps: tuple[Planned, ...]) -> dict[str, list[dict[str, Any]]]:
    """The plan by step, as tasks are mapped over it."""
    return {
        step.name: [
            {"label": one.label, "parameters": dict(one.parameters), "after": list(one.after)}
            for one in steps
            if one.step.name == step.name
        ]
        for step in STEPS
    }


def _check_frozen(given: RunParameters) -> None:
    if given.evaluation is None:
        if given.evaluation_sha256 is not None:
            raise InvalidInput.of([Problem(where="evaluation", what="is missing", hint="its digest was given")])
        return
    if given.evaluation_sha256 is None:
        return
    found = sha256_hex(LocatedRecordings().read(location_of(given.evaluation)))
    if found != given.evaluation_sha256:
        raise Conflict(f"evaluation: {given.evaluation} has the digest {found}, not the frozen one")


def _as_values(outside: dict[str, Outside]) -> dict[str, dict[str, str]]:
    return {name: one.model_dump() for name, one in outside.items()}

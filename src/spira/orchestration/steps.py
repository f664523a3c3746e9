"""The training steps as data: what each does, reads and depends on.

The local runner, the pods of a cluster and the DAG all read this list; none of them knows a step by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spira.kernel.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unit of work with one manifest."""

    name: str
    does: str
    """What a person reads beside the progress bar."""
    sections: tuple[str, ...]
    """Parts of the training configuration that change its outputs; the seed counts as one."""
    reads: tuple[str, ...] = ()
    """Steps whose manifests are its inputs: all shards and parts of its own fold, or of fold 0 where it has none;
    `NAME@*` stands for all folds."""
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of a step that it reads, the outputs that it takes, where these are not all: what else changes there, such as
    a report for people, is no reason to do its work again."""
    outside: tuple[str, ...] = ()
    """Inputs from outside the object store: locations with a digest."""
    code: tuple[str, ...] = ()
    """Files and folders under the package whose text decides its outputs."""
    each: Literal["run", "shard", "part", "fold"] = "run"
    """What it is done once for: the run; each shard of the recordings; each part of the members of each held-out
    fold; each held-out fold."""

    def taken(self, label: str) -> tuple[str, ...] | None:
        """The outputs that it takes of the piece `label` of an earlier step; None: all."""
        return self.takes.get(label.partition("@")[0])


_KERNEL = ("apps/steps/bench.py", "kernel/errors.py", "kernel/ids.py", "kernel/messages.py")
_DOOR = (
    *_KERNEL,
    "voice/containers.py",
    "voice/decode.py",
    "voice/quality.py",
    "training/core/dataset.py",
    "training/core/drift.py",
    "training/core/verdicts.py",
)
_COHORT = ("training/core/cohort.py", "training/core/splitters.py", "training/ports.py")
_SCIENCE = (*_KERNEL, "voice")
_CONFIG = (
    "training/core/balance.py",
    "training/core/battery.py",
    "training/core/config.py",
    "training/core/evaluation.py",
    "training/core/noise.py",
    "training/core/strict_json.py",
    "training/core/v1_grid.py",
)
_MEASURES = (
    "training/core/bootstrap.py",
    "training/core/discrimination.py",
    "training/core/figures.py",
    "training/core/reliability.py",
)
_FIT = (*_MEASURES, "training/core/calibration.py", "training/core/member.py")
_WEIGHING = ("training/core/propensity.py", "training/core/weighted.py", "training/core/weighing.py")
_BIAS = (
    "training/core/battery_gates.py",
    "training/core/perturb.py",
    "training/core/probes.py",
    "training/core/propensity.py",
    "training/core/shifts.py",
    "training/core/weighing.py",
    "training/core/weighted.py",
    "training/use_cases/battery.py",
    "training/use_cases/probe.py",
)
_EVIDENCE = (
    *_MEASURES,
    *_BIAS,
    "training/core/comparison.py",
    "training/core/evidence.py",
    "training/core/gates.py",
    "training/core/plain.py",
    "training/core/slices.py",
    "training/use_cases/assess.py",
    "training/use_cases/baseline.py",
    "training/use_cases/champion.py",
    "training/use_cases/evaluate.py",
)
_REGISTERED = ("apps/steps/champion.py", "infra/mlflow_registry.py")
_REPORT = ("training/adapters/plots.py", "training/adapters/report.py")

STEPS: tuple[Step, ...] = (
    Step(
        name="validate",
        does="check recordings and labels",
        sections=("dataset",),
        outside=("dataset", "noise", "evaluation", "accepted", "pseudonyms"),
        code=(
            "apps/steps/validate.py",
            *_DOOR,
            *_COHORT,
            "kernel/clock.py",
            "privacy/pseudonyms.py",
            "training/core/census.py",
            "training/core/fingerprints.py",
            "training/core/probes.py",
            "training/core/schema.py",
            "training/use_cases/copies.py",
            "training/use_cases/listen.py",
            "training/use_cases/sources.py",
            "training/use_cases/validate.py",
            "training/adapters/data_report.py",
            "training/adapters/manifests.py",
            "training/use_cases/accept_dataset.py",
        ),
    ),
    Step(
        name="features",
        does="compute features, clean and with noise",
        sections=("windows", "features", "augmentation", "seed"),
        reads=("validate",),
        takes={"validate": ("cohort.json",)},
        code=(
            "apps/steps/features.py",
            *_DOOR,
            *_COHORT,
            *_SCIENCE,
            "training/core/noise.py",
            "training/use_cases/features.py",
        ),
        each="shard",
    ),
    Step(
        name="train",
        does="fit the networks",
        sections=("balance", "augmentation", "features", "network", "split", "training", "seed"),
        reads=("validate", "features"),
        takes={"validate": ("cohort.json",)},
        code=(
            "apps/steps/train.py",
            "apps/steps/checkpoints.py",
            "apps/steps/train_ranks.py",
            *_DOOR,
            *_COHORT,
            *_SCIENCE,
            *_CONFIG,
            *_FIT,
            *_WEIGHING,
            "training/adapters/torch_ranks.py",
            "training/core/compute.py",
            "training/core/fit.py",
            "training/core/objective.py",
            "training/core/probes.py",
            "training/core/ranks.py",
            "training/use_cases/material.py",
            "training/use_cases/probe.py",
            "training/use_cases/shards.py",
            "training/core/compensation.py",
            "training/use_cases/compensate.py",
            "training/use_cases/train.py",
        ),
        each="part",
    ),
    Step(
        name="ensemble",
        does="join the networks, calibrate, choose the threshold",
        sections=(
            "balance",
            "calibration",
            "dataset",
            "windows",
            "features",
            "augmentation",
            "network",
            "split",
            "training",
            "seed",
        ),
        reads=("validate", "train"),
        takes={"validate": ("cohort.json",)},
        code=(
            "apps/steps/ensemble.py",
            *_DOOR,
            *_COHORT,
            *_SCIENCE,
            *_CONFIG,
            *_FIT,
            "training/use_cases/ensemble.py",
        ),
        each="fold",
    ),
    Step(
        name="evaluate",
        does="score people the model never saw",
        sections=("balance", "battery", "evaluation", "split", "seed"),
        reads=("validate", "ensemble"),
        takes={"validate": ("cohort.json", "evaluation.json")},
        outside=("champion", "pseudonyms"),
        code=("apps/steps/evaluate.py", *_DOOR, *_COHORT, *_SCIENCE, *_CONFIG, *_EVIDENCE, *_REPORT, *_REGISTERED),
    ),
    Step(
        name="cross-validate",
        does="pool the scores of all held-out folds",
        sections=("balance", "battery", "evaluation", "split", "seed"),
        reads=("validate", "ensemble@*"),
        takes={"validate": ("cohort.json", "evaluation.json")},
        code=(
            "apps/steps/cross_validate.py",
            *_DOOR,
            *_COHORT,
            *_SCIENCE,
            *_CONFIG,
            *_EVIDENCE,
            *_REPORT,
        ),
    ),
    Step(
        name="publish",
        does="log and register the model",
        sections=("publication",),
        reads=("validate", "ensemble", "evaluate"),
        outside=("registry",),
        code=(
            "apps/steps/publish.py",
            *_DOOR,
            *_SCIENCE,
            "training/ports.py",
            "infra/mlflow_registry.py",
            "training/adapters/card.py",
            "training/adapters/mlflow_tracker.py",
            "training/adapters/pyfunc_model.py",
            "training/core/card.py",
            "training/use_cases/publish.py",
        ),
    ),
)

RESCORE = Step(
    name="rescore",
    does="test a finished model on a data set that it never saw",
    sections=("balance", "battery", "dataset", "evaluation", "seed"),
    outside=("model", "champion", "dataset", "noise", "pseudonyms"),
    code=(
        "apps/steps/rescore.py",
        *STEPS[0].code,
        *_DOOR,
        *_COHORT,
        *_SCIENCE,
        *_CONFIG,
        *_EVIDENCE,
        *_REPORT,
        *_REGISTERED,
    ),
)
"""No step of a training run: `spira evaluate` does it alone."""


def step_named(name: str) -> Step:
    """Raises NotFound, with the names that exist."""
    for step in (*STEPS, RESCORE):
        if step.name == name:
            return step
    raise NotFound(f"step {name!r} does not exist; there are {', '.join(step.name for step in STEPS)}")

"""The training steps as data: what each does, reads and depends on.

The local runner, the pods of a cluster and the DAG all read this list; none of them knows a step by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    """Steps whose manifests are its inputs. `NAME@*` stands for all folds of a step."""
    outside: tuple[str, ...] = ()
    """Inputs from outside the object store: locations with a digest."""
    code: tuple[str, ...] = ()
    """Files and folders under the package whose text decides its outputs."""
    per_fold: bool = False
    """Whether it is run once per held-out fold, with the parameter `fold`."""


WIRING = "apps/training_steps.py"
_KERNEL = (WIRING, "kernel/errors.py", "kernel/ids.py", "kernel/messages.py")
_DOOR = (*_KERNEL, "voice/containers.py", "voice/decode.py", "voice/quality.py", "training/core/dataset.py")
_COHORT = ("training/core/cohort.py", "training/ports.py")
_SCIENCE = (*_KERNEL, "voice")
_CONFIG = ("training/core/config.py", "training/core/strict_json.py", "training/core/noise.py")
_FIGURES = ("training/core/figures.py", "training/use_cases/evaluate.py")
_REPORT = ("training/adapters/plots.py", "training/adapters/report.py")

STEPS: tuple[Step, ...] = (
    Step(
        name="validate",
        does="check recordings and labels",
        sections=("dataset",),
        outside=("dataset", "noise", "pseudonyms"),
        code=(
            *_DOOR,
            *_COHORT,
            "privacy/pseudonyms.py",
            "training/use_cases/validate.py",
            "training/adapters/manifests.py",
        ),
    ),
    Step(
        name="features",
        does="compute features, clean and with noise",
        sections=("windows", "features", "augmentation", "seed"),
        reads=("validate",),
        code=(*_DOOR, *_COHORT, *_SCIENCE, "training/core/noise.py", "training/use_cases/features.py"),
    ),
    Step(
        name="train",
        does="fit, calibrate and choose the threshold",
        sections=(
            "dataset",
            "windows",
            "features",
            "augmentation",
            "network",
            "split",
            "training",
            "calibration",
            "seed",
        ),
        reads=("validate", "features"),
        code=(
            *_DOOR,
            *_COHORT,
            *_SCIENCE,
            *_CONFIG,
            "training/core/calibration.py",
            "training/core/figures.py",
            "training/core/fit.py",
            "training/use_cases/train.py",
        ),
        per_fold=True,
    ),
    Step(
        name="evaluate",
        does="score people the model never saw",
        sections=("split", "evaluation", "seed"),
        reads=("validate", "train"),
        code=(*_DOOR, *_COHORT, *_SCIENCE, *_CONFIG, *_FIGURES, *_REPORT),
    ),
    Step(
        name="cross-validate",
        does="pool the scores of all held-out folds",
        sections=("split", "evaluation", "seed"),
        reads=("validate", "train@*"),
        code=(*_DOOR, *_COHORT, *_SCIENCE, *_CONFIG, *_FIGURES, *_REPORT, "training/use_cases/baseline.py"),
    ),
    Step(
        name="publish",
        does="log and register the model",
        sections=("publication",),
        reads=("validate", "train", "evaluate"),
        outside=("registry",),
        code=(
            *_DOOR,
            *_SCIENCE,
            "training/ports.py",
            "infra/mlflow_registry.py",
            "training/adapters/mlflow_tracker.py",
            "training/adapters/pyfunc_model.py",
            "training/use_cases/publish.py",
        ),
    ),
)


def step_named(name: str) -> Step:
    """Raises NotFound, with the names that exist."""
    for step in STEPS:
        if step.name == name:
            return step
    raise NotFound(f"step {name!r} does not exist; there are {', '.join(step.name for step in STEPS)}")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A step of one run: `train@2` leaves fold 2 out; `train`, which makes the published model, fold 0."""

    label: str
    step: Step
    parameters: Mapping[str, int]
    after: tuple[str, ...]


def plan(*, folds: int, cross_validate: bool) -> tuple[Planned, ...]:
    """The steps of a run in an order that can be executed from left to right.

    The model that is shown leaves fold 0 out. With `cross_validate` the other folds are trained too, and the
    pooled figure is made before publishing, so that it travels with the model.
    """
    labels = {"train": "train"} | ({f"train@{fold}": "train" for fold in range(1, folds)} if cross_validate else {})
    planned = []
    for step in STEPS:
        if step.name == "cross-validate" and not cross_validate:
            continue
        for label in [label for label, name in labels.items() if name == step.name] or [step.name]:
            fold = int(label.partition("@")[2] or 0)
            after = tuple(one for name in step.reads for one in _expand(name, labels))
            if step.name == "publish" and cross_validate:
                after += ("cross-validate",)
            planned.append(
                Planned(label=label, step=step, parameters={"fold": fold} if step.per_fold else {}, after=after)
            )
    return tuple(planned)


def _expand(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels) if name == "train@*" else (name,)

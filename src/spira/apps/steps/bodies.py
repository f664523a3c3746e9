"""The body of each step, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spira.apps.steps.cross_validate import cross_validate
from spira.apps.steps.ensemble import ensemble
from spira.apps.steps.evaluate import evaluate
from spira.apps.steps.features import features
from spira.apps.steps.publish import publish
from spira.apps.steps.rescore import rescore
from spira.apps.steps.train import train
from spira.apps.steps.validate import validate
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.workbench import Body, Workbench

_BODIES: Mapping[str, Callable[[Workbench, TrainingSettings], None]] = {
    "validate": validate,
    "features": features,
    "train": train,
    "ensemble": ensemble,
    "evaluate": evaluate,
    "cross-validate": cross_validate,
    "publish": publish,
    "rescore": rescore,
}


def body_of(name: str, settings: TrainingSettings) -> Body:
    body = _BODIES[name]
    return lambda bench: body(bench, settings)

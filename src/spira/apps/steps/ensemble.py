"""Step `ensemble`: the members of one fold joined to one model."""

from __future__ import annotations

from spira.apps.steps.bench import labels_of
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.contract import Workbench


def ensemble(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    (label,) = labels_of(bench, "train")
    for name in bench.inputs[label].outputs:
        bench.write(name, bench.read(label, name))

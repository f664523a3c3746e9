"""What the wiring of several steps shares: typed reads from a step's bench."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spira.orchestration.workbench import Progress, Workbench
from spira.training.core.cohort import Cohort
from spira.training.core.config import TrainingConfig

MODEL_FILES = ("model.json", "weights.safetensors")


def config_of(bench: Workbench) -> TrainingConfig:
    """The step's part of the configuration; the other parts have their defaults."""
    return TrainingConfig.model_validate_json(json.dumps(bench.config), strict=True)


def cohort_of(bench: Workbench) -> Cohort:
    return Cohort.model_validate_json(bench.read("validate", "cohort.json"))


def read_json(bench: Workbench, label: str, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(bench.read(label, name))
    return value


def labels_of(bench: Workbench, step: str) -> list[str]:
    """Labels of the inputs that this step made: `ensemble`, `ensemble@1`, …"""
    return sorted(label for label in bench.inputs if label.partition("@")[0] == step)


@contextmanager
def model_folder(bench: Workbench, label: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in MODEL_FILES:
            (Path(folder) / name).write_bytes(bench.read(label, name))
        yield Path(folder)


def teller(bench: Workbench, *, before: int = 0, total: int | None = None) -> Callable[..., None]:
    """The port `Tell` over the bench's progress; a part of a longer work counts from `before` to `total`."""

    def tell(done: int, of: int, note: str = "") -> None:
        bench.tell(Progress(done=before + done, total=of if total is None else total, note=note))

    return tell

"""Made-up people and features for fits that take milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from spira.training.core.cohort import Cohort, Recording, Split, split
from spira.training.core.compute import Compute
from spira.training.core.config import TrainingConfig, config_of
from spira.training.core.member import Member
from spira.training.core.strict_json import parse
from spira.training.use_cases.train import fit_members

CPU = Compute(device=torch.device("cpu"))
ROBUST = ("network.architecture=robust", "training.warmup_steps=5", "training.learning_rate=0.02")


@dataclass
class MadeUpWindows:
    """Features in memory: the first bin of patients lies higher, by `gap` deviations. Counts what is asked for."""

    labels: Sequence[int]
    versions: tuple[int, ...] = (0, 1)
    frames: int = 10
    bins: int = 4
    gap: float = 1.5
    windows_each: int = 2
    asked: list[tuple[int, int]] = field(default_factory=list)

    def windows(self, recording: int, version: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked.append((recording, version))
        random = np.random.default_rng([recording, version])
        values = random.standard_normal((self.windows_each, self.frames, self.bins)).astype(np.float32)
        values[:, :, 0] += self.gap * self.labels[recording]
        return torch.from_numpy(values), torch.ones(self.windows_each, self.frames, dtype=torch.bool)


class MemoryCheckpoints:
    """The port `Checkpoints` in a dictionary."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        self.kept = dict(kept or {})
        self.history: list[tuple[str, bytes]] = []

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, data: bytes) -> None:
        self.kept[name] = data
        self.history.append((name, data))


@dataclass(frozen=True, kw_only=True)
class Toy:
    """People, half of them patients, with their features and a configuration."""

    cohort: Cohort
    windows: MadeUpWindows
    config: TrainingConfig

    def sides(self, *, members: int | None = None) -> dict[int, Split]:
        return {
            number: split(self.cohort, fold=0, folds=4, validation_share=0.25, seed=1, member=number)
            for number in range(members or self.config.network.members)
        }

    def fit(self, checkpoints: MemoryCheckpoints | None = None, **options: Any) -> tuple[Member, ...]:
        given: dict[str, Any] = {
            "sides": self.sides(),
            "config": self.config,
            "compute": CPU,
            "tell": lambda *_: None,
        } | options
        sides = given.pop("sides")
        return fit_members(self.cohort, self.windows, sides, checkpoints=checkpoints or MemoryCheckpoints(), **given)


MakeToy = Callable[..., Toy]


@pytest.fixture
def make_toy() -> MakeToy:
    """A toy of some people; words like `training.epochs=2` override the configuration."""

    def make(*words: str, people: int = 32, labels: Sequence[int] | None = None, **windows: Any) -> Toy:
        overrides = (*ROBUST, "training.epochs=3", "training.patience=null", *words)
        classes = list(labels) if labels is not None else [n % 2 for n in range(people)]
        recordings = tuple(
            Recording(
                row=n + 2,
                location=f"{n}.wav",
                sha256=f"{n:064x}",
                duration_s=1.0,
                participant=f"p-{n:03d}",
                label=1 if label else 0,
                fold=None,
                matched_pair=None,
                age=None,
                facets={},
            )
            for n, label in enumerate(classes)
        )
        config = config_of(parse("{}", name="toy"), name="toy", overrides=overrides)
        return Toy(cohort=Cohort(recordings=recordings), windows=MadeUpWindows(classes, **windows), config=config)

    return make

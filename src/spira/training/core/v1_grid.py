"""The grid of 18 experiments that was published with the first SPIRA network (Casanova et al., Findings of ACL 2021).

All share one recipe, the preset `spira-v1-3.5`; they differ in how many excerpts of ward noise a copy of a control's
and of a patient's recording got, and in how a recording becomes windows. Where the two counts differ, noise tells the
label: such a preset needs `augmentation.allow_label_dependent`. Unlike there, nothing is added to people who judge.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BASE = "spira-v1-3.5"
_PADDED_S = 25.49
"""Length of the longest training recording, to which the padded experiments filled up all others."""
_NAME = re.compile(r"spira-v1-(\d\.\d+)")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One column of the published table."""

    control: int
    patient: int
    """Noise excerpts added to a recording of the class."""
    window_s: float | None = 4.0
    """None: one window, padded."""

    def overrides(self) -> tuple[str, ...]:
        """What differs from the recipe, as `--set` writes it."""
        return (*self._noise(), *self._windows())

    def _noise(self) -> tuple[str, ...]:
        if self.control == self.patient == 0:
            return ("augmentation.clean=true", "augmentation.variants=0")
        if self.control == self.patient:
            return (f"augmentation.insertions={self.control}",)
        counts = {"control": self.control, "patient": self.patient}
        return tuple(f"augmentation.insertions_{name}={count}" for name, count in counts.items())

    def _windows(self) -> tuple[str, ...]:
        if self.window_s is None:
            return ("windows.kind=pad", f"windows.window_s={_PADDED_S}")
        return ("windows.kind=overlap", f"windows.window_s={self.window_s}", "windows.step_s=1.0")


def _grid() -> dict[str, Experiment]:
    noise = {"1": (0, 0), "2": (1, 0)}
    windows = {"1": None, "2": 3.0, "3": 4.0}
    few = {
        f"{first}.{second}": Experiment(control=control, patient=patient, window_s=window_s)
        for first, (control, patient) in noise.items()
        for second, window_s in windows.items()
    }
    many = {f"3.{n}": Experiment(control=n // 2 + 1, patient=(n + 1) // 2) for n in range(1, 13)}
    return few | many


GRID: Mapping[str, Experiment] = _grid()
"""By the number that the paper gave it: 1.x without noise, 2.x with noise for controls alone, 3.x for both."""


def preset_names() -> tuple[str, ...]:
    return tuple(f"spira-v1-{number}" for number in GRID)


def experiment_of(preset: str) -> Experiment | None:
    """None where the preset is not of this family."""
    match = _NAME.fullmatch(preset)
    return None if match is None else GRID.get(match.group(1))

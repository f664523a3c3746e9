"""How well scores tell patients from controls: areas, shares and cuts, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def named(self, name: str) -> dict[str, float]:
        """As JSON values: `name`, `name_low` and `name_high`."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The scores of both classes, float64 [m] and [n]. Raises ValueError when a class is missing."""

    patients: FloatArray
    controls: FloatArray

    @classmethod
    def of(cls, scores: npt.ArrayLike, labels: npt.ArrayLike) -> Self:
        values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
        return cls(patients=values[is_patient], controls=values[~is_patient])

    def __post_init__(self) -> None:
        if not len(self.patients) or not len(self.controls):
            raise ValueError("both classes are needed")

    def placements(self) -> tuple[FloatArray, FloatArray]:
        """For each patient the share of controls below, for each control the share of patients above (ties count
        half): DeLong's structural components, by midranks (Sun and Xu, IEEE Signal Processing Letters 2014)."""
        m, n = len(self.patients), len(self.controls)
        ranks = _midranks(np.concatenate([self.patients, self.controls]))
        over_controls = (ranks[:m] - _midranks(self.patients)) / n
        over_patients = 1.0 - (ranks[m:] - _midranks(self.controls)) / m
        return over_controls, over_patients


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Estimate:
    """Area under the ROC curve with DeLong's interval (DeLong, DeLong and Clarke-Pearson, Biometrics 1988).

    Where the classes are separated completely its variance is 0; the bound is then Wilson's for the smaller class.
    Raises ValueError when a class is missing.
    """
    over_controls, over_patients = Panel.of(scores, labels).placements()
    m, n = len(over_controls), len(over_patients)
    value = float(over_controls.mean())
    variance = (_variance(over_controls) / m) + (_variance(over_patients) / n)
    if variance <= 0.0:
        bounds = wilson(round(value * min(m, n)), min(m, n))
        return Estimate(value=value, low=bounds.low, high=bounds.high)
    spread = Z95 * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - spread), high=min(1.0, value + spread))


def wilson(hits: int, n: int, *, z: float = Z95) -> Estimate:
    """A share with Wilson's score interval (Wilson, JASA 1927); raises ValueError when `n` is 0."""
    if n == 0:
        raise ValueError("a share of nobody")
    share, square = hits / n, z * z
    centre = (share + square / (2 * n)) / (1 + square / n)
    spread = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, centre - spread)
    return Estimate(value=share, low=low, high=1.0 if hits == n else min(1.0, centre + spread))


def difference_of_shares(first: tuple[int, int], second: tuple[int, int], *, z: float = Z95) -> Estimate:
    """Of two groups that share nobody, each given as (hits, n): Newcombe's hybrid score interval (Statistics in
    Medicine 1998, method 10)."""
    one, other = wilson(*first, z=z), wilson(*second, z=z)
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value=value, low=max(-1.0, low), high=min(1.0, high))


def cut_at_specificity(controls: FloatArray, specificity: float) -> float:
    """The lowest score above which (strictly) at most a share 1 - `specificity` of the controls lies."""
    needed = max(1, math.ceil(specificity * len(controls) - 1e-9))
    return float(np.sort(controls)[needed - 1])


def best_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The threshold of the highest UAR, in the middle of the scores around it; of equals the one nearest to 0.5."""
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    levels = np.unique(values)
    cuts = np.concatenate([(levels[:-1] + levels[1:]) / 2.0, [levels[0]]])
    found = [(_uar(values >= cut, is_patient), -abs(float(cut) - 0.5), float(cut)) for cut in cuts]
    return max(found)[2]


def unweighted_recall(sensitivity: Estimate, specificity: Estimate, *, patients: int, controls: int) -> Estimate:
    """UAR, the mean of sensitivity and specificity; interval from their independent variances (Agresti-Coull)."""
    variance = 0.0
    for share, n in ((sensitivity.value, patients), (specificity.value, controls)):
        adjusted = (share * n + 2.0) / (n + 4.0)
        variance += adjusted * (1.0 - adjusted) / (n + 4.0) / 4.0
    value, spread = (sensitivity.value + specificity.value) / 2.0, Z95 * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - spread), high=min(1.0, value + spread))


def _uar(positive: npt.NDArray[np.bool_], is_patient: npt.NDArray[np.bool_]) -> float:
    return float(positive[is_patient].mean() + (~positive[~is_patient]).mean()) / 2.0


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], dtype=np.float64)


def _variance(values: FloatArray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0

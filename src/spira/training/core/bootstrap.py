"""Resampled people: what a figure would have been with other people drawn from the same two classes.

A resample is a count per person (how often they were drawn); patients and controls are drawn apart, so that their
numbers stay. Figures of all resamples are then sums of products, and two models on the same people are compared
under the same draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from spira.training.core.discrimination import Estimate, FloatArray, Panel

Counts = npt.NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """Counts of `draws` resamples: float64 [draws, m] of patients and [draws, n] of controls."""

    patients: Counts
    controls: Counts

    @classmethod
    def of(cls, panel: Panel, *, seed: int, draws: int = DRAWS) -> Self:
        random = np.random.default_rng([seed, len(panel.patients), len(panel.controls)])
        return cls(
            patients=_counts(len(panel.patients), draws, random), controls=_counts(len(panel.controls), draws, random)
        )

    def sensitivity(self, panel: Panel, threshold: float) -> FloatArray:
        """Share of patients from `threshold` on, by resample."""
        return _share(self.patients, panel.patients >= threshold)

    def specificity(self, panel: Panel, threshold: float) -> FloatArray:
        return _share(self.controls, panel.controls < threshold)

    def auc(self, panel: Panel) -> FloatArray:
        """Area by resample; ties count half."""
        above = np.sign(panel.patients[:, None] - panel.controls[None, :]) / 2.0 + 0.5
        pairs = len(panel.patients) * len(panel.controls)
        return np.asarray(((self.patients @ above) * self.controls).sum(1) / pairs, dtype=np.float64)

    def sensitivity_at(self, panel: Panel, specificity: float) -> FloatArray:
        """Sensitivity by resample, each at the cut where its own controls reach `specificity`."""
        order = np.argsort(panel.controls)
        needed = max(1, math.ceil(specificity * len(order) - 1e-9))
        drawn = np.cumsum(self.controls[:, order], axis=1)
        cuts = panel.controls[order][np.argmax(drawn >= needed, axis=1)]
        ranked = np.sort(panel.patients)
        by_rank = self.patients[:, np.argsort(panel.patients)]
        below = np.searchsorted(ranked, cuts, side="right")
        sums = np.concatenate([np.zeros((len(cuts), 1)), np.cumsum(by_rank, axis=1)], axis=1)
        return np.asarray(1.0 - sums[np.arange(len(cuts)), below] / len(ranked), dtype=np.float64)


def interval(value: float, resampled: FloatArray) -> Estimate:
    """`value` with the percentile interval of its resamples, which always holds it."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value=value, low=min(value, float(low)), high=max(value, float(high)))


def _counts(n: int, draws: int, random: np.random.Generator) -> Counts:
    return random.multinomial(n, np.full(n, 1.0 / n), size=draws).astype(np.float64)


def _share(counts: Counts, hit: npt.NDArray[np.bool_]) -> FloatArray:
    return np.asarray(counts @ hit.astype(np.float64) / counts.shape[1], dtype=np.float64)

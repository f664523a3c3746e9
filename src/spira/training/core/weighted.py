"""Figures of people who count differently: areas, effective numbers and their intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spira.training.core.bootstrap import interval
from spira.training.core.discrimination import Estimate

FloatArray = npt.NDArray[np.float64]
DRAWS = 1000


def weighted_auc(
    scores: npt.ArrayLike, labels: npt.ArrayLike, weights: npt.ArrayLike, *, seed: int, draws: int = DRAWS
) -> Estimate:
    """Chance that a patient scores above a control, people being drawn by their weights (ties count half); interval
    by resampled people of either class. Raises ValueError when a class has no weight."""
    values, counted = np.asarray(scores, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    is_patient = np.asarray(labels).astype(bool)
    ours, theirs = counted[is_patient], counted[~is_patient]
    if ours.sum() <= 0.0 or theirs.sum() <= 0.0:
        raise ValueError("AUC needs both classes")
    above = np.sign(values[is_patient][:, None] - values[~is_patient][None, :]) / 2.0 + 0.5
    value = float(ours @ above @ theirs / (ours.sum() * theirs.sum()))
    random = np.random.default_rng([seed, len(ours), len(theirs)])
    first, second = (_resampled(side, draws, random) for side in (ours, theirs))
    total = np.maximum(first.sum(1) * second.sum(1), 1e-12)
    return interval(value, np.asarray(((first @ above) * second).sum(1) / total))


def effective_size(weights: npt.ArrayLike) -> float:
    """How many people of equal weight are worth as much: (sum w)^2 / sum w^2 (Kish 1965); 0 of nobody."""
    counted = np.asarray(weights, dtype=np.float64)
    square = float((counted**2).sum())
    return float(counted.sum()) ** 2 / square if square > 0.0 else 0.0


def _resampled(weights: FloatArray, draws: int, random: np.random.Generator) -> FloatArray:
    counts = random.multinomial(len(weights), np.full(len(weights), 1.0 / len(weights)), size=draws)
    return np.asarray(counts * weights, dtype=np.float64)

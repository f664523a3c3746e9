"""Whether a score means what it says: calibration error, recalibration line and the table behind the plot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from spira.training.core.discrimination import Z95, Estimate, FloatArray

CALIBRATION_BINS = 10
"""Bins of equal width over [0, 1]."""
_STEPS, _LARGEST_SLOPE, _RIDGE = 50, 50.0, 1e-9
_EDGE = 1e-6
"""Scores are kept so far from 0 and 1, where log odds end."""


def calibration_error(scores: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error over bins of equal width: the mean gap between score and share of patients,
    weighted by the people in each bin (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    where = _bin(values, bins)
    gaps = [abs(float((values[where == b] - is_patient[where == b]).sum())) for b in range(bins)]
    return math.fsum(gaps) / len(values)


def reliability_table(
    scores: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = CALIBRATION_BINS
) -> list[dict[str, Any]]:
    """Per bin its edges, how many people, their mean score and share of patients (null where nobody is)."""
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    where = _bin(values, bins)
    table = []
    for b in range(bins):
        inside = where == b
        means = (float(values[inside].mean()), float(is_patient[inside].mean())) if inside.any() else (None, None)
        row: dict[str, Any] = {"from": b / bins, "to": (b + 1) / bins, "n": int(inside.sum())}
        table.append(row | {"mean_score": means[0], "share_of_patients": means[1]})
    return table


def recalibration(scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Estimate, Estimate] | None:
    """Slope and intercept of label on the score's log odds by logistic regression (Cox, Biometrika 1958), with Wald's
    intervals; the intercept with the slope held at 1. A slope below 1 tells of scores that are too extreme.

    None where the classes are separated, so that no line is the best one.
    """
    values = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1.0 - _EDGE)
    odds, targets = np.log(values / (1.0 - values)), np.asarray(labels, dtype=np.float64)
    line = _logistic(np.stack([odds, np.ones_like(odds)], axis=1), targets, offset=np.zeros_like(odds))
    level = _logistic(np.ones((len(odds), 1)), targets, offset=odds)
    if line is None or level is None:
        return None
    return line[0], level[0]


def _logistic(columns: FloatArray, targets: FloatArray, *, offset: FloatArray) -> list[Estimate] | None:
    """Coefficients by Newton's method; None when it does not settle."""
    weights = np.zeros(columns.shape[1])
    for _ in range(_STEPS):
        chance = 0.5 * (1.0 + np.tanh(0.5 * (columns @ weights + offset)))
        information = (columns * (chance * (1.0 - chance))[:, None]).T @ columns
        information += _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(information, columns.T @ (targets - chance))
        weights = weights + step
        if not np.all(np.abs(weights) < _LARGEST_SLOPE):
            return None
        if np.abs(step).max() < 1e-10:
            spreads = Z95 * np.sqrt(np.diag(np.linalg.inv(information)))
            return [
                Estimate(value=float(w), low=float(w - s), high=float(w + s))
                for w, s in zip(weights, spreads, strict=True)
            ]
    return None


def _bin(values: FloatArray, bins: int) -> npt.NDArray[np.int64]:
    return np.minimum((values * bins).astype(np.int64), bins - 1)

"""From logits to probabilities that mean what they say, and to a threshold; both chosen on the validation people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spira.training.core.config import CalibrationConfig
from spira.training.core.figures import best_threshold

_SLOPE_BOUNDS = (0.02, 50.0)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """probability = sigmoid((logit + bias) / temperature); from `threshold` on a score is positive."""

    temperature: float
    bias: float
    threshold: float


def calibrate(
    logits: npt.NDArray[np.float64],
    owner: npt.NDArray[np.int64],
    labels: npt.NDArray[np.float32],
    config: CalibrationConfig,
) -> Calibration:
    """Fit on window `logits` [w]; `owner` [w] tells each window's recording, `labels` are the recordings'."""
    temperature, bias = _fit(_means(logits, owner, len(labels)), labels.astype(np.float64), config)
    probabilities = 0.5 * (1.0 + np.tanh(0.5 * (logits + bias) / temperature))
    scores = _means(probabilities, owner, len(labels))
    threshold = best_threshold(scores, labels) if config.threshold == "max-uar" else config.fixed_threshold
    return Calibration(temperature=temperature, bias=bias, threshold=float(np.clip(threshold, 0.0, 1.0)))


def _means(values: npt.NDArray[np.float64], owner: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.float64]:
    means: npt.NDArray[np.float64] = np.bincount(owner, values, n) / np.bincount(owner, minlength=n)
    return means


def _fit(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.float64], config: CalibrationConfig
) -> tuple[float, float]:
    """Temperature and bias of the lowest cross-entropy, on targets smoothed after Platt (Advances in Large Margin
    Classifiers, 1999), which keep the fit finite when the classes are separated."""
    if config.kind == "none":
        return 1.0, 0.0
    from scipy.optimize import minimize

    patients, controls = labels.sum(), (1.0 - labels).sum()
    targets = np.where(labels > 0.5, (patients + 1.0) / (patients + 2.0), 1.0 / (controls + 2.0))

    def loss(parameters: npt.NDArray[np.float64]) -> float:
        scaled = np.exp(parameters[0]) * logits + (parameters[1] if config.kind == "platt" else 0.0)
        return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))

    bounds = [tuple(np.log(_SLOPE_BOUNDS)), (-20.0, 20.0)]
    log_slope, offset = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=bounds).x
    slope = float(np.exp(log_slope))
    return 1.0 / slope, (float(offset) / slope if config.kind == "platt" else 0.0)

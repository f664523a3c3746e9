"""The fitted plain model as numbers: a standardised linear score through the logistic function, kept as JSON."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, model_validator


class PlainModel(BaseModel):
    """probability = sigmoid(intercept + sum of coefficient (value - mean) / scale); positive from `threshold` on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    inputs: str = "mean, deviation and deviation of the change of 20 MFCCs of the level-normalised recording"
    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    threshold: float = 0.5
    people: int
    """How many it was fitted on."""

    @model_validator(mode="after")
    def _is_of_one_width(self) -> Self:
        if not len(self.means) == len(self.scales) == len(self.coefficients) or min(self.scales) <= 0.0:
            raise ValueError("means, scales (above 0) and coefficients belong together")
        return self

    def scores(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities float64 [n] of `rows` float64 [n, width]."""
        standard = (rows - np.array(self.means)) / np.array(self.scales)
        odds = standard @ np.array(self.coefficients) + self.intercept
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * odds)), dtype=np.float64)

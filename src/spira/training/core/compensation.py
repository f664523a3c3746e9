"""Fits what `Compensation` holds: where noise moves statistics, and how far, from pairs of the same recording."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spira.voice.compensation import standardised, terms

RIDGE = 0.06
"""Penalty of the regression, per unit of weight; chosen once, by the look of fits on a part of the training people."""
_SMALLEST = 1e-6


def fitted_compensation(clean: Tensor, noisy: Sequence[Tensor], *, directions: int) -> dict[str, Tensor]:
    """The buffers of `Compensation`, float32, from statistics [m, n] without and with noise, row by row the same
    recording. The clean rows weigh as much as all noisy ones: what has no noise is to stay where it is.

    Directions are the first principal ones of the differences; the distance along each is a ridge regression on the
    standardised statistics and their squares.
    """
    clean = clean.double()
    centre, spread = clean.mean(0), clean.std(0, unbiased=False) + _SMALLEST
    still = standardised(clean, centre, spread)
    moved = [standardised(one.double(), centre, spread) for one in noisy]
    differences = torch.cat([one - still for one in moved])
    axes = torch.linalg.svd(differences, full_matrices=False).Vh[:directions].T
    rows = terms(torch.cat((still, *moved)))
    distances = torch.cat((torch.zeros_like(still), differences)) @ axes
    weights = torch.ones(len(rows), dtype=torch.float64)
    weights[: len(still)] = len(moved)
    return {
        name: value.float().contiguous()
        for name, value in {
            "centre": centre,
            "spread": spread,
            "directions": axes,
            **_regression(rows, distances, weights / weights.sum()),
        }.items()
    }


def _regression(rows: Tensor, targets: Tensor, weights: Tensor) -> dict[str, Tensor]:
    centre = weights @ rows
    spread = (weights @ (rows - centre).square()).sqrt() + _SMALLEST
    offset = weights @ targets
    standard = (rows - centre) / spread
    weighted = standard.T * weights
    penalty = RIDGE * torch.eye(rows.shape[1], dtype=torch.float64)
    slopes = torch.linalg.solve(weighted @ standard + penalty, weighted @ (targets - offset))
    return {"terms_centre": centre, "terms_spread": spread, "slopes": slopes, "offset": offset}

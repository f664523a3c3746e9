"""The network of the `robust` preset: statistics of frame descriptors over a window, then a small classifier.

Made for a few hundred people: what varies between people is pooled first (as in x-vectors, Snyder et al. 2018, but
over given descriptors instead of learned frames), so that only a few hundred weights are left to learn.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

QUANTILES = (0.1, 0.5, 0.9)
STATISTICS = 4 + len(QUANTILES)
_SMALLEST_SPREAD = 1e-3


class RobustNet(nn.Module):
    """`forward(values [B, T, F], mask [B, T]) -> logits [B]`, float32.

    Pools mean, spreads and quantiles over the masked-in frames, standardises them by the training set's moments
    (BatchNorm without weights) and adds a linear score and, with `hidden` > 0, that of a small perceptron.
    """

    def __init__(self, *, bins: int, hidden: int, dropout: float) -> None:
        super().__init__()
        size = bins * STATISTICS
        self.standardise = nn.BatchNorm1d(size, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(size, 1)
        self.perceptron = (
            nn.Sequential(nn.Linear(size, hidden), nn.Mish(), nn.Dropout(dropout), nn.Linear(hidden, 1))
            if hidden
            else None
        )

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            pooled = statistics(values, mask)
        standard = self.dropout(self.standardise(pooled))
        logits = self.linear(standard)
        if self.perceptron is not None:
            logits = logits + self.perceptron(standard)
        return logits.squeeze(1)


def statistics(values: Tensor, mask: Tensor) -> Tensor:
    """Over the frames of values [B, T, F] where mask [B, T]: float32 [B, 7 F] of mean, log deviation, log deviation
    and log mean size of the frame-to-frame change, and the quantiles. Spreads are logs since they are skewed."""
    held = mask.unsqueeze(2)
    mean, deviation, _ = _moments(values, held)
    step_held = held[:, 1:] & held[:, :-1]
    _, step_deviation, step_size = _moments(values[:, 1:] - values[:, :-1], step_held)
    spreads = (torch.log(spread + _SMALLEST_SPREAD) for spread in (deviation, step_deviation, step_size))
    return torch.cat((mean, *spreads, _quantiles(values, held)), dim=1)


def _moments(values: Tensor, held: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = held.sum(1).clamp(min=1)
    kept = values.masked_fill(~held, 0.0)
    mean = kept.sum(1) / count
    variance = (kept - mean.unsqueeze(1)).masked_fill(~held, 0.0).square().sum(1) / count
    return mean, variance.sqrt(), kept.abs().sum(1) / count


def _quantiles(values: Tensor, held: Tensor) -> Tensor:
    ordered = values.masked_fill(~held, torch.inf).sort(dim=1).values
    last = (held.sum(1, keepdim=True) - 1).clamp(min=0).expand(-1, 1, values.shape[2])
    found = []
    for quantile in QUANTILES:
        place = last * quantile
        below = place.floor().long()
        above = torch.minimum(below + 1, last)
        low, high = ordered.gather(1, below), ordered.gather(1, above)
        found.append(torch.lerp(low, high, place - below).squeeze(1))
    return torch.cat(found, dim=1)

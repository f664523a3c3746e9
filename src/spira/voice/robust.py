"""The network of the `robust` preset: statistics of frame descriptors over a window, then a small classifier.

Made for a few hundred people: what varies between people is pooled first (as in x-vectors, Snyder et al. 2018, but
over given descriptors instead of learned frames), so that fewer than two hundred weights are left to learn.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spira.voice.compensation import Compensation
from spira.voice.phonation import DESCRIPTORS

QUANTILES = (0.1, 0.5, 0.9)
STATISTICS = 4 + len(QUANTILES)
VIEW_DROPOUT = 0.5
_SMALLEST_SPREAD = 1e-3


class RobustNet(nn.Module):
    """`forward(values [B, T, F], mask [B, T]) -> logits [B]`, float32; made for `phonation` features.

    Pools `statistics` over the masked-in frames and standardises them by the training set's moments (BatchNorm
    without weights). Two linear views, over the descriptors of phonation and over the cepstrum, add their scores;
    in training half of the examples are seen through one view only, so that neither leans on the other.
    With `noise_directions` the statistics go through `Compensation` first.
    """

    def __init__(self, *, bins: int, dropout: float, noise_directions: int = 0) -> None:
        super().__init__()
        size = bins * STATISTICS
        self.compensation = Compensation(size=size, directions=noise_directions) if noise_directions else None
        self.standardise = nn.BatchNorm1d(bins * STATISTICS, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.sizes = [len(DESCRIPTORS), bins - len(DESCRIPTORS)] if bins > len(DESCRIPTORS) else [bins]
        self.views = nn.ModuleList(nn.Linear(size * STATISTICS, 1) for size in self.sizes)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        return self.classify(statistics(values, mask))

    def novelty(self, values: Tensor, mask: Tensor) -> Tensor:
        """How far windows are from those of the fit, float32 [B]: the mean square of their statistics in deviations
        from the fit's mean; around 1 for the fit's own, and many times that for what is no such voice."""
        flat = statistics(values, mask).flatten(1)
        if self.compensation is None:
            moments = self.standardise.running_mean, self.standardise.running_var
            standard = nn.functional.batch_norm(flat, *moments, training=False)
        else:
            standard = (flat - self.compensation.centre) / self.compensation.spread
        return standard.square().mean(1)

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits [B] from `statistics`. These have no weights: a fit computes them once and calls this."""
        flat = pooled.flatten(1)
        flat = flat if self.compensation is None else self.compensation(flat)
        standard = self.dropout(self.standardise(flat))
        scores = self._scores(standard.unflatten(1, pooled.shape[1:]))
        if self.training and len(self.views) == 2:
            scores = scores * _drop_views(len(scores)).to(scores.device)
        return scores.sum(1)

    def _scores(self, standard: Tensor) -> Tensor:
        parts = torch.split(standard, self.sizes, dim=2)
        return torch.cat([view(part.flatten(1)) for view, part in zip(self.views, parts, strict=True)], dim=1)


def _drop_views(count: int) -> Tensor:
    """Of `count` examples, weights [count, 2]: a quarter (2, 0), a quarter (0, 2), the others (1, 1)."""
    chance = torch.rand(count)
    first = torch.where(chance < VIEW_DROPOUT / 2, 2.0, torch.where(chance < VIEW_DROPOUT, 0.0, 1.0))
    return torch.stack((first, 2.0 - first), dim=1)


def statistics(values: Tensor, mask: Tensor) -> Tensor:
    """Over the frames of values [B, T, F] where mask [B, T]: float32 [B, 7, F] of mean, log deviation, log deviation
    and log mean size of the frame-to-frame change, and the quantiles. Spreads are logs since they are skewed."""
    held = mask.unsqueeze(2)
    mean, deviation, _ = _moments(values, held)
    step_held = held[:, 1:] & held[:, :-1]
    _, step_deviation, step_size = _moments(values[:, 1:] - values[:, :-1], step_held)
    spreads = (torch.log(spread + _SMALLEST_SPREAD) for spread in (deviation, step_deviation, step_size))
    return torch.stack((mean, *spreads, *_quantiles(values, held)), dim=1)


def _moments(values: Tensor, held: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    count = held.sum(1).clamp(min=1)
    kept = values.masked_fill(~held, 0.0)
    mean = kept.sum(1) / count
    variance = (kept - mean.unsqueeze(1)).masked_fill(~held, 0.0).square().sum(1) / count
    return mean, variance.sqrt(), kept.abs().sum(1) / count


def _quantiles(values: Tensor, held: Tensor) -> list[Tensor]:
    ordered = values.masked_fill(~held, torch.inf).sort(dim=1).values
    last = (held.sum(1, keepdim=True) - 1).clamp(min=0).expand(-1, 1, values.shape[2])
    found = []
    for quantile in QUANTILES:
        place = last * quantile
        below = place.floor().long()
        above = torch.minimum(below + 1, last)
        low, high = ordered.gather(1, below), ordered.gather(1, above)
        found.append(torch.lerp(low, high, place - below).squeeze(1))
    return found

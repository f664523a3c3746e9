"""What a fit minimises, how fast, and what it does to a batch on the way: rate, loss, SpecAugment, mixup."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from spira.training.core.config import OptimisationConfig


def learning_rate(step: int, config: OptimisationConfig, *, steps: int) -> float:
    """The rate at `step`, from 1, of `steps` in all; `learning_rate` of the configuration is its highest value.

    `noam`: lr sqrt(w) min(step w^-1.5, step^-0.5) (Vaswani et al., NeurIPS 2017), scaled so that the peak is at the
    end of the warm-up w. `cosine`: a straight warm-up, then half a cosine down to 0 (Loshchilov and Hutter, ICLR 2017).
    """
    peak, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "constant":
        return peak
    if config.schedule == "noam":
        return float(peak * warmup**0.5 * min(step * warmup**-1.5, step**-0.5))
    if step <= warmup:
        return peak * step / warmup
    share = min(1.0, (step - warmup) / max(1, steps - warmup))
    return peak * 0.5 * (1.0 + math.cos(math.pi * share))


def window_loss(logits: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy over windows [w], each times its weight; targets move by `smoothing` towards 0.5 on
    either side. The weights' mean is 1 over the people that are fitted on, so no batch is scaled up for its light
    people, and one class alone in a batch is as good as two."""
    smoothed = targets * (1.0 - smoothing) + 0.5 * smoothing
    if weights is None:
        return nn.functional.binary_cross_entropy_with_logits(logits, smoothed)
    return nn.functional.binary_cross_entropy_with_logits(logits, smoothed, weight=weights)


def class_factors(labels: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each recording the factor that gives both classes the same sum of `weights`; the factors' weighted mean
    is 1. Computed over all recordings of a fit, never over a batch, so a class may be absent from a batch."""
    total = weights.sum()
    masses = np.array([weights[labels == label].sum() for label in (0, 1)])
    factors: npt.NDArray[np.float64] = (total / (2.0 * masses))[labels]
    return factors


def augmented(
    values: Tensor, mask: Tensor, targets: Tensor, *, config: OptimisationConfig, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """SpecAugment (Park et al., Interspeech 2019) and mixup (Zhang et al., ICLR 2018) of a batch [w, T, F].

    Mixup joins windows of the people that are fitted on, across classes, with soft targets; nobody else is in a batch.
    """
    if config.time_masks or config.bin_masks:
        values = _striped(values, mask, config, random)
    if config.mixup_alpha == 0.0 or len(values) < 2:
        return values, targets
    share = float(random.beta(config.mixup_alpha, config.mixup_alpha))
    other = torch.from_numpy(random.permutation(len(values))).to(values.device)
    return share * values + (1 - share) * values[other], share * targets + (1 - share) * targets[other]


def _striped(values: Tensor, mask: Tensor, config: OptimisationConfig, random: np.random.Generator) -> Tensor:
    striped = values.clone()
    means = values.mean((1, 2))
    lengths = mask.sum(1).tolist()
    for window in range(len(values)):
        for axis, count, width, length in (
            (0, config.time_masks, config.time_mask_frames, max(1, int(lengths[window]))),
            (1, config.bin_masks, config.bin_mask_bins, values.shape[2]),
        ):
            for _ in range(count):
                size = int(random.integers(width + 1))
                start = int(random.integers(max(1, length - size)))
                stripe = slice(start, start + size)
                striped[(window, stripe) if axis == 0 else (window, slice(None), stripe)] = means[window]
    return striped

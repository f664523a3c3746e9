"""The networks of the SPIRA paper: four convolutions along time, then two dense layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput, Problem
from spira.voice import columns

_JUDGED_AT_ONCE = 32
"""Windows whose maps are held together where no gradient needs them: 3 MB each."""


class SpiraConv(nn.Module):
    """SpiraConvV2 (Casanova et al., Findings of ACL 2021); with `batch_norm`, its precursor V1.

    All kernels lie along time (k x 1), without padding; the mask is ignored, as published. On a CPU V2 computes its
    layers by `spira.voice.columns`, to the same values; on a GPU, and for V1, `convolutions` runs as it stands.
    """

    LAYERS = (
        # channels, kernel, dilation, groups of the norm, pool
        (32, 7, 2, 16, True),
        (16, 5, 2, 8, True),
        (8, 3, 2, 4, True),
        (4, 2, 1, 2, False),
    )

    def __init__(self, *, frames: int, bins: int, dropout: float, batch_norm: bool = False) -> None:
        """Raises InvalidInput when windows of so many frames are too short."""
        super().__init__()
        self.convolutions = nn.Sequential()
        self._batch_norm = batch_norm
        channels, left = 1, frames
        for out, kernel, dilation, groups, pool in self.LAYERS:
            self.convolutions.append(nn.Conv2d(channels, out, (kernel, 1), dilation=(dilation, 1)))
            self.convolutions.append(nn.BatchNorm2d(out) if batch_norm else nn.GroupNorm(groups, out))
            self.convolutions.append(nn.Mish())
            if pool:
                self.convolutions.append(nn.MaxPool2d((2, 1)))
            self.convolutions.append(nn.Dropout(dropout))
            channels, left = out, (left - (kernel - 1) * dilation) // (2 if pool else 1)
        if left < 1:
            raise InvalidInput.of([_too_short(frames)])
        self.first = nn.Linear(channels * left * bins, 100)
        self.last = nn.Linear(100, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - every network takes the mask
        maps = values.unsqueeze(1)
        if self._batch_norm or maps.is_cuda:
            return self.classify(self.convolutions(maps))
        if torch.is_grad_enabled():
            return self.classify(self._by_columns(maps))
        return torch.cat([self.classify(self._by_columns(some)) for some in torch.split(maps, _JUDGED_AT_ONCE)])

    def classify(self, maps: Tensor) -> Tensor:
        """Logits [B] from the last convolution's maps [B, C, T, F]."""
        hidden = self.dropout(nn.functional.mish(self.first(maps.flatten(1))))
        logits: Tensor = self.last(hidden).squeeze(1)
        return logits

    def _by_columns(self, maps: Tensor) -> Tensor:
        modules: list[Any] = list(self.convolutions)
        for *_, pool in self.LAYERS:
            size = 5 if pool else 4
            its, modules = modules[:size], modules[size:]
            maps = columns.layer(maps, its[0], its[1], pooled=pool)
            maps = columns.dropped(maps, its[-1].p if its[-1].training else 0.0)
        return maps


def _too_short(frames: int) -> Problem:
    return Problem(
        where="windows.window_s",
        what=f"windows of {frames} frames are too short for the network",
        hint="it needs at least 60 frames; take longer windows or a shorter hop_length",
    )

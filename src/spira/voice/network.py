"""The networks, by name: windows of features in, one logit per window out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput, Problem
from spira.voice.robust import RobustNet


class NetworkSettings(BaseModel):
    """Which network; `members` are trained apart and their logits averaged."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Literal["spiraconv-v1", "spiraconv-v2", "robust"] = "spiraconv-v2"
    dropout: float = Field(default=0.7, ge=0.0, lt=1.0)
    members: int = Field(default=1, ge=1, le=64)


def build_network(settings: NetworkSettings, *, frames: int, bins: int) -> nn.Module:
    """An untrained network for windows of `frames` frames with `bins` values each.

    Its `forward(values, mask)` takes float32 [B, T, F] and bool [B, T] (True where a frame holds real samples) and
    gives logits, float32 [B]. Raises InvalidInput when the windows are too short for the network.
    """
    if settings.architecture == "robust":
        return RobustNet(bins=bins, dropout=settings.dropout)
    return SpiraConv(settings, frames=frames, bins=bins)


class SpiraConv(nn.Module):
    """The network of the SPIRA paper (Casanova et al., Findings of ACL 2021); V1 has BatchNorm for GroupNorm.

    All kernels lie along time (k x 1), without padding; the mask is ignored, as published.
    """

    LAYERS = (
        # channels, kernel, dilation, groups of the norm, pool
        (32, 7, 2, 16, True),
        (16, 5, 2, 8, True),
        (8, 3, 2, 4, True),
        (4, 2, 1, 2, False),
    )

    def __init__(self, settings: NetworkSettings, *, frames: int, bins: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential()
        channels, left = 1, frames
        for out, kernel, dilation, groups, pool in self.LAYERS:
            self.convolutions.append(nn.Conv2d(channels, out, (kernel, 1), dilation=(dilation, 1)))
            batch_norm = settings.architecture == "spiraconv-v1"
            self.convolutions.append(nn.BatchNorm2d(out) if batch_norm else nn.GroupNorm(groups, out))
            self.convolutions.append(nn.Mish())
            if pool:
                self.convolutions.append(nn.MaxPool2d((2, 1)))
            self.convolutions.append(nn.Dropout(settings.dropout))
            channels, left = out, (left - (kernel - 1) * dilation) // (2 if pool else 1)
        if left < 1:
            raise InvalidInput.of([_too_short(settings, frames)])
        self.first = nn.Linear(channels * left * bins, 100)
        self.last = nn.Linear(100, 1)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - every network takes the mask
        maps = self.convolutions(values.unsqueeze(1)).flatten(1)
        hidden = self.dropout(nn.functional.mish(self.first(maps)))
        logits: Tensor = self.last(hidden).squeeze(1)
        return logits


def _too_short(settings: NetworkSettings, frames: int) -> Problem:
    return Problem(
        where="windows.window_s",
        what=f"windows of {frames} frames are too short for {settings.architecture}",
        hint="it needs at least 60 frames; take longer windows or a shorter hop_length",
    )

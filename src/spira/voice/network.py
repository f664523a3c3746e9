"""The networks, by name: windows of features in, one logit per window out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from spira.voice.attention import AttentionNet
from spira.voice.robust import RobustNet
from spira.voice.spiraconv import SpiraConv


class NetworkSettings(BaseModel):
    """Which network; `members` are trained apart and their logits averaged."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: Literal["spiraconv-v1", "spiraconv-v2", "robust", "attention"] = "spiraconv-v2"
    dropout: float = Field(default=0.7, ge=0.0, lt=1.0)
    members: int = Field(default=1, ge=1, le=64)
    noise_directions: int = Field(default=0, ge=0, le=64)
    """`robust` with noisy copies: directions in which noise moves statistics and that are compensated; 0: off."""


def build_network(settings: NetworkSettings, *, frames: int, bins: int) -> nn.Module:
    """An untrained network for windows of `frames` frames with `bins` values each.

    Its `forward(values, mask)` takes float32 [B, T, F] and bool [B, T] (True where a frame holds real samples) and
    gives logits, float32 [B]. Raises InvalidInput when the windows are too short for the network.
    """
    if settings.architecture == "attention":
        return AttentionNet(bins=bins, dropout=settings.dropout)
    if settings.architecture == "robust":
        return RobustNet(bins=bins, dropout=settings.dropout, noise_directions=settings.noise_directions)
    batch_norm = settings.architecture == "spiraconv-v1"
    return SpiraConv(frames=frames, bins=bins, dropout=settings.dropout, batch_norm=batch_norm)

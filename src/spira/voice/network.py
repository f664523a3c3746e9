"""The networks, by name: windows of features in, one logit per window out."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
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
    max_novelty: float | None = Field(default=None, gt=1.0)
    """`robust`: a recording further than this from those of the fit (`RobustNet.novelty`) is inconclusive, whatever
    its score: a cough, an alarm or a room is no voice. null: any recording gets its answer."""

    @model_validator(mode="after")
    def _only_robust_knows_what_is_new(self) -> Self:
        if self.max_novelty is not None and self.architecture != "robust":
            raise ValueError(f"max_novelty has no meaning for architecture {self.architecture!r}")
        return self


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

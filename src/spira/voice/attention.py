"""A network that listens to some frames more than to others: a small convolutional front and attentive statistics.

Between `RobustNet`, which is given its statistics, and SpiraConv, which has a weight for every place in the window:
about 25 000 weights, none of which belongs to a place, so that windows may be of any length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = 48
HIDDEN = 24
LAYERS = ((5, 1), (3, 2), (3, 4))
"""Kernel and dilation along time."""
_SMALLEST_VARIANCE = 1e-4


class AttentionNet(nn.Module):
    """`forward(values [B, T, F], mask [B, T]) -> logits [B]`, float32; made for log-mel or MFCC frames.

    Each frame is normalised over its bins (so that level does not matter), convolved along time, and weighted by
    attention; the weighted mean and deviation of the frames (attentive statistics pooling, Okabe, Koshinaka and
    Shinoda, Interspeech 2018) go to one linear layer. Masked-out frames are silence to the convolutions and
    nothing to the attention: padding changes no logit.
    """

    def __init__(self, *, bins: int, dropout: float) -> None:
        super().__init__()
        self.frame = nn.LayerNorm(bins)
        sizes = [bins, *[CHANNELS] * len(LAYERS)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, CHANNELS, kernel, dilation=dilation, padding=(kernel - 1) // 2 * dilation)
            for size, (kernel, dilation) in zip(sizes, LAYERS, strict=False)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(CHANNELS) for _ in LAYERS)
        self.attention = nn.Sequential(nn.Linear(CHANNELS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1))
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(2 * CHANNELS, 1)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        held = mask.unsqueeze(2)
        maps = self.frame(values).masked_fill(~held, 0.0)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            after = convolution(maps.transpose(1, 2)).transpose(1, 2)
            maps = nn.functional.mish(norm(after)).masked_fill(~held, 0.0)
        pooled = attentive_statistics(maps, self.attention(maps).squeeze(2), mask)
        logits: Tensor = self.last(self.dropout(pooled)).squeeze(1)
        return logits


def attentive_statistics(frames: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """[B, 2C]: mean and deviation of frames [B, T, C] under the softmax of scores [B, T] where mask [B, T] is True.

    A window without any frame has the mean 0.
    """
    lowest = torch.finfo(scores.dtype).min
    weights = torch.softmax(scores.masked_fill(~mask, lowest), dim=1).unsqueeze(2) * mask.unsqueeze(2)
    mean = (weights * frames).sum(1)
    variance = (weights * (frames - mean.unsqueeze(1)).square()).sum(1)
    return torch.cat((mean, (variance + _SMALLEST_VARIANCE).sqrt()), dim=1)

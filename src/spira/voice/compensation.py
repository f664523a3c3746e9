"""Takes out of a recording's statistics what noise put in, as far as the statistics themselves tell it.

Noise moves the statistics of all voices in a few common directions. How far along them a recording was moved is
estimated from its statistics and their squares, and subtracted (a linear relative of SPLICE, Deng et al., ICSLP 2000).
What the estimate rests on is fitted before the classifier, without labels, on the same recordings with and without
noise: a classifier alone would learn to hear noise as a sign of illness.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

REACH = 6.0
"""Statistics further than so many deviations from the mean are taken for that far: squares would run away."""


class Compensation(nn.Module):
    """`forward(statistics [B, n]) -> [B, n]` in deviations from the clean mean; nothing is learned by gradients.

    Until `take` it standardises nothing and moves nothing.
    """

    centre: Tensor
    spread: Tensor
    directions: Tensor
    terms_centre: Tensor
    terms_spread: Tensor
    slopes: Tensor
    offset: Tensor

    def __init__(self, *, size: int, directions: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))
        self.register_buffer("directions", torch.zeros(size, directions))
        self.register_buffer("terms_centre", torch.zeros(2 * size))
        self.register_buffer("terms_spread", torch.ones(2 * size))
        self.register_buffer("slopes", torch.zeros(2 * size, directions))
        self.register_buffer("offset", torch.zeros(directions))

    def forward(self, statistics: Tensor) -> Tensor:
        standard = standardised(statistics, self.centre, self.spread)
        moved = (terms(standard) - self.terms_centre) / self.terms_spread @ self.slopes + self.offset
        return standard - moved @ self.directions.T


def standardised(statistics: Tensor, centre: Tensor, spread: Tensor) -> Tensor:
    """In deviations from the centre, within `REACH`."""
    return ((statistics - centre) / spread).clamp(-REACH, REACH)


def terms(standard: Tensor) -> Tensor:
    """What an estimate is linear in: the standardised statistics [B, n] and their squares, [B, 2 n]."""
    return torch.cat((standard, standard.square()), dim=1)

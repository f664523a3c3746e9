"""Several processes at one fit: what each must share with the others, and the case of one alone."""

from __future__ import annotations

from typing import Protocol

from torch import nn


class Ranks(Protocol):
    """The processes of one fit; each holds the same network and sees its share of every batch."""

    rank: int
    """This process, from 0; the first one keeps checkpoints and tells."""
    size: int

    def parallel(self, network: nn.Module) -> nn.Module:
        """`network` so that `backward` gives every process the mean of all their gradients."""
        ...

    def total(self, value: float) -> float:
        """The sum over the processes."""
        ...

    def agreed(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """What the first process says, so that all decide alike."""
        ...


class Alone:
    """One process."""

    rank = 0
    size = 1

    def parallel(self, network: nn.Module) -> nn.Module:
        return network

    def total(self, value: float) -> float:
        return value

    def agreed(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return values

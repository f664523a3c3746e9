"""What training needs from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class Recordings(Protocol):
    """Bytes of recordings by location."""

    def read(self, location: str) -> bytes:
        """Raises NotFound when there is nothing, Unavailable when it can't be told."""
        ...


Pseudonym = Callable[[str], str]
"""A participant's id to the pseudonym under which the person is known from here on; one way, keyed."""


class Tell(Protocol):
    """Hears how far a use case is: `done` of `total` units, and a short note."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


class Checkpoints(Protocol):
    """Where a fit keeps its state, under names of its own. A save replaces the one before at one moment."""

    def load(self, name: str) -> bytes | None:
        """None when nothing was saved."""
        ...

    def save(self, name: str, data: bytes) -> None: ...


class Registry(Protocol):
    """Where a model is logged and registered."""

    def publish(
        self,
        folder: Path,
        *,
        name: str,
        alias: str,
        parameters: Mapping[str, str],
        metrics: Mapping[str, float],
        curves: Mapping[str, list[float]],
        datasets: Mapping[str, str],
        attachments: Mapping[str, bytes],
    ) -> str:
        """Log everything about the model in `folder`, register it and point `alias` at it; gives the version."""
        ...

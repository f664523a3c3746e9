"""What training needs from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spira.kernel.messages import DatasetAccepted

if TYPE_CHECKING:
    from torch import Tensor


class Recordings(Protocol):
    """Bytes of recordings by location."""

    def read(self, location: str) -> bytes:
        """Raises NotFound when there is nothing, Unavailable when it can't be told."""
        ...


Pseudonym = Callable[[str], str]
"""A participant's id to the pseudonym under which the person is known from here on; one way, keyed."""


class Store(Protocol):
    """Whole blobs by key, as in `infra.objects.port`."""

    def put(self, key: str, data: bytes) -> object: ...

    def get(self, key: str) -> bytes:
        """Raises NotFound."""
        ...


Announce = Callable[[DatasetAccepted], None]
"""Tells whoever listens that a data set was accepted; durable when it returns, or raises Unavailable."""


class Tell(Protocol):
    """Hears how far a use case is: `done` of `total` units, and a short note."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


class Windows(Protocol):
    """Features of a cohort, a recording at a time, in versions of which 0 is clean."""

    versions: tuple[int, ...]
    frames: int
    bins: int

    def windows(self, recording: int, version: int) -> tuple[Tensor, Tensor]:
        """`values` float32 [w, T, F], `mask` bool [w, T]; `recording` is an index into the cohort. Raises NotFound."""
        ...


class Checkpoints(Protocol):
    """Where a fit keeps its state, under names of its own. A save replaces the one before at one moment."""

    def load(self, name: str) -> bytes | None:
        """None when nothing was saved, or what was saved is damaged, which is said then."""
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
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Log everything about the model in `folder`, register it and point `alias` at it; gives the version.

        `attachments` are its evidence, by file name; `description` (Markdown, shortened where the registry's limit is
        lower) and `tags` are the version's."""
        ...

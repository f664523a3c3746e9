"""The role of the document store. No transactions by design: compare-and-set on one document instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Document = dict[str, Any]
"""JSON values with a string `id`; the store adds an integer `version`, 1 at insert, +1 at each replace."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A named set of documents. `unique` lists groups of top-level fields whose values together occur once
    (documents that lack one of the fields, or hold null in it, are not constrained); `indexed` speeds up `find`."""

    name: str
    unique: tuple[tuple[str, ...], ...] = ()
    indexed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Between:
    """`low <= value < high`; a missing bound is open. Values are of one type (texts, or numbers)."""

    low: Scalar = None
    high: Scalar = None


@dataclass(frozen=True)
class OneOf:
    """The value is one of these."""

    values: tuple[Scalar, ...]


Where = Mapping[str, Scalar | Between | OneOf]
"""All conditions hold. A plain value means equality; None matches null and missing alike."""


class Documents(Protocol):
    """Documents by id inside declared collections.

    Each call is atomic and durable when it returns. Every method may raise Unavailable.
    """

    def declare(self, collection: Collection) -> None:
        """Make collection and indexes; idempotent, safe from several processes at once."""
        ...

    def insert(self, collection: str, document: Mapping[str, Any]) -> Document:
        """Store a new document and give it back with `version` 1.

        Raises Conflict, whose message names the unique fields, when the id or a unique key is taken.
        """
        ...

    def get(self, collection: str, id: str) -> Document:
        """Raises NotFound."""
        ...

    def find(
        self,
        collection: str,
        where: Where | None = None,
        *,
        sort: Sequence[str] = ("id",),
        skip: int = 0,
        limit: int | None = None,
    ) -> list[Document]:
        """Matching documents in order; a field in `sort` is prefixed `-` for descending, ties break by id."""
        ...

    def count(self, collection: str, where: Where | None = None) -> int: ...

    def replace(self, collection: str, document: Mapping[str, Any]) -> Document:
        """Compare-and-set: store `document` if the stored version equals its `version`; gives it back with
        the next version. Raises NotFound, or Conflict when the version moved on or a unique key is taken.
        Of several contenders with one version exactly one succeeds."""
        ...

    def delete(self, collection: str, id: str) -> None:
        """After this the id does not exist; deleting nothing is no error."""
        ...


def update(documents: Documents, collection: str, id: str, change: Any, *, attempts: int = 16) -> Document:
    """Read, apply `change(document) -> document | None` (None: leave as it is), compare-and-set, again on Conflict.

    Raises NotFound; Conflict after `attempts` lost races.
    """
    raise NotImplementedError

"""The role of the document store. No transactions by design: compare-and-set on one document instead."""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spira.kernel.errors import Conflict, InvalidInput, Problem

Document = dict[str, Any]
"""JSON values with a string `id`; the store adds an integer `version`, 1 at insert, +1 at each replace.

Field names, at any depth, hold no `.` and don't start with `$`; integers fit into 64 bits; floats are finite;
lists don't hold lists directly (what every store can hold; see `check_document`)."""

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
"""All conditions hold. A plain value means equality; None matches null and missing alike. Conditions are on
top-level fields that hold scalars; a value of another type doesn't match (`True` is not 1, `"1"` is not 1)."""


class Documents(Protocol):
    """Documents by id inside declared collections.

    Each call is atomic and durable when it returns. A process declares a collection before it uses it, else
    InvalidInput. Every method may raise Unavailable.
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

    Raises NotFound; Conflict after `attempts` lost races, or at once when a unique key is taken.
    """
    for attempt in range(attempts):
        current = documents.get(collection, id)
        version = current["version"]
        changed = change(current)
        if changed is None:
            return documents.get(collection, id) if current.get("version") != version else current
        try:
            return documents.replace(collection, {**changed, "id": id, "version": version})
        except Conflict:
            if documents.get(collection, id)["version"] == version:
                raise
            time.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311  # spreads contenders only
    raise Conflict(f"{collection} {id!r} changed under {attempts} attempts to update it")


_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_COLLECTION = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def check_collection(name: str) -> str:
    """Gives `name` back; raises InvalidInput when some store could not use it."""
    if _COLLECTION.fullmatch(name) is None:
        raise InvalidInput.of([Problem(where="collection", what=f"{name[:80]!r} must match {_COLLECTION.pattern}")])
    return name


def undeclared(collection: str) -> InvalidInput:
    """The error of whoever uses a collection without declaring it first."""
    return InvalidInput.of([Problem(where="collection", what=f"{collection[:80]!r} is not declared in this process")])


def check_field(name: str) -> str:
    """Gives the name of a top-level field back; raises InvalidInput when a condition or index can't use it."""
    if _FIELD.fullmatch(name) is None:
        raise InvalidInput.of([Problem(where="field", what=f"{name[:80]!r} must match {_FIELD.pattern}")])
    return name


def check_document(document: Mapping[str, Any]) -> Document:
    """A shallow copy of `document`; raises InvalidInput that names what a store could not hold."""
    problems = list(_problems(document, ""))
    if not isinstance(document.get("id"), str) or not document["id"]:
        problems.append(Problem(where="id", what="must be a text that isn't empty"))
    if "_id" in document:
        problems.append(Problem(where="_id", what="is the store's own", hint="use id"))
    if problems:
        raise InvalidInput.of(problems)
    return dict(document)


def _problems(value: object, where: str) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            path = f"{where}.{name}" if where else str(name)
            if not isinstance(name, str) or not name or "." in name or name.startswith("$"):
                yield Problem(where=path, what="a field's name holds no '.', doesn't start with '$' and isn't empty")
            yield from _problems(inner, path)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            if isinstance(inner, (list, tuple)):
                yield Problem(where=f"{where}[{index}]", what="is a list in a list", hint="put an object between")
            yield from _problems(inner, f"{where}[{index}]")
    elif what := _scalar_problem(value):
        yield Problem(where=where, what=what)


def _scalar_problem(value: object) -> str:
    match value:
        case None | bool():
            return ""
        case str():
            return "" if _is_utf8(value) else "is no text that UTF-8 can hold"
        case int():
            return "" if -(2**63) <= value < 2**63 else "does not fit into 64 bits"
        case float():
            return "" if math.isfinite(value) else f"{value} is no JSON number"
    return f"{type(value).__name__} is no JSON value"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

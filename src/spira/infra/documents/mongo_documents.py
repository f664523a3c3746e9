"""Documents in a server that speaks MongoDB's protocol: MongoDB, or FerretDB.

Uses what both have: no transactions, no partial indexes. Compare-and-set relies on MongoDB's atomic change of one
document, which FerretDB 1.24 does not give to concurrent writers (tests put a lock in front of it). A unique group of
fields is kept as one hidden field, written only when all of them hold something, under a sparse unique index.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo import ASCENDING, DESCENDING, MongoClient
from pymongo.collection import Collection as MongoCollection
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from spira.infra.documents.port import (
    Between,
    Collection,
    Document,
    OneOf,
    Scalar,
    Where,
    check_collection,
    check_document,
    check_field,
    undeclared,
)
from spira.infra.per_process import PerProcess
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem, Unavailable

Stored = dict[str, Any]
"""A document as the server holds it: `_id` for `id`, and the hidden fields."""

_HIDDEN = "__unique__"
_ANSWER_MS = 10_000


class MongoDocuments:
    """`url` names the database. Writes are acknowledged by a majority, in the journal."""

    def __init__(self, url: str) -> None:
        self._client: PerProcess[MongoClient[Stored]] = PerProcess(
            lambda: _connect(url), close=lambda client: client.close()
        )
        self._declared: dict[str, Collection] = {}
        self._declaring = threading.Lock()

    def declare(self, collection: Collection) -> None:
        check_collection(collection.name)
        with self._declaring, _errors_of(collection.name):
            stored = self._client.get().get_default_database()[collection.name]
            for fields in collection.unique:
                stored.create_index(_hidden(fields), unique=True, sparse=True, name=_hidden(fields))
            for field in collection.indexed:
                stored.create_index(check_field(field), name=f"indexed__{field}")
            self._declared[collection.name] = collection

    def insert(self, collection: str, document: Mapping[str, Any]) -> Document:
        new = check_document(document) | {"version": 1}
        with self._stored(collection) as (stored, declared), self._conflicts_told(stored, declared, new):
            stored.insert_one(_to_stored(new, declared))
        return _plain(new)

    def get(self, collection: str, id: str) -> Document:
        with self._stored(collection) as (stored, _):
            found = stored.find_one({"_id": id})
        if found is None:
            raise NotFound(f"{collection} {id!r} does not exist")
        return _from_stored(found)

    def find(
        self,
        collection: str,
        where: Where | None = None,
        *,
        sort: Sequence[str] = ("id",),
        skip: int = 0,
        limit: int | None = None,
    ) -> list[Document]:
        if limit == 0:  # the server's word for no limit
            return []
        with self._stored(collection) as (stored, _):
            found = stored.find(_filter(where or {}), sort=_order(sort), skip=skip, limit=limit or 0)
            return [_from_stored(one) for one in found]

    def count(self, collection: str, where: Where | None = None) -> int:
        with self._stored(collection) as (stored, _):
            return stored.count_documents(_filter(where or {}))

    def replace(self, collection: str, document: Mapping[str, Any]) -> Document:
        new = check_document(document)
        seen = new.get("version")
        if not isinstance(seen, int):
            raise InvalidInput.of([Problem(where="version", what="is missing", hint="replace what was read")])
        new["version"] = seen + 1
        with self._stored(collection) as (stored, declared), self._conflicts_told(stored, declared, new):
            changed = stored.replace_one({"_id": new["id"], "version": seen}, _to_stored(new, declared))
        if not changed.matched_count:
            now = self.get(collection, new["id"])["version"]
            raise Conflict(f"{collection} {new['id']!r} is at version {now}, not {seen}: read it again")
        return _plain(new)

    def delete(self, collection: str, id: str) -> None:
        with self._stored(collection) as (stored, _):
            stored.delete_one({"_id": id})

    @contextmanager
    def _stored(self, collection: str) -> Iterator[tuple[MongoCollection[Stored], Collection]]:
        if collection not in self._declared:
            raise undeclared(collection)
        with _errors_of(collection):
            yield self._client.get().get_default_database()[collection], self._declared[collection]

    @contextmanager
    def _conflicts_told(
        self, stored: MongoCollection[Stored], declared: Collection, document: Document
    ) -> Iterator[None]:
        """Servers differ in what they tell of the index, so that the other document is looked for."""
        try:
            yield
        except OperationFailure as error:
            if not _is_duplicate(error):
                raise
            keys = _unique_keys(document, declared)
            taken = (fields for fields, key in keys.items() if stored.find_one({_hidden(fields): key}))
            fields = ", ".join(next(taken, ("id",)))
            raise Conflict(f"{declared.name}: another document has the same {fields}") from error


def _connect(url: str) -> MongoClient[Stored]:
    return MongoClient(url, w="majority", serverSelectionTimeoutMS=_ANSWER_MS, connectTimeoutMS=_ANSWER_MS)


def _to_stored(document: Document, declared: Collection) -> Stored:
    fields = {name: value for name, value in document.items() if name != "id"}
    hidden = {_hidden(group): key for group, key in _unique_keys(document, declared).items()}
    return {"_id": document["id"], **fields, **hidden}


def _unique_keys(document: Document, declared: Collection) -> dict[tuple[str, ...], str]:
    values = {group: [document.get(name) for name in group] for group in declared.unique}
    return {group: json.dumps(found) for group, found in values.items() if None not in found}


def _from_stored(stored: Stored) -> Document:
    return {("id" if name == "_id" else name): v for name, v in stored.items() if not name.startswith(_HIDDEN)}


def _plain(document: Document) -> Document:
    """As it comes back from the store: own containers, lists for tuples."""
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]  # a document stays one


def _hidden(fields: Sequence[str]) -> str:
    return _HIDDEN + "__".join(map(check_field, fields))


def _filter(where: Where) -> Stored:
    return {_name(field): _condition(wanted) for field, wanted in where.items()}


def _condition(wanted: Scalar | Between | OneOf) -> Any:
    if isinstance(wanted, OneOf):
        return {"$in": list(wanted.values)}
    if isinstance(wanted, Between):
        bounds = {"$gte": wanted.low, "$lt": wanted.high}
        return {sign: bound for sign, bound in bounds.items() if bound is not None} or {"$ne": None}
    return wanted


def _order(sort: Sequence[str]) -> list[tuple[str, int]]:
    order = [(_name(f.removeprefix("-")), DESCENDING if f.startswith("-") else ASCENDING) for f in sort]
    return order if any(name == "_id" for name, _ in order) else [*order, ("_id", ASCENDING)]


def _name(field: str) -> str:
    return "_id" if field == "id" else check_field(field)


@contextmanager
def _errors_of(collection: str) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        reason = f"{type(error).__name__} {error.code}" if isinstance(error, OperationFailure) else type(error).__name__
        raise Unavailable(f"document store did not answer for {collection}: {reason}") from error


def _is_duplicate(error: OperationFailure) -> bool:
    """FerretDB tells a replace that breaks a unique index in SQLite's words."""
    return isinstance(error, DuplicateKeyError) or "UNIQUE constraint failed" in str(error)

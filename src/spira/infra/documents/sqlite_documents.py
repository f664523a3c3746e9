"""Documents as JSON in one SQLite file; declared fields get indexes over expressions."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from spira.infra.sqlite import SqliteFile
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem

Condition = tuple[str, list[Scalar]]
"""A piece of SQL with its parameters."""

_TYPES = {str: "('text')", bool: "('true', 'false')", int: "('integer', 'real')", float: "('integer', 'real')"}


class SqliteDocuments:
    """One table per collection: id, version, and the whole document as JSON."""

    def __init__(self, path: Path) -> None:
        self._file = SqliteFile(path)
        self._declared: set[str] = set()

    def declare(self, collection: Collection) -> None:
        table = _quoted(check_collection(collection.name))
        with self._file.writing() as db, _conflicts_told(collection.name):
            db.execute(
                f"CREATE TABLE IF NOT EXISTS {table}"
                " (id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL)"
            )
            for fields in collection.unique:
                name = _quoted(f"{collection.name}:unique:{'+'.join(fields)}")
                db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {name} ON {table} ({', '.join(map(_value, fields))})")
            for field in collection.indexed:
                name = _quoted(f"{collection.name}:indexed:{field}")
                db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {table} ({_value(field)})")
        self._declared.add(collection.name)

    def insert(self, collection: str, document: Mapping[str, Any]) -> Document:
        new = check_document(document) | {"version": 1}
        with self._writing(collection) as (db, table):
            db.execute(f"INSERT INTO {table} VALUES (?, 1, ?)", (new["id"], _to_json(new)))  # noqa: S608  # checked name
        return _from_json(_to_json(new))

    def get(self, collection: str, id: str) -> Document:
        with self._reading(collection) as (db, table):
            row = db.execute(f"SELECT body FROM {table} WHERE id = ?", (id,)).fetchone()  # noqa: S608  # checked name
        if row is None:
            raise NotFound(f"{collection} {id!r} does not exist")
        return _from_json(row[0])

    def find(
        self,
        collection: str,
        where: Where | None = None,
        *,
        sort: Sequence[str] = ("id",),
        skip: int = 0,
        limit: int | None = None,
    ) -> list[Document]:
        condition, values = _all_of(where or {})
        query = f"WHERE {condition} ORDER BY {_order(sort)} LIMIT ? OFFSET ?"
        with self._reading(collection) as (db, table):
            rows = db.execute(
                f"SELECT body FROM {table} {query}",  # noqa: S608  # names are checked, values are parameters
                [*values, -1 if limit is None else limit, skip],
            ).fetchall()
        return [_from_json(body) for (body,) in rows]

    def count(self, collection: str, where: Where | None = None) -> int:
        condition, values = _all_of(where or {})
        with self._reading(collection) as (db, table):
            query = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608  # checked names
            return int(db.execute(query, values).fetchone()[0])

    def replace(self, collection: str, document: Mapping[str, Any]) -> Document:
        new = check_document(document)
        seen = new.get("version")
        if not isinstance(seen, int):
            raise InvalidInput.of([Problem(where="version", what="is missing", hint="replace what was read")])
        new["version"] = seen + 1
        with self._writing(collection) as (db, table):
            changed = db.execute(
                f"UPDATE {table} SET version = ?, body = ? WHERE id = ? AND version = ?",  # noqa: S608  # checked name
                (seen + 1, _to_json(new), new["id"], seen),
            ).rowcount
            if not changed:
                self._say_why(db, table, collection=collection, id=new["id"], seen=seen)
        return _from_json(_to_json(new))

    def delete(self, collection: str, id: str) -> None:
        with self._writing(collection) as (db, table):
            db.execute(f"DELETE FROM {table} WHERE id = ?", (id,))  # noqa: S608  # checked name

    @staticmethod
    def _say_why(db: sqlite3.Connection, table: str, *, collection: str, id: str, seen: int) -> None:
        row = db.execute(f"SELECT version FROM {table} WHERE id = ?", (id,)).fetchone()  # noqa: S608  # checked name
        if row is None:
            raise NotFound(f"{collection} {id!r} does not exist")
        raise Conflict(f"{collection} {id!r} is at version {row[0]}, not {seen}: read it again")

    @contextmanager
    def _reading(self, collection: str) -> Iterator[tuple[sqlite3.Connection, str]]:
        table = self._table(collection)
        with self._file.reading() as db:
            yield db, table

    @contextmanager
    def _writing(self, collection: str) -> Iterator[tuple[sqlite3.Connection, str]]:
        table = self._table(collection)
        with self._file.writing() as db, _conflicts_told(collection):
            yield db, table

    def _table(self, collection: str) -> str:
        if collection not in self._declared:
            raise undeclared(collection)
        return _quoted(collection)


def _all_of(where: Where) -> Condition:
    parts = [_condition(field, wanted) for field, wanted in where.items()]
    return " AND ".join(sql for sql, _ in parts) or "1", [value for _, values in parts for value in values]


def _condition(field: str, wanted: Scalar | Between | OneOf) -> Condition:
    if isinstance(wanted, OneOf):
        parts = [_among(field, group) for group in _by_type(wanted.values)]
        return f"({' OR '.join(sql for sql, _ in parts) or '0'})", [value for _, values in parts for value in values]
    if isinstance(wanted, Between):
        return _between(field, wanted)
    return _among(field, [wanted])


def _among(field: str, values: list[Scalar]) -> Condition:
    """`values` are of one type."""
    if values[0] is None:
        return f"{_value(field)} IS NULL", []
    marks = ", ".join("?" * len(values))
    return f"({_value(field)} IN ({marks}) AND {_has_type_of(values[0], field)})", values


def _by_type(values: Iterable[Scalar]) -> list[list[Scalar]]:
    groups: dict[str, list[Scalar]] = {}
    for value in values:
        groups.setdefault("" if value is None else _TYPES[type(value)], []).append(value)
    return list(groups.values())


def _between(field: str, wanted: Between) -> Condition:
    bounds = [(sign, bound) for sign, bound in ((">=", wanted.low), ("<", wanted.high)) if bound is not None]
    if not bounds:
        return f"{_value(field)} IS NOT NULL", []
    parts = [f"{_value(field)} {sign} ?" for sign, _ in bounds]
    return " AND ".join([*parts, _has_type_of(bounds[0][1], field)]), [bound for _, bound in bounds]


def _has_type_of(value: Scalar, field: str) -> str:
    """SQLite's JSON turns booleans into numbers and lists into texts; the type tells them apart."""
    return f"json_type(body, '$.{check_field(field)}') IN {_TYPES[type(value)]}"


def _order(sort: Sequence[str]) -> str:
    parts = [f"{_value(field.removeprefix('-'))} {'DESC' if field.startswith('-') else 'ASC'}" for field in sort]
    return ", ".join([*parts, "id ASC"])


def _value(field: str) -> str:
    return "id" if field == "id" else f"json_extract(body, '$.{check_field(field)}')"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _to_json(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _from_json(text: str) -> Document:
    return json.loads(text)  # type: ignore[no-any-return]  # what was stored was a document


@contextmanager
def _conflicts_told(collection: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError as error:
        index = re.search(r":unique:([^']+)'", str(error))
        fields = index[1].replace("+", ", ") if index else "id"
        raise Conflict(f"{collection}: another document has the same {fields}") from error

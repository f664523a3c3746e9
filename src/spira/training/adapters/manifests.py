"""Manifests as files: CSV as spreadsheets write it, or Parquet."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Mapping
from typing import Any

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.dataset import RowProblem, Table

_PARQUET_MAGIC = b"PAR1"


def parse_manifest(data: bytes, *, name: str, base: str) -> Table:
    """The table in `data`; relative paths start at `base`.

    A byte order mark, Windows line ends and Latin-1 are understood; what was assumed is told in the notes.
    Raises InvalidInput when there is no table.
    """
    if data.startswith(_PARQUET_MAGIC):
        return _parquet(data, name=name, base=base)
    text, notes = _text(data, name=name)
    return _csv(text, name=name, base=base, notes=notes)


def _text(data: bytes, *, name: str) -> tuple[str, tuple[str, ...]]:
    if b"\0" in data:
        raise InvalidInput.of([Problem(where=name, what="is no text", hint="save it as CSV in UTF-8, or as Parquet")])
    notes: tuple[str, ...] = ("has a byte order mark",) if data.startswith(b"\xef\xbb\xbf") else ()
    notes += ("has Windows line ends",) if b"\r\n" in data else ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        notes += ("is not UTF-8; read as Latin-1",)
    return text, tuple(f"{name} {note}" for note in notes)


def _csv(text: str, *, name: str, base: str, notes: tuple[str, ...]) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(number, fields) for number, fields in enumerate(reader, start=1) if fields]
    except csv.Error as error:
        raise InvalidInput.of([Problem(where=f"{name}, line {reader.line_num}", what=f"is no CSV: {error}")]) from error
    if not lines:
        raise InvalidInput.of([Problem(where=name, what="is empty", hint="the first line names the columns")])
    columns = tuple(column.strip() for column in lines[0][1])
    _refuse_bad_header(columns, name=name)
    rows, problems = [], []
    for line, fields in lines[1:]:
        if len(fields) != len(columns):
            what = f"has {len(fields)} fields, the header has {len(columns)}"
            problems.append(RowProblem(line=line, field="row", what=what))
            continue
        rows.append((line, dict(zip(columns, fields, strict=True))))
    return Table(name=name, base=base, columns=columns, rows=tuple(rows), problems=tuple(problems), notes=notes)


def _refuse_bad_header(columns: tuple[str, ...], *, name: str) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise InvalidInput.of([Problem(where=name, what=f"column {column!r} is there twice") for column in twice])
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t"):
        raise InvalidInput.of([Problem(where=name, what="has no commas", hint="separate the columns by commas")])


def _parquet(data: bytes, *, name: str, base: str) -> Table:
    parquet: Any = importlib.import_module("pyarrow.parquet")  # heavy, and without annotations
    try:
        table = parquet.read_table(io.BytesIO(data))
    except (ValueError, OSError) as error:
        raise InvalidInput.of([Problem(where=name, what=f"is no Parquet that can be read: {error}")]) from error
    rows: list[tuple[int, Mapping[str, str]]] = [
        (line, {column: _cell(value) for column, value in row.items()})
        for line, row in enumerate(table.to_pylist(), start=2)
    ]
    return Table(name=name, base=base, columns=tuple(table.column_names), rows=tuple(rows))


def _cell(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)

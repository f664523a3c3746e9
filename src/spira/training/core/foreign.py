"""Tables of others, read into our manifest's columns: any CSV with a mapping, and the published SPIRA P1 layout."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.dataset import CLASS_NAMES, LABELS, OPTIONAL, REQUIRED, SEXES, UNKNOWN, RowProblem, Table

Layout = Literal["columns", "spira-p1"]

_ALIASES = {
    "path": ("file_path", "audio_path"),
    "participant_id": ("speaker_id",),
    "sex": ("gender", "sexo"),
    "age": ("idade",),
    "group": ("freesound_group",),
}
_LONGEST = 200  # characters of a value that is taken over as it is
# A donation on the web is called by its donor and the number of the prompt: 1 the sentence, 2 and 3 rhymes.
_P1_DONATION = re.compile(r"(?P<who>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})_(?P<prompt>[123])")


@dataclass(frozen=True, kw_only=True)
class ForeignRow:
    """One recording as its table tells it; `participant` still identifies a person and must not be written.

    `values` holds the manifest's optional columns that were given, checked where they have a rule.
    """

    table: str
    line: int
    path: str
    participant: str
    label: str
    values: Mapping[str, str] = field(default_factory=dict)

    def problem(self, where: str, what: str, hint: str = "") -> Problem:
        return RowProblem(line=self.line, field=where, what=what, hint=hint).as_problem(self.table)


def read_foreign(table: Table, *, layout: Layout, mapping: Mapping[str, str]) -> tuple[list[ForeignRow], list[Problem]]:
    """Rows that can be understood and what is wrong with the others.

    `mapping`: our column name to theirs. Raises InvalidInput when a required column is missing.
    """
    columns = _p1_columns(table) if layout == "spira-p1" else _columns(table, mapping)
    problems = [problem.as_problem(table.name) for problem in table.problems]
    rows = []
    for line, fields in table.rows:
        given = {name: fields.get(column, "").strip() for name, column in columns.items()}
        if layout == "spira-p1":
            given |= _p1_identity(given["path"])
        row, found = _row(table.name, line, given)
        problems += found
        if row is not None:
            rows.append(row)
    return rows, problems


def relations(rows: Sequence[ForeignRow]) -> list[Problem]:
    """What is wrong between rows of all tables together; each row that takes part is named."""
    by_path, by_person = defaultdict(list), defaultdict(list)
    for row in rows:
        by_path[row.path].append(row)
        by_person[row.participant].append(row)
    problems = []
    for same in by_path.values():
        problems += [row.problem("path", f"is the same file as in {_place(same[0])}") for row in same[1:]]
    for same in by_person.values():
        if len({row.label for row in same}) > 1:
            problems += [row.problem("label", "this participant is in both classes") for row in same]
        if len({row.values.get("fold", "") for row in same}) > 1:
            problems += [row.problem("fold", "this participant is in more than one fold") for row in same]
    return problems


def noise_paths(table: Table, mapping: Mapping[str, str]) -> list[tuple[int, dict[str, str]]]:
    """Line, and `path`, `kind` and `group` of each noise clip.

    The published noise lists have one column and no header: their first line is a clip like the others.
    """
    if len(table.columns) == 1 and table.columns[0] not in {"path", *_ALIASES["path"], *mapping.values()}:
        column = table.columns[0]
        return [(1, {"path": column}), *((line, {"path": row[column].strip()}) for line, row in table.rows)]
    columns = _named(table, mapping, required=("path",), optional=("kind", "group"))
    return [(line, {name: row[column].strip() for name, column in columns.items()}) for line, row in table.rows]


def left_out(table: Table, *, layout: Layout, mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Columns of theirs that don't come along."""
    taken = _p1_columns(table) if layout == "spira-p1" else _columns(table, mapping)
    return tuple(column for column in table.columns if column not in taken.values())


def _columns(table: Table, mapping: Mapping[str, str]) -> dict[str, str]:
    return _named(table, mapping, required=REQUIRED, optional=OPTIONAL)


def _named(
    table: Table, mapping: Mapping[str, str], *, required: Sequence[str], optional: Sequence[str]
) -> dict[str, str]:
    known = (*required, *optional)
    problems = [
        Problem(where=f"--map {name}={column}", what=what, hint=f"there are {', '.join(choices)}")
        for name, column in mapping.items()
        for what, choices, bad in (
            (f"{name!r} is no column of a manifest", known, name not in known),
            (f"{table.name} has no column {column!r}", table.columns, column not in table.columns),
        )
        if bad
    ]
    columns = {}
    for name in known:
        choices = [mapping[name]] if name in mapping else [name, *_ALIASES.get(name, ())]
        found = next((column for column in choices if column in table.columns), None)
        if found is not None:
            columns[name] = found
        elif name in required and name not in mapping:
            hint = f"tell with --map {name}=COLUMN; there are {', '.join(table.columns)}"
            problems.append(Problem(where=f"{table.name}, column {name!r}", what="is missing", hint=hint))
    if problems:
        raise InvalidInput.of(problems)
    return columns


def _p1_columns(table: Table) -> dict[str, str]:
    """`file_path,class,sexo,idade`. `nivel_falta_de_ar` is 5 for patients by construction: it is the label again."""
    missing = [name for name in ("file_path", "class") if name not in table.columns]
    if missing:
        hint = "the published layout is file_path,class,sexo,idade,nivel_falta_de_ar"
        raise InvalidInput.of(
            [Problem(where=f"{table.name}, column {name!r}", what="is missing", hint=hint) for name in missing]
        )
    theirs = {"path": "file_path", "label": "class", "sex": "sexo", "age": "idade"}
    return {name: column for name, column in theirs.items() if column in table.columns}


def _p1_identity(path: str) -> dict[str, str]:
    """Who and what from a published name: `<uuid>_<1|2|3>.wav` of a donor, or one message of a ward per patient."""
    stem = re.split(r"[/\\]", path)[-1].rpartition(".")[0]
    donation = _P1_DONATION.fullmatch(stem)
    if donation is None:
        return {"participant_id": stem, "task": "sentence", "label_source": "spira-p1"}
    task = "sentence" if donation["prompt"] == "1" else "rhyme"
    return {"participant_id": donation["who"].lower(), "task": task, "label_source": "spira-p1"}


def _row(table: str, line: int, given: Mapping[str, str]) -> tuple[ForeignRow | None, list[Problem]]:
    problems = [
        RowProblem(line=line, field=name, what="is empty").as_problem(table)
        for name in ("path", "participant_id")
        if not given[name]
    ]

    def wrong(name: str, hint: str) -> None:
        what = f"{given[name][:40]!r} can't be understood" if given[name] else "is empty"
        problems.append(RowProblem(line=line, field=name, what=what, hint=hint).as_problem(table))

    label = LABELS.get(given["label"].lower())
    if label is None:
        wrong("label", "control or patient (0 or 1)")
    values = {name: given[name] for name in OPTIONAL if given.get(name, "").lower() not in UNKNOWN}
    for name, hint in _unreadable(values):
        wrong(name, hint)
    if problems or label is None:
        return None, problems
    if "sex" in values:
        values["sex"] = SEXES[values["sex"].lower()]
    row = ForeignRow(
        table=table,
        line=line,
        path=given["path"],
        participant=given["participant_id"],
        label=CLASS_NAMES[label],
        values=values,
    )
    return row, []


def _unreadable(values: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    rules: dict[str, tuple[str, Callable[[str], bool]]] = {
        "sex": ("f, m or other", lambda text: text.lower() in SEXES),
        "age": ("years, 0 to 130", lambda text: _number(text) is not None and 0 <= float(text) <= 130),
        "fold": ("0, 1, 2 …", lambda text: text.isdecimal()),
        "matched_pair": ("a number, or -1", lambda text: text.removeprefix("-").isdecimal()),
    }
    for name, text in values.items():
        if name in rules and not rules[name][1](text):
            yield name, rules[name][0]
        elif len(text) > _LONGEST:
            yield name, f"at most {_LONGEST} characters"


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text) else None


def _place(row: ForeignRow) -> str:
    return f"{row.table}, row {row.line}"

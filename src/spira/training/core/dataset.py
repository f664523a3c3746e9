"""Rows of a data set's manifest: their text as values, and what can't be understood of it.

What the values must satisfy, alone and together, is in `schema`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.drift import DriftConfig
from spira.voice.quality import QualityRules

Label = Literal[0, 1]
LABELS: Mapping[str, Label] = {"control": 0, "patient": 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}
CLASS_NAMES = ("control", "patient")

REQUIRED = ("path", "participant_id", "label")
OPTIONAL = (
    "recording_id", "task", "sex", "age", "site", "device", "mask", "cause", "collected_at", "label_source", "fold",
    "matched_pair",
)  # fmt: skip
_ALIASES = {"participant_id": ("speaker_id",), "group": ("freesound_group",)}
_AGE_BANDS = ((40.0, "<40"), (60.0, "40-59"), (float("inf"), "60+"))
SEXES: Mapping[str, str] = {
    **dict.fromkeys(("f", "female", "woman", "feminino", "mulher"), "f"),
    **dict.fromkeys(("m", "male", "man", "masculino", "homem"), "m"),
    **dict.fromkeys(("o", "other", "outro"), "other"),
}
UNKNOWN = frozenset(("", "na", "n/a", "nan", "none", "null", "-", "unknown"))
"""Words that say that a value is not known."""
_WHOLE = re.compile(r"(-?\d{1,9})(?:\.0*)?")


class DatasetConfig(BaseModel):
    """How a manifest is read and what becomes of recordings that can't be used."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    columns: dict[str, str] = {}
    """Names of the manifest's columns where they differ: `{"participant_id": "patient_hash"}`."""
    noise_columns: dict[str, str] = {}
    task: str = "sustained"
    """Recordings of another task are left out; a row without a task counts."""
    policy: Literal["refuse", "drop"] = "refuse"
    """`refuse`: any problem stops the training. `drop`: the rows with problems are left out and listed."""
    quality: QualityRules = QualityRules()
    min_participants: int = Field(default=4, ge=4)
    """Fewest people of each class."""
    label_sources: tuple[str, ...] = ("doctor", "physician", "clinician", "diagnosis", "icd", "spira-p1", "synthetic")
    """What a row's `label_source` may say. A label is a doctor's diagnosis: never an oxygen saturation, nor a name.
    `spira-p1` is the published corpus, whose labels are doctors'; `synthetic` are voices that a program made."""
    min_age_years: float = Field(default=1.0, ge=0.0)
    """A lower age stands for one that nobody knew."""
    max_age_span_years: float = Field(default=10.0, ge=0.0)
    """Within the recordings of one participant; a wider one means that two people share the id."""
    max_pair_gap_years: float = Field(default=5.0, ge=0.0)
    """Between the two people of a matched pair."""
    copies: Literal["refuse", "ignore"] = "refuse"
    """Recordings that are copies of another person's at another gain or cut; equal samples are always refused."""
    series: str = Field(default="default", pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Name under which data sets are accepted one after the other; the last one is compared with."""
    drift: DriftConfig = DriftConfig()
    evaluation_digest: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Content digest that the evaluation data set must have, so that it stays frozen; empty: any."""


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """Something wrong with one row (its line in the file, the header being 1) and one field."""

    line: int
    field: str
    what: str
    hint: str = ""

    def as_problem(self, manifest: str) -> Problem:
        return Problem(where=f"{manifest}, row {self.line}, {self.field}", what=self.what, hint=self.hint)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A manifest as text: values by column for each row, whatever the file's format was."""

    name: str
    base: str
    """Where relative paths start: a folder, or a prefix of objects."""
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    problems: tuple[RowProblem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One recording as the manifest tells it; the participant's id is still the one of the manifest."""

    line: int
    path: str
    participant: str
    label: Label
    task: str
    age: float | None
    fold: int | None
    matched_pair: int | None
    facets: Mapping[str, str]
    label_source: str = ""
    collected_at: datetime | None = None


def read_rows(table: Table, config: DatasetConfig) -> tuple[list[Row], list[RowProblem]]:
    """The rows with a path, a participant and a label, and everything that is wrong in the table. A row with a
    problem in another field is among the rows, so that what is wrong with its recording is found as well.

    Raises InvalidInput when a required column is missing or no row is left.
    """
    columns = _columns(table, config.columns, required=REQUIRED, optional=OPTIONAL)
    problems = list(table.problems)
    rows = []
    for line, given in _given(table, columns):
        row, found = _row(line, given)
        problems += found
        if row is not None and row.task in {"", config.task}:
            rows.append(row)
    if not rows and not problems:
        tasks = sorted({values.get(columns.get("task", ""), "") for _, values in table.rows})
        what = f"has no recording of task {config.task!r}" if table.rows else "has no rows"
        raise InvalidInput.of(
            [Problem(where=table.name, what=what, hint=f"tasks: {', '.join(tasks)}" if tasks else "")]
        )
    return rows, problems


def read_paths(table: Table, config: DatasetConfig) -> dict[int, str]:
    """By line, the path of every row of the task, also where nothing else of it can be understood."""
    columns = _columns(table, config.columns, required=REQUIRED, optional=OPTIONAL)
    return {
        line: given["path"]
        for line, given in _given(table, columns)
        if given["path"] and given.get("task", "") in {"", config.task}
    }


def read_noise(table: Table, config: DatasetConfig) -> tuple[list[tuple[int, str, str, str]], list[RowProblem]]:
    """Line, path, kind and group of each noise clip."""
    columns = _columns(table, config.noise_columns, required=("path",), optional=("kind", "group"))
    clips, problems = [], list(table.problems)
    for line, given in _given(table, columns):
        if not given["path"]:
            problems.append(RowProblem(line=line, field="path", what="is empty"))
            continue
        clips.append((line, given["path"], given.get("kind", ""), given.get("group", "")))
    return clips, problems


def _given(table: Table, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each row, under our names, without the blanks around them."""
    for line, values in table.rows:
        yield line, {name: values.get(column, "").strip() for name, column in columns.items()}


def age_band(age: float | None) -> str:
    """One of `<40`, `40-59`, `60+`, or nothing."""
    return "" if age is None else next(name for bound, name in _AGE_BANDS if age < bound)


def _columns(
    table: Table, mapping: Mapping[str, str], *, required: Sequence[str], optional: Sequence[str]
) -> dict[str, str]:
    problems = [
        Problem(where=f"{table.name}, column {column!r}", what=f"is not there; {name!r} was to be read from it")
        for name, column in mapping.items()
        if column not in table.columns
    ]
    columns = {}
    for name in (*required, *optional):
        choices = [mapping[name]] if name in mapping else [name, *_ALIASES.get(name, ())]
        found = next((column for column in choices if column in table.columns), None)
        if found is not None:
            columns[name] = found
        elif name in required and name not in mapping:
            hint = f"name it under dataset.columns; there are {', '.join(table.columns)}"
            problems.append(Problem(where=f"{table.name}, column {name!r}", what="is missing", hint=hint))
    if problems:
        raise InvalidInput.of(problems)
    return columns


def _row(line: int, given: Mapping[str, str]) -> tuple[Row | None, list[RowProblem]]:
    problems: list[RowProblem] = []

    def wrong(field: str, what: str, hint: str = "") -> None:
        problems.append(RowProblem(line=line, field=field, what=what, hint=hint))

    for name in ("path", "participant_id"):
        if not given[name]:
            wrong(name, "is empty")
    label = LABELS.get(given["label"].lower())
    if label is None:
        wrong(
            "label", f"{given['label']!r} is unknown" if given["label"] else "is empty", "control or patient (0 or 1)"
        )
    age = _number(given.get("age", ""), lambda text: wrong("age", f"{text!r} is no age in years"), high=130.0)
    fold = _whole(given.get("fold", ""), lambda text: wrong("fold", f"{text!r} is no number from 0"), low=0)
    pair = _whole(given.get("matched_pair", ""), lambda text: wrong("matched_pair", f"{text!r} is no number"), low=-1)
    sex = _sex(given.get("sex", ""), lambda text: wrong("sex", f"{text!r} is unknown", "f, m or other"))
    collected_at = _moment(
        given.get("collected_at", ""), lambda text: wrong("collected_at", f"{text!r} is no date", "such as 2021-05-31")
    )
    if label is None or not given["path"] or not given["participant_id"]:
        return None, problems
    facets = {name: given[name] for name in ("site", "device", "mask", "cause") if given.get(name)}
    row = Row(
        line=line,
        path=given["path"],
        participant=given["participant_id"],
        label=label,
        task=given.get("task", ""),
        age=age,
        fold=fold,
        matched_pair=None if pair is None or pair < 0 else pair,
        facets=({"sex": sex} if sex else {}) | facets | ({"age_band": age_band(age)} if age is not None else {}),
        label_source=given.get("label_source", "").lower(),
        collected_at=collected_at,
    )
    return row, problems


def _number(text: str, wrong: Callable[[str], None], *, high: float) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= high:
        wrong(text)
        return None
    return number


def _whole(text: str, wrong: Callable[[str], None], *, low: int) -> int | None:
    if not text:
        return None
    match = _WHOLE.fullmatch(text)
    if match is None or int(match.group(1)) < low:
        wrong(text)
        return None
    return int(match.group(1))


def _sex(text: str, wrong: Callable[[str], None]) -> str:
    if text.lower() in UNKNOWN:
        return ""
    if text.lower() not in SEXES:
        wrong(text)
    return SEXES.get(text.lower(), "")


def _moment(text: str, wrong: Callable[[str], None]) -> datetime | None:
    """A date or a moment by ISO 8601."""
    if text.lower() in UNKNOWN:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        wrong(text)
        return None

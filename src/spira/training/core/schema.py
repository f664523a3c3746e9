"""What the rows of a manifest must satisfy, alone and together, as one pandera schema that tells all failures at once.

    rows -> frame of values and of what the rows of a person or a pair have in common -> schema -> RowProblems

Reading text as values is `dataset`'s; listening to recordings is the use case's. pandas and pandera load on use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spira.training.core.dataset import DatasetConfig, Row, RowProblem

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """A bound on a column of the frame, and how breaking it is told: `what` is filled in from the frame's row."""

    column: str
    field: str
    what: str
    hint: str = ""
    least: float | None = None
    most: float | None = None
    one_of: tuple[str, ...] = ()


def row_problems(rows: Sequence[Row], config: DatasetConfig, *, now: datetime) -> list[RowProblem]:
    """Everything that is wrong with the values of rows, in the order of the rules."""
    import pandera.errors

    if not rows:
        return []
    frame = _frame(rows, now=now)
    rules = _rules(config)
    try:
        _schema(rules).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        failures = error.failure_cases
        broken = sorted(set(zip(map(int, failures["check"]), map(int, failures["index"]), strict=True)))
        return [_problem(rules[number], line, frame.loc[line].to_dict()) for number, line in broken]
    return []


def lone_pairs(rows: Sequence[Row]) -> list[int]:
    """Pairs of which only one person is left, so that nothing is matched."""
    people: dict[int, set[str]] = {}
    for row in rows:
        if row.matched_pair is not None:
            people.setdefault(row.matched_pair, set()).add(row.participant)
    return sorted(pair for pair, names in people.items() if len(names) == 1)


def _rules(config: DatasetConfig) -> tuple[_Rule, ...]:
    same_pair = "pair {pair:.0f}"
    return (
        _Rule(column="age", field="age", what="{age:g} is no age", hint="leave it empty", least=config.min_age_years),
        _Rule(
            column="label_source",
            field="label_source",
            what="{label_source!r} is no doctor's diagnosis",
            hint=f"one of {', '.join(config.label_sources)}; never an oxygen saturation or a file's name",
            one_of=("", *(name.lower() for name in config.label_sources)),
        ),
        _Rule(column="in_future", field="collected_at", what="lies in the future", most=0),
        _Rule(
            column="repeats", field="path", what="is the same as in row {first_row}", hint="keep one of them", most=0
        ),
        _Rule(
            column="person_classes",
            field="label",
            what="one participant is in both classes (rows {person_rows})",
            most=1,
        ),
        _Rule(column="person_folds", field="fold", what="one participant is in more than one fold", most=1),
        _Rule(column="fold_missing", field="fold", what="is empty while other rows have one", most=0),
        _Rule(
            column="person_sexes",
            field="sex",
            what="differs between the recordings of one participant (rows {person_rows})",
            hint="two people may share the id",
            most=1,
        ),
        _Rule(
            column="person_age_span",
            field="age",
            what="differs by {person_age_span:g} years between the recordings of one participant (rows {person_rows})",
            hint="two people may share the id",
            most=config.max_age_span_years,
        ),
        _Rule(
            column="person_pairs", field="matched_pair", what="one participant is in more than one pair", most=1
        ),
        _Rule(
            column="pair_crowd",
            field="matched_pair",
            what=f"{same_pair} has {{pair_patients:.0f}} patients and {{pair_controls:.0f}} controls",
            hint="one of each, or -1",
            most=1,
        ),
        _Rule(column="pair_sexes", field="matched_pair", what=f"{same_pair} joins people of different sex", most=1),
        _Rule(
            column="pair_age_gap",
            field="matched_pair",
            what=f"{same_pair} joins people {{pair_age_gap:g}} years apart",
            hint=f"at most {config.max_pair_gap_years:g}",
            most=config.max_pair_gap_years,
        ),
    )  # fmt: skip


def _schema(rules: Sequence[_Rule]) -> pa.DataFrameSchema:
    """One column per name, with the checks of all its rules; a check is called by the number of its rule."""
    import pandera.pandas as pa

    checks: dict[str, list[pa.Check]] = {}
    for number, rule in enumerate(rules):
        checks.setdefault(rule.column, []).append(_check(rule, str(number)))
    return pa.DataFrameSchema({name: pa.Column(checks=own, nullable=True) for name, own in checks.items()})


def _check(rule: _Rule, name: str) -> pa.Check:
    import pandera.pandas as pa

    if rule.one_of:
        return pa.Check.isin(rule.one_of, error=name)
    if rule.least is not None:
        return pa.Check.greater_than_or_equal_to(rule.least, error=name)
    return pa.Check.less_than_or_equal_to(rule.most, error=name)


def _problem(rule: _Rule, line: int, values: Mapping[Any, Any]) -> RowProblem:
    return RowProblem(line=line, field=rule.field, what=rule.what.format(**values), hint=rule.hint)


def _frame(rows: Sequence[Row], *, now: datetime) -> pd.DataFrame:
    """Values by line, float where a number may be missing, with what rows have in common beside each of them."""
    import pandas as pd

    frame = pd.DataFrame(
        {
            "path": [row.path for row in rows],
            "participant": [row.participant for row in rows],
            "label": [row.label for row in rows],
            "sex": [row.facets.get("sex") for row in rows],
            "age": pd.Series([row.age for row in rows], dtype=float),
            "fold": pd.Series([row.fold for row in rows], dtype=float),
            "pair": pd.Series([row.matched_pair for row in rows], dtype=float),
            "label_source": [row.label_source for row in rows],
            "in_future": [int(_is_after(row.collected_at, now)) for row in rows],
            "line": [row.line for row in rows],
        }
    )
    frame.index = pd.Index(frame["line"])
    frame["first_row"] = frame.groupby("path")["line"].transform("min")
    frame["repeats"] = (frame["first_row"] != frame["line"]).astype(int)
    frame["fold_missing"] = (frame["fold"].isna() & bool(frame["fold"].notna().any())).astype(int)
    return _with_pairs(_with_people(frame))


def _with_people(frame: pd.DataFrame) -> pd.DataFrame:
    people = frame.groupby("participant")
    text = people["line"].agg(lambda lines: ", ".join(map(str, lines)))
    frame["person_rows"] = frame["participant"].map(text)
    for name, column in (("classes", "label"), ("folds", "fold"), ("sexes", "sex"), ("pairs", "pair")):
        frame[f"person_{name}"] = people[column].transform("nunique")
    frame["person_age_span"] = people["age"].transform("max") - people["age"].transform("min")
    return frame


def _with_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts of people, not of rows; nothing where a row is in no pair."""
    pairs = frame.dropna(subset="pair").drop_duplicates(["pair", "participant"]).groupby("pair")
    frame["pair_patients"] = frame["pair"].map(pairs["label"].sum())
    frame["pair_controls"] = frame["pair"].map(pairs["label"].count() - pairs["label"].sum())
    frame["pair_crowd"] = frame[["pair_patients", "pair_controls"]].max(axis=1)
    frame["pair_sexes"] = frame["pair"].map(pairs["sex"].nunique())
    frame["pair_age_gap"] = frame["pair"].map(pairs["age"].max() - pairs["age"].min())
    return frame


def _is_after(moment: datetime | None, now: datetime) -> bool:
    """A moment without a zone is taken for one in the zone of `now`."""
    if moment is None:
        return False
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)) > now

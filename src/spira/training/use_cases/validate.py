"""The door of training: reads every recording once, tells all problems at once, lets pseudonyms in and nothing else.

rows -> what they must satisfy -> recordings heard -> copies and people in two places -> cohorts, census, shifts
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spira.kernel.clock import Clock, utc_now
from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.census import Take, content_digest, counts_of, qualities_of, summary_of
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.dataset import CLASS_NAMES, DatasetConfig, Table
from spira.training.core.drift import Shift, Summary, compare, refused
from spira.training.ports import Pseudonym, Recordings, Tell
from spira.training.use_cases.copies import Entry
from spira.training.use_cases.sources import (
    Count,
    Source,
    count_recordings,
    find_copies,
    named_apart,
    read_noise_source,
    read_source,
    without_lone_pairs,
)


@dataclass(frozen=True, kw_only=True)
class Validated:
    """The usable cohorts, everything that was wrong, and which rows were dropped for it."""

    cohort: Cohort
    evaluation: Cohort | None = None
    """The frozen evaluation data set, when there is one."""
    problems: tuple[Problem, ...] = ()
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Lines by manifest."""
    notes: tuple[str, ...] = ()
    takes: tuple[Take, ...] = ()
    """The cohort's recordings as a census sees them; participants by the ids of the manifest."""
    evaluation_takes: tuple[Take, ...] = ()
    shifts: tuple[Shift, ...] = ()
    """Against the last accepted data set."""

    @property
    def digest(self) -> str:
        return content_digest(self.takes)

    @property
    def evaluation_digest(self) -> str:
        return content_digest(self.evaluation_takes) if self.evaluation is not None else ""

    def report(self) -> dict[str, Any]:
        """Everything that is told about the check, as JSON values."""
        return {
            "problems": [problem.as_dict() for problem in self.problems],
            "dropped": {name: list(lines) for name, lines in self.dropped.items()},
            "notes": list(self.notes),
            "shifts": [shift.as_dict() for shift in self.shifts],
            "data": _description(self.takes),
            "evaluation": None if self.evaluation is None else _description(self.evaluation_takes),
        }


def validate(
    table: Table,
    noise: Table | None,
    *,
    config: DatasetConfig,
    recordings: Recordings,
    pseudonym: Pseudonym,
    tell: Tell,
    evaluation: Table | None = None,
    accepted: Summary | None = None,
    clock: Clock = utc_now,
) -> Validated:
    """Check manifests and recordings. With policy `drop` the rows with problems are left out.

    `evaluation` is a frozen data set that shares nobody and nothing with `table`; a row that is in both is wrong in
    `table`. Raises InvalidInput with all problems when the policy is `refuse` and there are any, when columns are
    missing, when too few people are left, when the evaluation set is not the one that was named, or when the policy
    on shifts from the `accepted` data set refuses one.
    """
    given = [one for one in (table, evaluation, noise) if one is not None]
    named = named_apart(given)
    hiss = named.pop() if noise is not None else None
    count = Count(tell=tell, total=count_recordings(named, hiss, config))
    sources = [read_source(one, config, recordings=recordings, count=count, clock=clock) for one in named]
    notes = [note for one in given for note in one.notes]
    notes += find_copies(sources, config, recordings=recordings)
    notes += [note for source in sources for note in without_lone_pairs(source)]
    if hiss is not None:
        sources.append(read_noise_source(hiss, config, recordings=recordings, count=count))
    problems = _refuse_problems(sources, config)
    people = sources[: len(named)]
    for source in people:
        _refuse_too_few(source, config, problems=problems)
    checked = _validated(people, notes=notes, pseudonym=pseudonym, accepted=accepted, config=config)
    checked = replace(
        checked,
        cohort=checked.cohort.model_copy(update={"noise": sources[-1].clips}),
        problems=problems,
        dropped={source.table.name: tuple(sorted(source.bad)) for source in sources},
    )
    _refuse_another_evaluation(checked, config)
    _refuse_shifts(checked, config)
    return checked


def _validated(
    people: Sequence[Source],
    *,
    notes: Sequence[str],
    pseudonym: Pseudonym,
    accepted: Summary | None,
    config: DatasetConfig,
) -> Validated:
    takes = [_takes(source) for source in people]
    cohorts = [_cohort(source, pseudonym) for source in people]
    return Validated(
        cohort=cohorts[0],
        evaluation=cohorts[1] if len(cohorts) > 1 else None,
        notes=tuple(notes),
        takes=takes[0],
        evaluation_takes=takes[1] if len(takes) > 1 else (),
        shifts=() if accepted is None else tuple(compare(accepted, summary_of(takes[0]), config.drift)),
    )


def _refuse_problems(sources: Sequence[Source], config: DatasetConfig) -> tuple[Problem, ...]:
    found = tuple(problem for source in sources for problem in source.told())
    if found and config.policy == "refuse":
        raise InvalidInput(_headline(found), problems=found)
    return found


def _cohort(source: Source, pseudonym: Pseudonym) -> Cohort:
    return Cohort(recordings=tuple(_recording(entry, pseudonym) for entry in source.good))


def _recording(entry: Entry, pseudonym: Pseudonym) -> Recording:
    row, heard = entry.row, entry.heard
    return Recording(
        row=row.line,
        location=entry.location,
        sha256=heard.sha256,
        duration_s=heard.duration_s,
        participant=pseudonym(row.participant),
        label=row.label,
        fold=row.fold,
        matched_pair=row.matched_pair,
        age=row.age,
        facets=dict(row.facets),
        shortcuts=dict(heard.shortcuts),
    )


def _takes(source: Source) -> tuple[Take, ...]:
    return tuple(
        Take(
            participant=entry.row.participant,
            label=entry.row.label,
            age=entry.row.age,
            facets=entry.row.facets,
            quality=entry.heard.quality,
            sha256=entry.heard.sha256,
        )
        for entry in source.good
        if entry.heard.quality is not None
    )


def _refuse_too_few(source: Source, config: DatasetConfig, *, problems: Sequence[Problem]) -> None:
    people = {entry.row.participant: entry.row.label for entry in source.good}
    counts = [list(people.values()).count(label) for label in (0, 1)]
    few = [
        Problem(
            where=source.table.name,
            what=f"has {count} usable people of class {name}",
            hint=f"at least {config.min_participants} are needed",
        )
        for name, count in zip(CLASS_NAMES, counts, strict=True)
        if count < config.min_participants
    ]
    if few:
        raise InvalidInput(str(few[0]), problems=[*few, *problems])


def _refuse_another_evaluation(checked: Validated, config: DatasetConfig) -> None:
    wanted = config.evaluation_digest
    if wanted and wanted != checked.evaluation_digest:
        what = f"is not the frozen one: its content has the digest {checked.evaluation_digest or 'of nothing'}"
        hint = f"dataset.evaluation_digest wants {wanted}"
        raise InvalidInput.of([Problem(where="evaluation data set", what=what, hint=hint)])


def _refuse_shifts(checked: Validated, config: DatasetConfig) -> None:
    hint = "accept the data set knowingly (spira data accept), or set dataset.drift.policy to 'note'"
    problems = [
        Problem(where=f"data set, {one.name}", what=f"differs from the last accepted one: {one.reason}", hint=hint)
        for one in refused(checked.shifts, config.drift)
    ]
    if problems:
        raise InvalidInput.of(problems)


def _description(takes: Sequence[Take]) -> dict[str, Any]:
    return {"digest": content_digest(takes), "counts": counts_of(takes), "quality": qualities_of(takes)}


def _headline(problems: Sequence[Problem]) -> str:
    return f"{len(problems)} problems; mend them, or drop those rows with dataset.policy 'drop'. {problems[0]}"

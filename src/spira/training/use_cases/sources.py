"""Manifests on their way through the door: rows with their recordings, and what is wrong with them so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from spira.kernel.clock import Clock
from spira.kernel.errors import Problem
from spira.training.core.cohort import NoiseClip
from spira.training.core.dataset import DatasetConfig, RowProblem, Table, read_noise, read_paths, read_rows
from spira.training.core.schema import lone_pairs, row_problems
from spira.training.ports import Recordings, Tell
from spira.training.use_cases.copies import Entry, near_copies, same_samples, shared
from spira.training.use_cases.listen import Heard, listen, locate
from spira.voice.quality import QualityRules

NOISE_RULES = QualityRules(
    min_duration_s=0.1, max_duration_s=3600.0, max_zero_ratio=0.999, min_speech_s=0.0, min_periodicity=-1.0
)
"""A recording of noise needs no voice, only some sound."""
_COPY_HINT = "one person under two ids, or a copy: keep one"


@dataclass(kw_only=True)
class Source:
    """A manifest on its way: its rows with their recordings, and what is wrong so far."""

    table: Table
    entries: list[Entry] = field(default_factory=list)
    clips: tuple[NoiseClip, ...] = ()
    """Of a manifest of noise, in place of entries."""
    problems: list[RowProblem]

    @property
    def bad(self) -> set[int]:
        return {problem.line for problem in self.problems}

    @property
    def good(self) -> list[Entry]:
        bad = self.bad
        return [entry for entry in self.entries if entry.row.line not in bad]

    def told(self) -> list[Problem]:
        return [one.as_problem(self.table.name) for one in sorted(self.problems, key=lambda one: one.line)]


@dataclass(kw_only=True)
class Count:
    """How many recordings were heard, over all manifests."""

    tell: Tell
    total: int
    done: int = 0

    def each(self, heard: Iterable[Heard]) -> Iterator[Heard]:
        for one in heard:
            self.done += 1
            self.tell(self.done, self.total)
            yield one


def named_apart(tables: Iterable[Table]) -> list[Table]:
    """Tables of one file name get their folder's before it, all but the first."""
    apart: list[Table] = []
    for one in tables:
        taken = any(one.name == other.name for other in apart)
        apart.append(replace(one, name=f"{PurePosixPath(one.base).name}/{one.name}") if taken else one)
    return apart


def count_recordings(tables: Sequence[Table], noise: Table | None, config: DatasetConfig) -> int:
    return sum(len(read_paths(one, config)) for one in tables) + (0 if noise is None else len(noise.rows))


def read_source(table: Table, config: DatasetConfig, *, recordings: Recordings, count: Count, clock: Clock) -> Source:
    """Every recording of the table is heard, also where nothing else of its row can be understood."""
    rows, problems = read_rows(table, config)
    problems = problems + row_problems(rows, config, now=clock())
    places = {line: locate(table.base, path) for line, path in read_paths(table, config).items()}
    heard = dict(
        zip(
            places,
            count.each(listen(list(places.values()), recordings=recordings, rules=config.quality)),
            strict=True,
        )
    )
    entries = [Entry(row=row, heard=heard[row.line], location=places[row.line]) for row in rows]
    return Source(table=table, entries=entries, problems=problems + _audio_problems(heard))


def _audio_problems(heard: Mapping[int, Heard]) -> list[RowProblem]:
    return [
        RowProblem(line=line, field="path", what=problem.what, hint=problem.hint)
        for line, one in heard.items()
        for problem in one.problems
    ]


def find_copies(sources: Sequence[Source], config: DatasetConfig, *, recordings: Recordings) -> list[str]:
    """Adds what is in two places to the sources' problems; copies within one person are only told."""
    for source in sources:
        source.problems += same_samples(source.entries)
    first, frozen = sources[0], sources[1:]
    for source in frozen:
        first.problems += shared(first.entries, source.entries, name=source.table.name)
    if config.copies == "ignore":
        return []
    home = {id(entry): source for source in sources for entry in source.entries}
    notes = []
    for pair in near_copies([entry for source in sources for entry in source.entries], recordings=recordings):
        one, other = (home[id(entry)] for entry in (pair.one, pair.other))
        lines = f"{one.table.name} row {pair.one.row.line} and {other.table.name} row {pair.other.row.line}"
        if pair.is_of_one_person and one is other:
            notes.append(f"{lines} hold the same {pair.seconds:.1f} s of one person")
            continue
        _note_copy(pair.one, one, pair.other, other, first)
    return notes


def _note_copy(entry: Entry, source: Source, twin: Entry, twins: Source, first: Source) -> None:
    """Both rows are wrong within one manifest; beside the frozen evaluation set only the other one's row is."""
    for here, own, there, theirs in ((entry, source, twin, twins), (twin, twins, entry, source)):
        if source is not twins and own is not first:
            continue
        where = f"row {there.row.line}" + (f" of {theirs.table.name}" if theirs is not own else "")
        what = f"is the audio of {where} at another gain, cut or rate"
        own.problems.append(RowProblem(line=here.row.line, field="path", what=what, hint=_COPY_HINT))


def without_lone_pairs(source: Source) -> list[str]:
    """Someone whose partner is missing is in no pair."""
    lone = set(lone_pairs([entry.row for entry in source.good]))
    if not lone:
        return []
    source.entries = [
        replace(entry, row=replace(entry.row, matched_pair=None)) if entry.row.matched_pair in lone else entry
        for entry in source.entries
    ]
    return [f"{source.table.name}: {len(lone)} matched pairs have one person left and don't count as matched"]


def read_noise_source(table: Table, config: DatasetConfig, *, recordings: Recordings, count: Count) -> Source:
    """A manifest of noise, whose recordings need no voice."""
    rows, problems = read_noise(table, config)
    places = [locate(table.base, path) for _, path, _, _ in rows]
    heard = list(count.each(listen(places, recordings=recordings, rules=NOISE_RULES)))
    problems = problems + _audio_problems({line: one for (line, *_), one in zip(rows, heard, strict=True)})
    bad = {problem.line for problem in problems}
    clips = tuple(
        NoiseClip(location=place, sha256=one.sha256, kind=kind, group=group)
        for place, (line, _, kind, group), one in zip(places, rows, heard, strict=True)
        if line not in bad
    )
    return Source(table=table, clips=clips, problems=problems)

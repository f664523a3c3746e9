"""One recording under two names: equal samples, and the same sound at another gain, cut or sampling rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spira.training.core.dataset import Row, RowProblem
from spira.training.core.fingerprints import COHERENT, coherence, proposals
from spira.training.ports import Recordings
from spira.training.use_cases.listen import Heard, samples_at
from spira.voice.decode import FloatArray


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row with its recording."""

    row: Row
    heard: Heard
    location: str

    @property
    def person(self) -> tuple[str, int]:
        return self.row.participant, self.row.label


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two entries that hold the same sound for so many seconds."""

    one: Entry
    other: Entry
    seconds: float

    @property
    def is_of_one_person(self) -> bool:
        return self.one.person == self.other.person


def same_samples(entries: Sequence[Entry]) -> list[RowProblem]:
    """The same samples under two paths: the later rows; all of them when their people or classes differ."""
    found = []
    for group in _by_samples(entries):
        first, *others = group
        is_one_person = len({entry.person for entry in group}) == 1
        for entry in others if is_one_person or not others else group:
            twin = first if entry is not first else others[0]
            what = f"is the same audio as in row {twin.row.line}"
            found.append(RowProblem(line=entry.row.line, field="path", what=what))
    return found


def shared(entries: Sequence[Entry], frozen: Sequence[Entry], *, name: str) -> list[RowProblem]:
    """Entries whose person or samples are also in the frozen evaluation set, which is called `name`."""
    people = {entry.row.participant: entry.row.line for entry in reversed(frozen)}
    audio = {entry.heard.samples_sha256: entry.row.line for entry in reversed(frozen) if entry.heard.samples_sha256}
    hint = "people of the evaluation take no part in training: leave the row out"
    found = []
    for entry in entries:
        if entry.row.participant in people:
            what = f"is also in row {people[entry.row.participant]} of {name}"
            found.append(RowProblem(line=entry.row.line, field="participant_id", what=what, hint=hint))
        if entry.heard.samples_sha256 in audio:
            what = f"is the same audio as in row {audio[entry.heard.samples_sha256]} of {name}"
            found.append(RowProblem(line=entry.row.line, field="path", what=what, hint=hint))
    return found


def near_copies(entries: Sequence[Entry], *, recordings: Recordings) -> Iterator[Pair]:
    """Pairs with unlike samples that are the same sound all the same; the few that are proposed are read again."""
    sounding = [entry for entry in entries if entry.heard.samples_sha256]
    samples: dict[str, FloatArray] = {}
    for proposal in proposals([entry.heard.peaks for entry in sounding]):
        one, other = sounding[proposal.one], sounding[proposal.other]
        if one.heard.samples_sha256 == other.heard.samples_sha256:
            continue
        if one.location not in samples:
            samples = {one.location: samples_at(one.location, recordings)}
        likeness, seconds = coherence(
            samples[one.location], samples_at(other.location, recordings), shift=proposal.shift
        )
        if likeness >= COHERENT:
            yield Pair(one=one, other=other, seconds=seconds)


def _by_samples(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries with equal samples; a path that is there twice counts once."""
    same: dict[str, list[Entry]] = {}
    for entry in entries:
        digest = entry.heard.samples_sha256
        if digest and not any(entry.row.path == one.row.path for one in same.get(digest, [])):
            same.setdefault(digest, []).append(entry)
    return list(same.values())

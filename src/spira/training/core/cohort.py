"""The data set after it passed the door: pseudonymous, checked, with digests; and how its people are divided."""

from __future__ import annotations

import random
from collections import defaultdict

from pydantic import BaseModel, ConfigDict

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.dataset import CLASS_NAMES, Label
from spira.training.core.splitters import Kind, Person, divide, numbers


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Recording(_Value):
    """One usable recording."""

    row: int
    location: str
    sha256: str
    """Of the file's bytes."""
    duration_s: float
    participant: str
    """A pseudonym."""
    label: Label
    fold: int | None
    matched_pair: int | None
    age: float | None
    facets: dict[str, str]
    shortcuts: dict[str, float | list[float]] = {}
    """What tells channel and room rather than health, measured on the samples: level, length, zeros, bandwidth, …"""


class NoiseClip(_Value):
    """One usable recording of noise."""

    location: str
    sha256: str
    kind: str
    group: str


class Cohort(_Value):
    """What training works on."""

    recordings: tuple[Recording, ...]
    noise: tuple[NoiseClip, ...] = ()

    def participants(self) -> dict[str, Label]:
        """Each person's class, in the order of the pseudonyms."""
        return {one.participant: one.label for one in sorted(self.recordings, key=lambda one: one.participant)}


class Split(_Value):
    """Indexes of recordings; no person is on two sides."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def people_of(cohort: Cohort) -> list[Person]:
    """Everybody once, with what decides about the side."""
    recordings: dict[str, list[Recording]] = defaultdict(list)
    for one in cohort.recordings:
        recordings[one.participant].append(one)
    return [
        Person(
            name=name,
            label=own[0].label,
            fold=own[0].fold,
            sites=frozenset(one.facets.get("site", "") for one in own),
            pair=own[0].matched_pair,
        )
        for name, own in sorted(recordings.items())
    ]


def folds_of(cohort: Cohort, *, folds: int, seed: int, kind: Kind = "folds", test_share: float = 0.2) -> dict[str, int]:
    """Each participant's fold, as `splitters.divide` gives it."""
    return divide(people_of(cohort), kind=kind, folds=folds, test_share=test_share, seed=seed)


def fold_numbers(cohort: Cohort, *, folds: int, kind: Kind = "folds") -> tuple[int, ...]:
    """The folds that exist; the first is left out by the model that is shown."""
    return numbers(people_of(cohort), kind=kind, folds=folds)


def held_out(cohort: Cohort, position: int, *, folds: int, kind: Kind = "folds") -> int:
    """The number of the fold at `position`; raises InvalidInput when it lost all its people since it was planned."""
    there = fold_numbers(cohort, folds=folds, kind=kind)
    if position < len(there):
        return there[position]
    what = f"fold {position} was planned, after the check there are {len(there)}"
    hint = "all rows of a fold or site were dropped: mend them, or take those rows out of the manifest"
    raise InvalidInput.of([Problem(where="split", what=what, hint=hint)])


def split(
    cohort: Cohort,
    *,
    fold: int,
    folds: int,
    validation_share: float,
    seed: int,
    kind: Kind = "folds",
    test_share: float = 0.2,
    member: int = 0,
) -> Split:
    """People of `fold` are the test; of the others, a stratified part of `validation_share` is for validation.

    The others are dealt into inner folds, and each member of an ensemble takes the next one, so that after a round of
    members everybody was judged by one that was not fitted on them, and nobody of the test fold by any.
    Raises InvalidInput when a side would lack one of the classes.
    """
    fold_of = folds_of(cohort, folds=folds, seed=seed, kind=kind, test_share=test_share)
    rest = {name: label for name, label in cohort.participants().items() if fold_of[name] != fold}
    validation: set[str] = set()
    inner = _inner_folds(rest, validation_share=validation_share)
    for people in _shuffled(rest, seed + 1 + fold):
        validation.update(people[member % inner :: inner])
    sides: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(cohort.recordings):
        side = "test" if fold_of[one.participant] == fold else "train"
        sides["validation" if one.participant in validation else side].append(index)
    made = Split(train=tuple(sides["train"]), validation=tuple(sides["validation"]), test=tuple(sides["test"]))
    _refuse_one_sided(made, cohort, fold=fold)
    return made


def _inner_folds(people: dict[str, Label], *, validation_share: float) -> int:
    """How many inner folds there are: as many as `validation_share` says, and no more than people of a class."""
    smallest = min(sum(one == label for one in people.values()) for label in (0, 1))
    return max(1, min(round(1.0 / validation_share), smallest))


def _shuffled(participants: dict[str, Label], seed: int) -> list[list[str]]:
    """People of each class in an order that depends on who they are and on `seed`, not on the manifest's order."""
    chance = random.Random(seed)  # noqa: S311 - chance for a split, no secret
    classes = [sorted(name for name, one in participants.items() if one == label) for label in (0, 1)]
    for people in classes:
        chance.shuffle(people)
    return classes


def _refuse_one_sided(made: Split, cohort: Cohort, *, fold: int) -> None:
    problems = []
    for side, indexes in made.model_dump().items():
        there = {cohort.recordings[index].label for index in indexes}
        missing = [CLASS_NAMES[label] for label in (0, 1) if label not in there]
        if missing:
            what = f"the {side} side has nobody of class {' and '.join(missing)}"
            problems.append(Problem(where=f"fold {fold}", what=what, hint="more people, fewer folds"))
    if problems:
        raise InvalidInput.of(problems)

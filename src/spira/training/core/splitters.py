"""Who is held out together: people, never recordings, by the manifest's folds, by chance, or by site.

Every way of dividing gives each person one number. Dealing by chance depends on who the people are and on a seed,
not on the order of rows; classes are dealt evenly, and the two people of a matched pair go to one side.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.dataset import CLASS_NAMES, Label, Row

Kind = Literal["folds", "holdout", "leave-one-site-out"]
HELD_OUT, REST = 0, 1
"""The two sides of a holdout."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """What decides about a person's side."""

    name: str
    label: Label
    fold: int | None = None
    sites: frozenset[str] = frozenset()
    """More than one where recordings of a person come from several; empty text where one is not told."""
    pair: int | None = None


def people_of_rows(rows: Iterable[Row]) -> list[Person]:
    """Everybody of a manifest, by the ids that it uses."""
    own: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        own[row.participant].append(row)
    return [
        Person(
            name=name,
            label=same[0].label,
            fold=same[0].fold,
            sites=frozenset(row.facets.get("site", "") for row in same),
            pair=same[0].matched_pair,
        )
        for name, same in own.items()
    ]


def divide(people: Sequence[Person], *, kind: Kind, folds: int, test_share: float, seed: int) -> dict[str, int]:
    """Each person's fold. Of `folds`, those that the manifest gives come before those that chance deals.

    Raises InvalidInput when there are fewer people of a class than sides, or when sites can't be told apart.
    """
    if kind == "leave-one-site-out":
        return _by_site(people)
    given = {one.name: one.fold for one in people if one.fold is not None}
    if kind == "folds" and given:
        return given
    orders = _orders(people, seed)
    if kind == "holdout":
        return {name: side for order in orders for name, side in _shared(order, test_share).items()}
    _refuse_too_few(people, folds)
    return {name: position % folds for order in orders for position, name in enumerate(order)}


def numbers(people: Iterable[Person], *, kind: Kind, folds: int) -> tuple[int, ...]:
    """The folds that are held out one after the other; the first is left out by the model that is shown."""
    if kind == "holdout":
        return (HELD_OUT,)
    if kind == "leave-one-site-out":
        return tuple(range(len({site for one in people for site in one.sites})))
    given = sorted({one.fold for one in people if one.fold is not None})
    return tuple(given) or tuple(range(folds))


def site_names(people: Iterable[Person]) -> tuple[str, ...]:
    """Sites in the order of their folds."""
    return tuple(sorted({site for one in people for site in one.sites}))


def _orders(people: Sequence[Person], seed: int) -> list[list[str]]:
    """People of each class in a random order, which starts with the pairs: the two of a pair have one position."""
    chance = random.Random(seed)  # noqa: S311 - chance for a split, no secret
    pairs = _whole_pairs(people)
    paired = {name for pair in pairs for name in pair}
    classes = [sorted(one.name for one in people if one.label == label) for label in (0, 1)]
    for names in classes:
        chance.shuffle(names)
    chance.shuffle(pairs)
    return [
        [pair[label] for pair in pairs] + [name for name in names if name not in paired]
        for label, names in enumerate(classes)
    ]


def _whole_pairs(people: Iterable[Person]) -> list[tuple[str, str]]:
    """Control and patient of each pair that has exactly these, in the order of the controls' names."""
    found: dict[int, list[Person]] = defaultdict(list)
    for one in people:
        if one.pair is not None:
            found[one.pair].append(one)
    pairs = [sorted(pair, key=lambda one: one.label) for pair in found.values()]
    return sorted((pair[0].name, pair[1].name) for pair in pairs if [one.label for one in pair] == [0, 1])


def _shared(order: Sequence[str], share: float) -> dict[str, int]:
    """Spread evenly over the order, so that neither pairs nor others are preferred; `share` of them, rounded."""
    ends = [int(share * position + 0.5) for position in range(len(order) + 1)]
    return {name: HELD_OUT if ends[n + 1] > ends[n] else REST for n, name in enumerate(order)}


def _by_site(people: Sequence[Person]) -> dict[str, int]:
    _refuse_sites(people)
    order = site_names(people)
    return {one.name: order.index(next(iter(one.sites))) for one in people}


def _refuse_sites(people: Sequence[Person]) -> None:
    untold = [one for one in people if not one.sites or "" in one.sites]
    torn = [one for one in people if len(one.sites) > 1]
    hint = "fill the column, or take another split.kind"
    if untold or torn:
        what = f"is not told for {len(untold)} people" if untold else f"differs within {len(torn)} people"
        raise InvalidInput.of([Problem(where="site", what=what, hint=hint)])
    by_site: dict[str, set[Label]] = defaultdict(set)
    for one in people:
        by_site[next(iter(one.sites))].add(one.label)
    problems = [
        Problem(where=f"site {site!r}", what=f"has nobody of class {CLASS_NAMES[label]}", hint=hint)
        for site, labels in sorted(by_site.items())
        for label in (0, 1)
        if label not in labels
    ]
    if len(by_site) < 2:
        what = "leave-one-site-out needs at least two sites"
        problems.append(Problem(where="site", what=f"{what}, there is {', '.join(by_site) or 'none'}", hint=hint))
    if problems:
        raise InvalidInput.of(problems)


def _refuse_too_few(people: Sequence[Person], folds: int) -> None:
    counts: Mapping[Label, int] = {label: sum(one.label == label for one in people) for label in (0, 1)}
    few = [
        Problem(
            where="split.folds",
            what=f"{folds} folds need {folds} people of each class, there are {count} of class {CLASS_NAMES[label]}",
            hint="lower split.folds, or get more people",
        )
        for label, count in counts.items()
        if count < folds
    ]
    if few:
        raise InvalidInput.of(few)

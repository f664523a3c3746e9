from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel.errors import InvalidInput
from spira.training.core.cohort import Cohort, Recording, folds_of, held_out, split
from spira.training.core.splitters import HELD_OUT, Kind, Person, divide, numbers

LABELS = st.lists(st.integers(0, 1), min_size=20, max_size=60).filter(
    lambda labels: 8 <= sum(labels) <= len(labels) - 8
)
SEEDS = st.integers(0, 2**31 - 2)


def make_cohort(labels: Sequence[int], *, folds: Sequence[int] | None = None, per_person: int = 1) -> Cohort:
    """People with the given classes, `per_person` recordings each, without files."""
    return Cohort(
        recordings=tuple(
            Recording(
                row=2,
                location=f"/nowhere/{person}-{take}.wav",
                sha256=f"{person * 10 + take:064x}",
                duration_s=1.0,
                participant=f"p-{person:04d}",
                label=1 if label else 0,
                fold=None if folds is None else folds[person],
                matched_pair=None,
                age=None,
                facets={},
            )
            for person, label in enumerate(labels)
            for take in range(per_person)
        )
    )


def sides(cohort: Cohort, *, fold: int = 0, seed: int = 1) -> tuple[set[str], set[str], set[str]]:
    made = split(cohort, fold=fold, folds=4, validation_share=0.25, seed=seed)
    return people_of(cohort, made.train), people_of(cohort, made.validation), people_of(cohort, made.test)


@given(LABELS, SEEDS, st.integers(1, 3), st.integers(0, 3))
def test_nobody_is_on_two_sides_and_everybody_on_one(labels: list[int], seed: int, takes: int, fold: int) -> None:
    cohort = make_cohort(labels, per_person=takes)

    train, validation, test = sides(cohort, fold=fold, seed=seed)

    assert not train & validation
    assert not train & test
    assert not validation & test
    assert train | validation | test == set(cohort.participants())


@given(LABELS, SEEDS)
def test_each_side_has_its_share_of_each_class(labels: list[int], seed: int) -> None:
    cohort = make_cohort(labels)
    classes = cohort.participants()

    _, validation, test = sides(cohort, seed=seed)

    for label in (0, 1):
        people = sum(one == label for one in classes.values())
        tested = sum(classes[name] == label for name in test)
        assert abs(tested - people / 4) < 1
        assert abs(sum(classes[name] == label for name in validation) - 0.25 * (people - tested)) <= 1


@given(LABELS, SEEDS)
def test_the_split_depends_on_the_seed_and_the_people_not_on_the_order_of_rows(labels: list[int], seed: int) -> None:
    cohort = make_cohort(labels)
    turned = Cohort(recordings=cohort.recordings[::-1])

    assert sides(cohort, seed=seed) == sides(turned, seed=seed)


def test_another_seed_gives_another_split() -> None:
    cohort = make_cohort([0, 1] * 20)

    assert sides(cohort, seed=1) != sides(cohort, seed=2)


@given(LABELS, SEEDS)
def test_over_all_folds_everybody_is_held_out_once(labels: list[int], seed: int) -> None:
    cohort = make_cohort(labels)

    tests = [sides(cohort, fold=fold, seed=seed)[2] for fold in range(4)]

    assert sum(map(len, tests)) == len(set().union(*tests)) == len(labels)


def test_the_folds_of_the_manifest_are_kept() -> None:
    cohort = make_cohort([0, 1] * 10, folds=[n // 4 for n in range(20)])

    _, _, test = sides(cohort, fold=2)

    assert test == {f"p-{n:04d}" for n in range(8, 12)}
    assert set(folds_of(cohort, folds=99, seed=1).values()) == {0, 1, 2, 3, 4}


def people(
    labels: Sequence[int], *, pairs: Sequence[int | None] = (), sites: Sequence[str] = (), fold: int | None = None
) -> list[Person]:
    return [
        Person(
            name=f"p-{n:04d}",
            label=1 if label else 0,
            fold=fold,
            sites=frozenset({sites[n] if sites else ""}),
            pair=pairs[n] if pairs else None,
        )
        for n, label in enumerate(labels)
    ]


def dealt(given: Sequence[Person], kind: Kind, *, folds: int = 4, share: float = 0.25, seed: int = 1) -> dict[str, int]:
    return divide(given, kind=kind, folds=folds, test_share=share, seed=seed)


@given(LABELS, SEEDS, st.floats(0.05, 0.6))
def test_a_holdout_takes_its_share_of_each_class_and_everybody_is_on_one_side(
    labels: list[int], seed: int, share: float
) -> None:
    sides_of = dealt(people(labels), "holdout", share=share, seed=seed)

    assert set(sides_of) == {f"p-{n:04d}" for n in range(len(labels))}
    for label in (0, 1):
        names = [f"p-{n:04d}" for n, one in enumerate(labels) if one == label]
        assert abs(sum(sides_of[name] == HELD_OUT for name in names) - share * len(names)) <= 0.5 + 1e-9


@given(st.integers(8, 40), st.integers(0, 20), SEEDS, st.sampled_from(["folds", "holdout"]))
def test_the_two_of_a_matched_pair_stay_together(pairs: int, others: int, seed: int, kind: Kind) -> None:
    labels = [0, 1] * pairs + [0] * others + [1] * (others // 2)
    numbers_of: list[int | None] = [n // 2 for n in range(2 * pairs)]
    given_people = people(labels, pairs=numbers_of + [None] * (len(labels) - 2 * pairs))

    side = dealt(given_people, kind, seed=seed)

    assert len(side) == len(labels)
    assert all(side[f"p-{2 * n:04d}"] == side[f"p-{2 * n + 1:04d}"] for n in range(pairs))
    for label in (0, 1):
        counts = [sum(side[one.name] == fold for one in given_people if one.label == label) for fold in range(4)]
        if kind == "folds":
            assert max(counts) - min(counts) <= 1


def test_a_pair_with_one_person_is_dealt_like_anybody() -> None:
    side = dealt(people([0, 1] * 8, pairs=[3, *[None] * 15]), "folds")

    assert sorted(list(side.values()).count(fold) for fold in range(4)) == [4, 4, 4, 4]


def test_leaving_a_site_out_holds_out_exactly_its_people() -> None:
    side = dealt(people([0, 1] * 6, sites=["north", "north", "south", "south"] * 3), "leave-one-site-out")

    assert {name for name, fold in side.items() if fold == 0} == {f"p-{n:04d}" for n in (0, 1, 4, 5, 8, 9)}
    assert set(side.values()) == {0, 1}


@pytest.mark.parametrize(
    ("labels", "sites", "what"),
    [
        ([0, 1], ["north", "north"], "needs at least two sites, there is north"),
        ([0, 1, 0, 0], ["north", "north", "south", "south"], "site 'south': has nobody of class patient"),
        ([0, 1, 0, 1], ["north", "north", "", "south"], "site: is not told for 1 people"),
    ],
)
def test_sites_that_can_not_be_left_out_are_refused(labels: list[int], sites: list[str], what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        dealt(people(labels, sites=sites), "leave-one-site-out")


def test_a_person_at_two_sites_would_be_on_two_sides_and_is_refused() -> None:
    torn = Person(name="torn", label=0, sites=frozenset({"north", "south"}))

    with pytest.raises(InvalidInput, match="differs within 1 people"):
        dealt([*people([0, 1] * 2, sites=["north", "north", "south", "south"]), torn], "leave-one-site-out")


def test_fewer_people_of_a_class_than_folds_are_refused() -> None:
    with pytest.raises(InvalidInput, match="5 folds need 5 people of each class, there are 3 of class patient"):
        dealt(people([0] * 9 + [1] * 3), "folds", folds=5)


def test_the_number_of_folds_follows_from_the_kind() -> None:
    given_people = people([0, 1, 0, 1], sites=["a", "a", "b", "b"], fold=7)

    assert numbers(given_people, kind="folds", folds=5) == (7,)
    assert numbers(people([0, 1]), kind="folds", folds=5) == (0, 1, 2, 3, 4)
    assert numbers(given_people, kind="holdout", folds=5) == (0,)
    assert numbers(given_people, kind="leave-one-site-out", folds=5) == (0, 1)


def test_a_holdout_ignores_the_folds_of_the_manifest() -> None:
    side = dealt(people([0, 1] * 10, fold=3), "holdout")

    assert sorted(set(side.values())) == [0, 1]


def test_a_planned_fold_that_lost_its_people_is_named() -> None:
    cohort = make_cohort([0, 1] * 10, folds=[n // 10 for n in range(20)])

    assert held_out(cohort, 1, folds=99) == 1
    with pytest.raises(InvalidInput, match="fold 2 was planned, after the check there are 2"):
        held_out(cohort, 2, folds=99)


def test_a_side_without_a_class_is_refused() -> None:
    cohort = make_cohort([0] * 10 + [1] * 10, folds=[0] * 10 + [1] * 10)

    with pytest.raises(InvalidInput, match="nobody of class control"):
        split(cohort, fold=0, folds=2, validation_share=0.2, seed=1)


@given(LABELS, SEEDS, st.integers(0, 3))
def test_each_member_is_judged_by_the_next_inner_fold_and_a_round_of_members_by_everybody_once(
    labels: list[int], seed: int, fold: int
) -> None:
    cohort = make_cohort(labels)
    made = [split(cohort, fold=fold, folds=4, validation_share=0.25, seed=seed, member=member) for member in range(8)]

    judged = [people_of(cohort, one.validation) for one in made]
    tested = people_of(cohort, made[0].test)
    assert sum(map(len, judged[:4])) == len(set().union(*judged[:4])) == len(labels) - len(tested)
    assert judged[4:] == judged[:4]
    assert {one.test for one in made} == {made[0].test}


@pytest.mark.parametrize("labels", [[0] * 10, [0, 1, 0], [0, 1] * 2])
def test_one_class_or_fewer_people_than_folds_are_refused_with_the_way_out(labels: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"fewer folds|lower split\.folds"):
        split(make_cohort(labels), fold=0, folds=4, validation_share=0.2, seed=1)


def people_of(cohort: Cohort, indexes: Sequence[int]) -> set[str]:
    return {cohort.recordings[index].participant for index in indexes}

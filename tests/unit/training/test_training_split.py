from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel.errors import InvalidInput
from spira.training.core.cohort import Cohort, Recording, folds_of, split

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


def test_a_side_without_a_class_is_refused() -> None:
    cohort = make_cohort([0] * 10 + [1] * 10, folds=[0] * 10 + [1] * 10)

    with pytest.raises(InvalidInput, match="nobody of class control"):
        split(cohort, fold=0, folds=2, validation_share=0.2, seed=1)


def people_of(cohort: Cohort, indexes: Sequence[int]) -> set[str]:
    return {cohort.recordings[index].participant for index in indexes}

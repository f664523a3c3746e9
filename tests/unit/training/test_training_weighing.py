"""Weights and matches that leave age and sex nothing to tell, with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from spira.kernel.errors import InvalidInput
from spira.training.core.balance import BalanceConfig
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.propensity import matches, overlap_weights
from spira.training.core.weighing import participant_weights
from spira.training.core.weighted import effective_size, weighted_auc

REWEIGHT = BalanceConfig(policy="reweight")
MATCH = BalanceConfig(policy="match")
Person = tuple[int, float | None, str]


def cohort_of(people: list[Person], *, takes: int = 1) -> Cohort:
    """People as (label, age, sex)."""
    return Cohort(
        recordings=tuple(
            Recording(
                row=2,
                location=f"/nowhere/{n}-{take}",
                sha256=f"{n:064x}",
                duration_s=1.0,
                participant=f"p{n:04d}",
                label=1 if label else 0,
                fold=None,
                matched_pair=None,
                age=age,
                facets={"sex": sex} if sex else {},
            )
            for n, (label, age, sex) in enumerate(people)
            for take in range(takes)
        )
    )


def weights_of(cohort: Cohort, config: BalanceConfig) -> np.ndarray:
    found = participant_weights(cohort, range(len(cohort.recordings)), config)
    return np.array([found[one.participant] for one in cohort.recordings])


def older_patients(n: int = 150) -> Cohort:
    """Patients are 15 years older on average; the ranges overlap."""
    random = np.random.default_rng(7)
    ages = np.concatenate([random.normal(40, 12, n), random.normal(55, 12, n)]).clip(18, 90)
    return cohort_of([(int(i >= n), float(age), "fm"[i % 2]) for i, age in enumerate(ages)])


def test_classes_of_the_same_ages_and_sexes_count_the_same() -> None:
    ages = np.random.default_rng(3).uniform(20, 80, 100)
    cohort = cohort_of([(label, float(age), sex) for age in ages for sex in "fm" for label in (0, 1)])

    assert weights_of(cohort, REWEIGHT) == pytest.approx(np.ones(400))


def test_age_that_is_independent_of_the_class_costs_few_people() -> None:
    random = np.random.default_rng(3)
    cohort = cohort_of([(i % 2, float(age), "fm"[(i // 2) % 2]) for i, age in enumerate(random.uniform(20, 80, 400))])

    assert effective_size(weights_of(cohort, REWEIGHT)) > 380


def test_after_reweighting_age_tells_nothing() -> None:
    cohort = older_patients()
    ages, labels = (np.array([getattr(one, name) for one in cohort.recordings]) for name in ("age", "label"))

    before = weighted_auc(ages, labels, np.ones(len(labels)), seed=1)
    after = weighted_auc(ages, labels, weights_of(cohort, REWEIGHT), seed=1)

    assert before.low > 0.7
    assert after.value == pytest.approx(0.5, abs=0.02)


def test_reweighted_classes_have_the_same_mean_age() -> None:
    cohort = older_patients()
    weights = weights_of(cohort, REWEIGHT)
    labels = np.array([one.label for one in cohort.recordings])
    ages = np.array([one.age for one in cohort.recordings])

    means = [np.average(ages[labels == label], weights=weights[labels == label]) for label in (0, 1)]

    assert means[0] == pytest.approx(means[1], abs=0.2)
    assert [weights[labels == label].mean() for label in (0, 1)] == pytest.approx([1.0, 1.0])


def test_age_that_tells_everything_is_refused_with_the_way_out() -> None:
    cohort = cohort_of([(i % 2, 70.0 + i % 7 if i % 2 else 25.0 + i % 7, "f") for i in range(80)])

    with pytest.raises(InvalidInput, match=r"balance.policy reweight.*AUC 1.000.*0.65.*add controls as old"):
        weights_of(cohort, REWEIGHT)
    with pytest.raises(InvalidInput, match=r"balance.policy match.*0 patients with a control"):
        weights_of(cohort, MATCH)


def test_sex_that_tells_everything_is_refused() -> None:
    with pytest.raises(InvalidInput, match="telling patients from controls"):
        weights_of(cohort_of([(i % 2, 40.0 + i % 9, "fm"[i % 2]) for i in range(80)]), REWEIGHT)


def test_matching_keeps_whom_it_can_compare_and_leaves_the_others_out() -> None:
    cohort = cohort_of(
        [(1, 50.0, "f"), (0, 52.0, "f"), (0, 49.0, "f"), (1, 50.0, "m"), (0, 60.0, "m"), (1, 70.0, "m"), (0, 71.0, "m")]
    )

    weights = weights_of(cohort, MATCH)

    assert (weights > 0).tolist() == [True, True, True, False, False, True, True]
    assert weights[[0, 5]].tolist() == pytest.approx([weights[0]] * 2)
    assert weights[1] + weights[2] == pytest.approx(weights[0])  # the controls of a set count as one
    assert weights.mean() == pytest.approx(1.0)


def test_as_many_patients_as_possible_are_matched() -> None:
    """The nearest control first would leave the second patient alone."""
    ages, labels = np.array([50.0, 52.0, 51.0, 48.0]), np.array([1, 1, 0, 0])

    weights = matches(ages, np.zeros(4, dtype=np.int64), labels, years=3.0, most=1)

    assert weights.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_somebody_without_an_age_has_no_match_but_a_weight() -> None:
    people: list[Person] = [(i % 2, float(30 + i % 40), "fm"[(i // 2) % 2]) for i in range(80)]
    people[5] = (1, None, "f")

    assert weights_of(cohort_of(people), MATCH)[5] == 0.0
    assert weights_of(cohort_of(people), REWEIGHT)[5] > 0.0


@pytest.mark.parametrize("policy", ["none", "refuse", "reweight", "match"])
def test_without_age_and_sex_everybody_counts_one(policy: str) -> None:
    cohort = cohort_of([(i % 2, None, "") for i in range(20)])

    weights = weights_of(cohort, BalanceConfig.model_validate({"policy": policy}))

    assert weights.tolist() == [1.0] * 20


def test_a_person_counts_once_however_many_recordings_there_are() -> None:
    people: list[Person] = [(i % 2, float(30 + i % 40), "fm"[(i // 2) % 2]) for i in range(80)]

    one, three = (
        participant_weights(c, range(len(c.recordings)), REWEIGHT)
        for c in (cohort_of(people), cohort_of(people, takes=3))
    )

    assert one == three


def test_only_the_people_who_are_fitted_on_decide() -> None:
    cohort = older_patients()
    first = range(0, 300, 2)
    changed = cohort.model_copy(
        update={
            "recordings": tuple(
                one if index in first else one.model_copy(update={"age": 99.0})
                for index, one in enumerate(cohort.recordings)
            )
        }
    )

    assert participant_weights(cohort, first, REWEIGHT) == participant_weights(changed, first, REWEIGHT)


def test_overlap_weights_are_the_chance_of_the_other_class() -> None:
    weights = overlap_weights(np.array([0.8, 0.4, 0.3, 0.1]), np.array([1, 1, 0, 0]))

    assert weights == pytest.approx([0.2 / 0.4, 0.6 / 0.4, 0.3 / 0.2, 0.1 / 0.2])


def test_a_weighted_area_counts_pairs_by_their_weights() -> None:
    scores, labels = [0.9, 0.1, 0.5, 0.5], [1, 1, 0, 0]

    assert weighted_auc(scores, labels, [1, 1, 1, 1], seed=1).value == 0.5
    assert weighted_auc(scores, labels, [3, 1, 1, 1], seed=1).value == 0.75
    with pytest.raises(ValueError, match="both classes"):
        weighted_auc(scores, labels, [1, 1, 0, 0], seed=1)


def test_the_effective_size_of_equal_weights_is_their_number() -> None:
    assert effective_size([2.0] * 10) == pytest.approx(10.0)
    assert effective_size([1.0, 0.0, 0.0]) == pytest.approx(1.0)


def test_few_people_are_weighted_but_not_refused() -> None:
    cohort = cohort_of([(i % 2, 70.0 + i if i % 2 else 25.0 + i, "fm"[(i // 2) % 2]) for i in range(16)])

    weights = weights_of(cohort, REWEIGHT)

    assert weights.mean() == pytest.approx(1.0)
    assert (weights > 0).all()

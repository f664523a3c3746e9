from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from spira.training.core.figures import (
    Scored,
    auc,
    best_threshold,
    calibration_error,
    figures,
    gates,
    matched_figures,
    per_person,
    slice_figures,
    wilson,
)

SCORES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=4, max_size=60).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


def person(name: str, label: int, score: float, **more: object) -> Scored:
    return Scored(participant=name, label=label, score=score, threshold=0.5, **more)  # type: ignore[arg-type]  # test


@given(SCORES)
def test_the_area_is_the_one_of_scikit_learn_and_lies_in_its_interval(pairs: list[tuple[int, int]]) -> None:
    labels, scores = [label for label, _ in pairs], [score / 20 for _, score in pairs]

    area = auc(scores, labels)

    assert area.value == pytest.approx(roc_auc_score(labels, scores))
    assert 0.0 <= area.low <= area.value <= area.high <= 1.0


def test_delong_agrees_with_a_published_example() -> None:
    """Placements computed by hand: patients 0.8, 0.6, 0.4 against controls 0.7, 0.3, 0.2, 0.1."""
    area = auc([0.8, 0.6, 0.4, 0.7, 0.3, 0.2, 0.1], [1, 1, 1, 0, 0, 0, 0])

    over_controls, over_patients = np.array([1.0, 0.75, 0.75]), np.array([1 / 3, 1, 1, 1])
    deviation = np.sqrt(over_controls.var(ddof=1) / 3 + over_patients.var(ddof=1) / 4)
    assert area.value == pytest.approx(10 / 12)
    assert area.low == pytest.approx(10 / 12 - 1.959964 * deviation, abs=1e-6)


def test_complete_separation_is_not_told_as_certain() -> None:
    area = auc([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0])

    assert area.value == 1.0
    assert area.low < 0.5


def test_wilson_agrees_with_the_textbook() -> None:
    share = wilson(8, 10)

    assert (share.value, round(share.low, 4), round(share.high, 4)) == (0.8, 0.4902, 0.9433)
    assert wilson(0, 5).low == 0.0
    assert wilson(5, 5).high == 1.0


def test_calibration_error_of_scores_that_mean_what_they_say_is_nothing() -> None:
    assert calibration_error([0.25] * 4, [1, 0, 0, 0]) == pytest.approx(0.0)
    assert calibration_error([1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1]) == pytest.approx(1.0)


@given(SCORES)
def test_no_other_threshold_has_a_higher_recall(pairs: list[tuple[int, int]]) -> None:
    labels, scores = np.array([label for label, _ in pairs]), np.array([score / 20 for _, score in pairs])

    def recall(cut: float) -> float:
        return float((scores >= cut)[labels == 1].mean() + (scores < cut)[labels == 0].mean())

    best = recall(best_threshold(scores, labels))

    assert all(best >= recall(cut) - 1e-12 for cut in np.linspace(-0.01, 1.01, 103))


def test_a_person_with_two_recordings_counts_once() -> None:
    people = per_person([person("a", 1, 0.9), person("a", 1, 0.5), person("b", 0, 0.2)])

    assert [(one.participant, one.score) for one in people] == [("a", 0.7), ("b", 0.2)]


def test_matched_figures_use_whole_pairs_only() -> None:
    people = [
        person("a", 1, 0.9, matched_pair=0),
        person("b", 0, 0.2, matched_pair=0),
        person("c", 1, 0.1, matched_pair=1),
        person("d", 0, 0.3),
    ]

    found = matched_figures(people)

    assert (found["n"], found["pairs"], found["concordance"]) == (2, 1, 1.0)


def test_a_group_of_one_class_has_a_count_and_no_area() -> None:
    found = figures([person("a", 1, 0.9)])

    assert (found["n"], found["patients"], found["auc"]) == (1, 1, None)


def test_small_slices_are_counted_not_judged() -> None:
    people = [person(str(n), n % 2, n / 20, facets={"sex": "f" if n < 15 else "m"}) for n in range(20)]

    found = slice_figures(people, ["sex"], min_people=10)

    assert [(one["value"], one["n"], one["enough"], "auc" in one) for one in found] == [
        ("f", 15, True, True),
        ("m", 5, False, False),
    ]


def test_gates_fail_at_chance_and_skip_what_is_too_few() -> None:
    people = [person(str(n), n % 2, (n * 7 % 40) / 40) for n in range(40)]

    found = {gate["name"]: gate["verdict"] for gate in gates(figures(people), matched_figures(people), min_people=30)}

    assert found == {"test-people": "pass", "above-chance": "fail", "above-chance-matched": "skip"}

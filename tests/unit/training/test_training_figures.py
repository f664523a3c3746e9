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
    matched_figures,
    per_person,
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

    found = figures([person(str(n), n % 2, 0.1 + 0.8 * (n % 2)) for n in range(20)])

    for name in ("sensitivity_at_specificity", "f1"):
        assert (found[name], round(found[f"{name}_low"], 3)) == (1.0, 0.722)


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


def test_shares_of_a_known_table_are_the_textbook_ones() -> None:
    """8 of 10 patients found, 3 of 20 controls alarmed."""
    people = [person(f"p{n}", 1, 0.9 if n < 8 else 0.1) for n in range(10)]
    people += [person(f"c{n}", 0, 0.9 if n < 3 else 0.1) for n in range(20)]

    found = figures(people)

    assert (found["sensitivity"], found["recall"], found["specificity"]) == (0.8, 0.8, 0.85)
    assert found["precision"] == pytest.approx(8 / 11)
    assert found["f1"] == pytest.approx(16 / 21)
    assert found["accuracy"] == pytest.approx(25 / 30)
    assert all(found[f"{name}_low"] <= found[name] <= found[f"{name}_high"] for name in ("precision", "f1", "accuracy"))


def test_sensitivity_at_a_specificity_is_read_off_the_controls_not_the_threshold() -> None:
    """Of ten controls 0.0 … 0.9 the eighth is 0.7: patients above it count."""
    people = [person(f"c{n}", 0, n / 10) for n in range(10)]
    people += [person(f"p{n}", 1, score) for n, score in enumerate((0.65, 0.7, 0.71, 0.95))]

    found = figures(people, target_specificity=0.8)

    assert found["sensitivity_at_specificity"] == 0.5
    assert found["sensitivity_at_specificity_low"] <= 0.5 <= found["sensitivity_at_specificity_high"]


def test_the_band_is_counted_and_errors_inside_it_are_not() -> None:
    band = (0.4, 0.6)
    people = [person("a", 1, 0.9, band=band), person("b", 1, 0.45, band=band), person("c", 0, 0.1, band=band)]
    people.append(person("d", 0, 0.7, band=band))

    found = figures(people)

    assert (found["inconclusive"], found["error_conclusive"]) == (0.25, pytest.approx(1 / 3))
    assert found["sensitivity"] == 0.5

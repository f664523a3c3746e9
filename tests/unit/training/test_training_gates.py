"""Verdicts from intervals: above the bar, below it, across it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spira.training.core.bootstrap import Resamples
from spira.training.core.discrimination import Panel, auc
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored, figures, matched_figures
from spira.training.core.gates import quality_gates
from spira.training.core.reliability import calibration_error, recalibration, reliability_table
from spira.training.core.verdicts import Gate, overall


def people(n: int, chance: Callable[[np.random.Generator], tuple[int, float]], *, seed: int = 7) -> list[Scored]:
    random = np.random.default_rng(seed)
    drawn = [chance(random) for _ in range(n)]
    return [Scored(participant=str(i), label=label, score=s, threshold=0.5) for i, (label, s) in enumerate(drawn)]


def honest(random: np.random.Generator) -> tuple[int, float]:
    """A score that is the chance of being a patient."""
    score = float(random.beta(0.7, 0.7))
    return int(random.random() < score), score


def useless(random: np.random.Generator) -> tuple[int, float]:
    return int(random.random() < 0.5), float(random.random())


def boastful(random: np.random.Generator) -> tuple[int, float]:
    """The same chance, told with four times its log odds."""
    label, score = honest(random)
    odds = 4.0 * np.log(score / (1.0 - score))
    return label, float(0.5 * (1.0 + np.tanh(0.5 * odds)))


def verdicts(group: list[Scored]) -> dict[str, str]:
    config = EvaluationConfig()
    return {gate.name: gate.verdict for gate in quality_gates(figures(group), matched_figures(group), config)}


def test_an_honest_model_passes_what_its_people_can_tell() -> None:
    assert verdicts(people(400, honest)) == {
        "test-people": "PASS",
        "above-chance": "PASS",
        "above-chance-matched": "NOT ENOUGH DATA",
        "sensitivity-at-specificity": "PASS",
        "calibration": "PASS",
    }


def test_chance_fails_when_there_are_enough_people_to_see_it() -> None:
    found = verdicts(people(600, useless))

    assert (found["above-chance"], found["sensitivity-at-specificity"]) == ("FAIL", "FAIL")


def test_chance_on_a_few_people_is_not_enough_data() -> None:
    assert set(verdicts(people(20, useless)).values()) == {"NOT ENOUGH DATA"}


def test_scores_that_claim_too_much_fail_by_their_slope() -> None:
    group = people(600, boastful)

    (gate,) = (
        one for one in quality_gates(figures(group), matched_figures(group), EvaluationConfig())
        if one.name == "calibration"
    )  # fmt: skip

    assert gate.verdict == "FAIL"
    assert "slope 0.2" in gate.reason


def test_recalibration_finds_the_line_that_was_planted() -> None:
    group = people(20_000, boastful)

    line = recalibration([one.score for one in group], [one.label for one in group])

    assert line is not None
    assert line[0].low < 0.25 < line[0].high
    assert line[0].high - line[0].low < 0.03


def test_recalibration_agrees_with_scikit_learn_without_a_penalty() -> None:
    from sklearn.linear_model import LogisticRegression

    group = people(300, honest)
    scores, labels = np.array([one.score for one in group]), np.array([one.label for one in group])

    line = recalibration(scores, labels)
    regression = LogisticRegression(C=1e12, tol=1e-10)  # type: ignore[no-untyped-call]  # scikit-learn has no annotations
    fitted = regression.fit(np.log(scores / (1 - scores))[:, None], labels)

    assert line is not None
    assert line[0].value == pytest.approx(float(fitted.coef_[0, 0]), abs=1e-4)


def test_separated_classes_have_no_slope() -> None:
    assert recalibration([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) is None


def test_the_reliability_table_counts_everybody_and_gives_the_calibration_error() -> None:
    group = people(500, honest)
    scores, labels = [one.score for one in group], [one.label for one in group]

    table = reliability_table(scores, labels)

    assert sum(row["n"] for row in table) == 500
    gaps = [row["n"] * abs(row["mean_score"] - row["share_of_patients"]) for row in table if row["n"]]
    assert sum(gaps) / 500 == pytest.approx(calibration_error(scores, labels))
    assert (table[0]["from"], table[-1]["to"]) == (0.0, 1.0)


def test_the_bootstrap_of_an_area_is_as_wide_as_delongs() -> None:
    group = people(300, honest)
    scores, labels = [one.score for one in group], [one.label for one in group]
    panel = Panel.of(scores, labels)

    resampled = Resamples.of(panel, seed=1).auc(panel)

    area = auc(scores, labels)
    assert float(resampled.mean()) == pytest.approx(area.value, abs=0.002)
    assert float(resampled.std()) * 2 * 1.96 == pytest.approx(area.high - area.low, rel=0.06)


def test_one_resample_of_everybody_once_gives_the_figures_themselves() -> None:
    panel = Panel.of([0.9, 0.4, 0.6, 0.1, 0.5, 0.7], [1, 1, 1, 0, 0, 0])
    once = Resamples(patients=np.ones((1, 3)), controls=np.ones((1, 3)))

    assert once.auc(panel)[0] == pytest.approx(6 / 9)
    assert once.sensitivity(panel, 0.5)[0] == pytest.approx(2 / 3)
    assert once.specificity(panel, 0.5)[0] == pytest.approx(1 / 3)
    assert once.sensitivity_at(panel, 0.6)[0] == pytest.approx(2 / 3)
    assert once.sensitivity_at(panel, 0.9)[0] == pytest.approx(1 / 3)


def test_one_failure_is_a_failure_and_doubt_is_no_pass() -> None:
    gates = {verdict: Gate(name="x", verdict=verdict, reason="") for verdict in ("PASS", "FAIL", "NOT ENOUGH DATA")}

    assert overall([gates["PASS"], gates["NOT ENOUGH DATA"], gates["FAIL"]]) == "FAIL"
    assert overall([gates["PASS"], gates["NOT ENOUGH DATA"]]) == "NOT ENOUGH DATA"
    assert overall([gates["PASS"]]) == "PASS"
    assert overall([]) == "NOT ENOUGH DATA"

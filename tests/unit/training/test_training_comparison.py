"""Two models on the same people: known differences, and how often a worse model would pass."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from spira.training.core.comparison import (
    ALPHA,
    Pair,
    area_endpoint,
    comparison_gate,
    endpoints,
    holm,
    judge,
    paired_differences,
)
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored

MARGIN = 0.05
CONFIG = EvaluationConfig(slices=(), non_inferiority_margin=MARGIN)


def people(scores: np.ndarray, labels: np.ndarray, **more: object) -> list[Scored]:
    return [
        Scored(participant=f"{n:04d}", label=int(label), score=float(score), threshold=0.5, **more)  # type: ignore[arg-type]  # test
        for n, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]


def two_models(random: np.random.Generator, *, n: int, candidate: float, champion: float, shared: float = 0.8) -> Pair:
    """n patients and n controls; each model's areas are those of normal scores that lie so far apart and share most of
    their noise."""
    labels = np.repeat([1, 0], n)
    common = random.standard_normal(2 * n)
    scores = [
        distance * labels + np.sqrt(shared) * common + np.sqrt(1 - shared) * random.standard_normal(2 * n)
        for distance in (candidate, champion)
    ]
    return Pair.of(*(people(one, labels) for one in scores))


def distance_of(area: float) -> float:
    return float(NormalDist().inv_cdf(area) * 2.0**0.5)


def test_the_spread_of_a_difference_is_delongs() -> None:
    """Against the covariance matrix of both models' placements, written out."""
    pair = two_models(np.random.default_rng(3), n=30, candidate=1.5, champion=1.2)

    found = area_endpoint(pair, "AUC", margin=MARGIN)

    def kernel(side: tuple[Scored, ...]) -> np.ndarray:
        patients = np.array([one.score for one in side if one.label == 1])
        controls = np.array([one.score for one in side if one.label == 0])
        return (patients[:, None] > controls[None, :]).astype(float)

    one, other = kernel(pair.candidate), kernel(pair.other)
    rows, columns = np.cov(one.mean(1), other.mean(1)), np.cov(one.mean(0), other.mean(0))
    contrast = np.array([1.0, -1.0])
    variance = contrast @ (rows / 30 + columns / 30) @ contrast
    assert found.difference.value == pytest.approx(one.mean() - other.mean())
    assert found.spread == pytest.approx(np.sqrt(variance))


def test_a_model_is_not_worse_than_itself() -> None:
    pair = two_models(np.random.default_rng(1), n=20, candidate=1.0, champion=1.0)
    same = Pair(candidate=pair.candidate, other=pair.candidate)

    judged = judge(endpoints(same, CONFIG, seed=1))

    assert {(one.verdict, one.endpoint.difference.value) for one in judged} == {("PASS", 0.0)}


def test_few_people_who_are_all_told_apart_prove_nothing() -> None:
    """Both models separate six from six: the difference is 0 without any spread, and yet unknown."""
    labels = np.repeat([1, 0], 6)
    pair = Pair.of(people(labels + np.arange(12) / 100, labels), people(labels - np.arange(12) / 100, labels))

    (judged, _) = judge(endpoints(pair, CONFIG, seed=1))

    assert judged.verdict == "NOT ENOUGH DATA"


def test_only_people_whom_both_scored_are_compared() -> None:
    labels = np.array([1, 0, 1, 0])
    one, other = people(labels * 0.5, labels), people(labels * 0.7, labels)[1:]

    pair = Pair.of(one, other)

    assert [person.participant for person in pair.candidate] == ["0002", "0001", "0003"]
    assert [person.participant for person in pair.other] == ["0002", "0001", "0003"]


def test_holm_agrees_with_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_slices_with_too_few_of_a_class_are_no_endpoints() -> None:
    labels = np.array([1, 0] * 30)
    random = np.random.default_rng(5)
    found = []
    for _ in range(2):
        scores = labels + random.standard_normal(60)
        women = people(scores[:50], labels[:50], facets={"sex": "f"})
        men = people(scores[50:], labels[50:], facets={"sex": "m"})
        found.append([*women, *(replace(one, participant=f"m{n}") for n, one in enumerate(men))])

    names = [one.name for one in endpoints(Pair.of(*found), EvaluationConfig(slices=("sex",)), seed=1)]

    assert names == ["AUC", "sensitivity at specificity 0.8", "AUC, sex f"]


def test_a_reason_names_the_endpoint_that_failed() -> None:
    pair = two_models(np.random.default_rng(2), n=300, candidate=0.5, champion=2.0)

    gate = comparison_gate("champion", judge(endpoints(pair, CONFIG, seed=1)), against="m/3")

    assert gate.verdict == "FAIL"
    assert gate.reason.startswith("is worse than m/3 by more than the margin: AUC -0.2")


def test_paired_differences_of_known_answers() -> None:
    """The other model misses one of ten patients whom the candidate finds; nothing else differs."""
    labels = np.repeat([1, 0], 10)
    right = labels * 0.8 + 0.1
    missed = right.copy()
    missed[0] = 0.2

    found = paired_differences(Pair.of(people(right, labels), people(missed, labels)), seed=1)

    assert (found["n"], found["recall"], found["accuracy"]) == (20, pytest.approx(0.1), pytest.approx(0.05))
    assert found["f1"] == pytest.approx(1.0 - 18 / 19)
    assert (found["precision"], found["precision_low"], found["precision_high"]) == (0.0, 0.0, 0.0)
    assert found["recall_low"] == 0.0 < found["recall_high"] <= 0.4


def rate_of_passing(*, candidate: float, champion: float, n: int, runs: int) -> float:
    random = np.random.default_rng(2024)
    distances = {"candidate": distance_of(candidate), "champion": distance_of(champion)}
    verdicts = []
    for run in range(runs):
        pair = two_models(random, n=n, **distances)
        verdicts.append({one.verdict for one in judge(endpoints(pair, CONFIG, seed=run, draws=200))} == {"PASS"})
    return float(np.mean(verdicts))


def test_a_model_that_is_worse_by_the_margin_passes_in_fewer_than_one_of_twenty() -> None:
    """Measured on simulated models; both endpoints must hold, so the rate lies below the level of one."""
    assert ALPHA == 0.025

    assert rate_of_passing(candidate=0.85, champion=0.90, n=150, runs=100) <= 0.05


def test_an_equal_model_passes_when_there_are_enough_people() -> None:
    assert rate_of_passing(candidate=0.90, champion=0.90, n=800, runs=20) >= 0.8

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from spira.training.core.calibration import OutOfSample, calibrate, choose_band
from spira.training.core.config import CalibrationConfig

Array = npt.NDArray[np.float64]


def people(logits: npt.ArrayLike, labels: npt.ArrayLike) -> OutOfSample:
    """One recording of one window each."""
    values, classes = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    places = np.arange(len(values))
    return OutOfSample(
        logits=values, recording=places, person=places, labels=classes, participants=tuple(map(str, places))
    )


def drawn(count: int = 4000) -> tuple[Array, npt.NDArray[np.int64]]:
    random = np.random.default_rng(1)
    truth = random.normal(0, 2, count)
    return truth, (random.random(count) < 1 / (1 + np.exp(-truth))).astype(np.int64)


def test_calibration_undoes_a_scale_and_a_shift() -> None:
    truth, labels = drawn()

    found = calibrate(people(3.0 * truth + 1.5, labels), CalibrationConfig(kind="platt"))

    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.bias == pytest.approx(-1.5, abs=0.3)


def test_a_temperature_alone_leaves_the_shift() -> None:
    truth, labels = drawn()

    found = calibrate(people(3.0 * truth, labels), CalibrationConfig(kind="temperature"))

    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.bias == 0.0


def test_calibration_stays_finite_when_classes_are_separated() -> None:
    found = calibrate(people([-5.0, -4, 4, 5], [0, 0, 1, 1]), CalibrationConfig())

    assert 0.02 <= found.temperature <= 50
    assert 0 < found.threshold < 1


def test_a_fixed_threshold_is_kept() -> None:
    config = CalibrationConfig(kind="none", threshold="fixed", fixed_threshold=0.3)

    assert calibrate(people([-5.0, -4, 4, 5], [0, 0, 1, 1]), config).threshold == 0.3


def test_the_prevalence_as_threshold_is_near_the_one_of_the_highest_recall_among_everybody() -> None:
    truth, labels = drawn(20_000)
    kept = (labels == 0) | (np.arange(len(labels)) % 4 == 0)

    found = calibrate(people(truth[kept], labels[kept]), CalibrationConfig(threshold="prevalence"))
    highest = calibrate(people(truth[kept], labels[kept]), CalibrationConfig(threshold="max-uar"))

    assert found.threshold == pytest.approx(labels[kept].mean())
    assert found.threshold == pytest.approx(highest.threshold, abs=0.06)


def test_a_persons_score_is_the_mean_over_recordings_of_the_mean_over_windows() -> None:
    one = OutOfSample(
        logits=np.array([0.0, 0.0, 100.0, -100.0]),
        recording=np.array([0, 0, 1, 2]),
        person=np.array([0, 0, 1]),
        labels=np.array([1, 0]),
        participants=("a", "b"),
    )

    assert one.scores(temperature=1.0, bias=0.0).tolist() == pytest.approx([0.75, 0.0])
    assert one.person_logits.tolist() == [50.0, -100.0]


def test_without_a_stated_risk_every_score_has_an_answer() -> None:
    assert calibrate(people([-5.0, 4, -4, 5], [0, 0, 1, 1]), CalibrationConfig()).band is None


def test_the_band_is_the_smallest_that_keeps_the_stated_risk() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.45, 0.55, 0.4, 0.6, 0.7, 0.8, 0.9])
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])

    band = choose_band(scores, labels, threshold=0.5, config=CalibrationConfig(max_error=0.01, max_inconclusive=0.5))

    assert band.reached
    assert band.errors == {"control": 0.0, "patient": 0.0}
    assert band.share == pytest.approx(0.3)
    assert band.low == pytest.approx(0.35)
    assert band.high == pytest.approx(0.575)


def test_a_risk_that_is_kept_already_needs_no_band() -> None:
    band = choose_band(
        np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]), threshold=0.5, config=CalibrationConfig(max_error=0.05)
    )

    assert (band.low, band.high, band.share, band.reached) == (0.5, 0.5, 0.0, True)


def test_a_band_leaves_no_more_people_without_an_answer_than_allowed_and_says_that_the_risk_is_missed() -> None:
    random = np.random.default_rng(2)
    scores, labels = random.random(400), random.integers(0, 2, 400)

    band = choose_band(scores, labels, threshold=0.5, config=CalibrationConfig(max_error=0.05, max_inconclusive=0.2))

    assert not band.reached
    assert band.share <= 0.2
    assert band.low <= 0.5 <= band.high


@pytest.mark.parametrize("max_error", [0.02, 0.05, 0.1])
def test_among_people_never_seen_the_risk_of_a_band_is_near_the_stated_one(max_error: float) -> None:
    truth, labels = drawn(6000)
    scores = 1 / (1 + np.exp(-truth))
    chosen, fresh = slice(0, 3000), slice(3000, 6000)
    config = CalibrationConfig(max_error=max_error, max_inconclusive=0.9)

    band = choose_band(scores[chosen], labels[chosen], threshold=0.5, config=config)

    answered = (scores[fresh] < band.low) | (scores[fresh] >= band.high)
    for label in (0, 1):
        own = answered & (labels[fresh] == label)
        wrong = (scores[fresh][own] >= 0.5) != label
        assert wrong.mean() == pytest.approx(max_error, abs=0.025)

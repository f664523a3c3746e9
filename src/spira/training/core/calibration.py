"""From logits to probabilities that mean what they say, to a threshold and to a band without an answer.

All three are chosen on people whom the networks that score them were not fitted on, and never on a test fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spira.training.core.cohort import Cohort
from spira.training.core.config import CalibrationConfig
from spira.training.core.figures import best_threshold
from spira.training.core.member import Member

FloatArray = npt.NDArray[np.float64]
_SLOPE_BOUNDS = (0.02, 50.0)
_LEVELS = 200
"""Edges of a band that are tried on either side of the threshold."""


@dataclass(frozen=True, kw_only=True)
class OutOfSample:
    """What networks say of people they were not fitted on. The unit is a person."""

    logits: FloatArray
    """[w], of windows."""
    recording: npt.NDArray[np.int64]
    """[w]: place of each window's recording, from 0."""
    person: npt.NDArray[np.int64]
    """[r]: place of each recording's person, from 0."""
    labels: npt.NDArray[np.int64]
    """[p]."""
    participants: tuple[str, ...]
    """[p], pseudonyms."""

    @cached_property
    def person_logits(self) -> FloatArray:
        """[p]: the mean over a person's recordings of the mean over windows."""
        return _means(_means(self.logits, self.recording), self.person)

    def scores(self, *, temperature: float, bias: float) -> FloatArray:
        """[p]: the final score, as a screening gives it, of each person."""
        probabilities = 0.5 * (1.0 + np.tanh(0.5 * (self.logits + bias) / temperature))
        return _means(_means(probabilities, self.recording), self.person)


def out_of_sample(cohort: Cohort, logits: Mapping[int, FloatArray]) -> OutOfSample:
    """Of window logits by recording, whose number is an index into the cohort."""
    indexes = sorted(logits)
    people = sorted({cohort.recordings[index].participant for index in indexes})
    places = {name: place for place, name in enumerate(people)}
    classes = {cohort.recordings[index].participant: cohort.recordings[index].label for index in indexes}
    return OutOfSample(
        logits=np.concatenate([logits[index] for index in indexes]),
        recording=np.repeat(np.arange(len(indexes)), [len(logits[index]) for index in indexes]),
        person=np.array([places[cohort.recordings[index].participant] for index in indexes]),
        labels=np.array([classes[name] for name in people]),
        participants=tuple(people),
    )


def pooled(members: Sequence[Member], cohort: Cohort) -> OutOfSample:
    """Everybody that some member judged; where several did, the mean of their logits, as an ensemble takes it."""
    heard: dict[int, list[tuple[float, ...]]] = {}
    for member in members:
        for one in member.heard:
            heard.setdefault(one.recording, []).append(one.logits)
    return out_of_sample(cohort, {index: np.mean(several, axis=0) for index, several in heard.items()})


@dataclass(frozen=True, kw_only=True)
class Band:
    """Scores in [low, high) get no answer."""

    low: float
    high: float
    errors: Mapping[str, float]
    """Share of wrong answers among the people of each class that get one: `control`, `patient`."""
    share: float
    """Of people without an answer."""
    reached: bool
    """Whether both errors are within the stated risk."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """probability = sigmoid((logit + bias) / temperature); from `threshold` on a score is positive."""

    temperature: float
    bias: float
    threshold: float
    band: Band | None = None


def calibrate(people: OutOfSample, config: CalibrationConfig) -> Calibration:
    temperature, bias = _fit(people.person_logits, people.labels.astype(np.float64), config)
    scores = people.scores(temperature=temperature, bias=bias)
    threshold = float(np.clip(_threshold(scores, people.labels, config), 0.0, 1.0))
    band = None if config.max_error is None else choose_band(scores, people.labels, threshold=threshold, config=config)
    return Calibration(temperature=temperature, bias=bias, threshold=threshold, band=band)


def _threshold(scores: FloatArray, labels: npt.NDArray[np.int64], config: CalibrationConfig) -> float:
    if config.threshold == "fixed":
        return config.fixed_threshold
    return float(labels.mean()) if config.threshold == "prevalence" else best_threshold(scores, labels)


def choose_band(
    scores: FloatArray, labels: npt.NDArray[np.int64], *, threshold: float, config: CalibrationConfig
) -> Band:
    """The band around `threshold` that leaves the fewest people without an answer and the stated risk for the others.

    Where no band of at most `max_inconclusive` people reaches the risk, the one with the lowest risk.
    """
    lows, highs = _edges(scores, threshold, below=True), _edges(scores, threshold, below=False)
    below = [np.array([np.sum(scores[labels == label] < low) for low in lows])[:, None] for label in (0, 1)]
    above = [np.array([np.sum(scores[labels == label] >= high) for high in highs])[None, :] for label in (0, 1)]
    errors = (_share(above[0], below[0]), _share(below[1], above[1]))
    worst = np.maximum(*errors)
    share = 1.0 - (below[0] + below[1] + above[0] + above[1]) / len(scores)
    allowed = share <= config.max_inconclusive
    risk = config.max_error if config.max_error is not None else 1.0
    fine = allowed & (worst <= risk)
    width = highs[None, :] - lows[:, None]
    first, second = (share, worst) if fine.any() else (worst, share)
    places = np.nonzero(fine if fine.any() else allowed)
    best = np.lexsort((width[places], second[places], first[places]))[0]
    row, column = places[0][best], places[1][best]
    return Band(
        low=float(lows[row]),
        high=float(highs[column]),
        errors={"control": float(errors[0][row, column]), "patient": float(errors[1][row, column])},
        share=float(share[row, column]),
        reached=bool(fine.any()),
    )


def _edges(scores: FloatArray, threshold: float, *, below: bool) -> FloatArray:
    """Edges in the middle between neighbouring scores on one side of the threshold, and the threshold itself."""
    levels = np.unique(np.append(scores, threshold))
    middles = (levels[:-1] + levels[1:]) / 2.0
    side = middles[middles < threshold] if below else middles[middles > threshold]
    if len(side) > _LEVELS:
        side = side[np.linspace(0, len(side) - 1, _LEVELS).astype(int)]
    return np.append(side, threshold)


def _share(wrong: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> FloatArray:
    """wrong / (wrong + right); 1 where nobody of a class gets an answer."""
    total = wrong + right
    found: FloatArray = np.where(total > 0, wrong / np.maximum(total, 1), 1.0)
    return found


def _means(values: FloatArray, owner: npt.NDArray[np.int64]) -> FloatArray:
    means: FloatArray = np.bincount(owner, values) / np.bincount(owner)
    return means


def _fit(logits: FloatArray, labels: FloatArray, config: CalibrationConfig) -> tuple[float, float]:
    """Temperature and bias of the lowest cross-entropy, on targets smoothed after Platt (Advances in Large Margin
    Classifiers, 1999), which keep the fit finite when the classes are separated."""
    if config.kind == "none":
        return 1.0, 0.0
    from scipy.optimize import minimize

    patients, controls = labels.sum(), (1.0 - labels).sum()
    targets = np.where(labels > 0.5, (patients + 1.0) / (patients + 2.0), 1.0 / (controls + 2.0))

    def loss(parameters: FloatArray) -> float:
        scaled = np.exp(parameters[0]) * logits + (parameters[1] if config.kind == "platt" else 0.0)
        return float(np.mean(np.logaddexp(0.0, scaled) - targets * scaled))

    bounds = [tuple(np.log(_SLOPE_BOUNDS)), (-20.0, 20.0)]
    log_slope, offset = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=bounds).x
    slope = float(np.exp(log_slope))
    return 1.0 / slope, (float(offset) / slope if config.kind == "platt" else 0.0)

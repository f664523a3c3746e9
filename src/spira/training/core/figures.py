"""Figures of a screening: each with its n and its interval. The unit is always a person, never a recording."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spira.training.core.bootstrap import Resamples, interval
from spira.training.core.discrimination import (
    Z95,
    Estimate,
    Panel,
    auc,
    best_threshold,
    cut_at_specificity,
    unweighted_recall,
    wilson,
)
from spira.training.core.reliability import CALIBRATION_BINS, calibration_error, recalibration

__all__ = ["Z95", "Estimate", "Scored", "auc", "best_threshold", "calibration_error", "figures", "matched_figures",
           "per_person", "unweighted_recall", "wilson"]  # fmt: skip

TARGET_SPECIFICITY = 0.8
_SEED = 2021
_DRAWS = 1000
_INTERVALS = ("auc", "uar", "sensitivity", "specificity", "precision", "f1", "accuracy", "sensitivity_at_specificity",
              "slope", "intercept", "offset", "inconclusive", "error_conclusive")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A person (or, before `per_person`, a recording) with the score of a model that never saw them."""

    participant: str
    label: int
    score: float
    threshold: float
    """Of the model that gave the score: those of other folds have others."""
    band: tuple[float, float] | None = None
    """Scores in [low, high) are inconclusive."""
    matched_pair: int | None = None
    facets: Mapping[str, str] = field(default_factory=dict)

    @property
    def positive(self) -> bool:
        """On which side of the threshold the score lies, whether or not it is conclusive."""
        return self.score >= self.threshold

    @property
    def conclusive(self) -> bool:
        return self.band is None or not self.band[0] <= self.score < self.band[1]

    @property
    def right(self) -> bool:
        return self.positive == (self.label == 1)


def per_person(recordings: Sequence[Scored]) -> list[Scored]:
    """One entry per person: the mean score of their recordings."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in recordings:
        groups[one.participant].append(one)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[Scored]) -> Scored:
    first = group[0]
    pairs = [one.matched_pair for one in group if one.matched_pair is not None]
    return Scored(
        participant=first.participant,
        label=first.label,
        score=math.fsum(one.score for one in group) / len(group),
        threshold=first.threshold,
        band=first.band,
        matched_pair=pairs[0] if pairs else None,
        facets=first.facets,
    )


def panel_of(people: Sequence[Scored]) -> Panel:
    """Raises ValueError when a class is missing."""
    return Panel.of([one.score for one in people], [one.label for one in people])


def figures(people: Sequence[Scored], *, target_specificity: float = TARGET_SPECIFICITY) -> dict[str, Any]:
    """All figures of a group as JSON values, `NAME`, `NAME_low` and `NAME_high`; those that can't be told are null.

    Sensitivity (the recall of seed figures), specificity, precision, F1 and accuracy take each score at its side of
    the threshold; `inconclusive` is the share inside the band, `error_conclusive` the share of errors outside.
    """
    patients = [one for one in people if one.label == 1]
    controls = [one for one in people if one.label == 0]
    found: dict[str, Any] = {"n": len(people), "patients": len(patients), "controls": len(controls)}
    found |= {"target_specificity": target_specificity, "ece_bins": CALIBRATION_BINS}
    found |= dict.fromkeys((*_INTERVALS, "recall", "ece"))
    if not patients or not controls:
        return found
    scores, labels = [one.score for one in people], [one.label for one in people]
    return found | {
        **auc(scores, labels).named("auc"),
        **_decided(patients, controls),
        **_at_specificity(panel_of(people), target_specificity).named("sensitivity_at_specificity"),
        "ece": calibration_error(scores, labels),
        **_recalibrated(scores, labels),
        **_undecided(people),
    }


def _decided(patients: Sequence[Scored], controls: Sequence[Scored]) -> dict[str, float]:
    """What follows from the counts on either side of the threshold."""
    m, n = len(patients), len(controls)
    hits, alarms = sum(one.positive for one in patients), sum(one.positive for one in controls)
    sensitivity, specificity = wilson(hits, m), wilson(n - alarms, n)
    found = {
        **unweighted_recall(sensitivity, specificity, patients=m, controls=n).named("uar"),
        **sensitivity.named("sensitivity"),
        **specificity.named("specificity"),
        **sensitivity.named("recall"),
        **wilson(hits + n - alarms, m + n).named("accuracy"),
        **_f1(hits, m, alarms, n).named("f1"),
    }
    return found | (wilson(hits, hits + alarms).named("precision") if hits + alarms else {})


def _f1(hits: int, m: int, alarms: int, n: int) -> Estimate:
    """2 TP / (2 TP + FP + FN); interval by the parametric bootstrap of both counts."""
    random = np.random.default_rng([_SEED, m, n])
    drawn_hits, drawn_alarms = random.binomial(m, hits / m, _DRAWS), random.binomial(n, alarms / n, _DRAWS)
    value, drawn = 2.0 * hits / (hits + alarms + m), 2.0 * drawn_hits / (drawn_hits + drawn_alarms + m)
    return _never_certain(interval(value, drawn), min(m, n))


def _at_specificity(panel: Panel, specificity: float) -> Estimate:
    value = float((panel.patients > cut_at_specificity(panel.controls, specificity)).mean())
    drawn = Resamples.of(panel, seed=_SEED, draws=_DRAWS).sensitivity_at(panel, specificity)
    return _never_certain(interval(value, drawn), len(panel.patients))


def _never_certain(found: Estimate, n: int) -> Estimate:
    """Where all resamples agree, Wilson's interval of so many people."""
    if found.low < found.high:
        return found
    bounds = wilson(round(found.value * n), n)
    return Estimate(value=found.value, low=bounds.low, high=bounds.high)


def _recalibrated(scores: Sequence[float], labels: Sequence[int]) -> dict[str, float]:
    """`offset` is the mean score minus the share of patients."""
    line = recalibration(scores, labels)
    found = {} if line is None else {**line[0].named("slope"), **line[1].named("intercept")}
    gaps = np.asarray(scores) - np.asarray(labels)
    value, spread = float(gaps.mean()), float(Z95 * gaps.std() / math.sqrt(len(gaps)))
    return found | Estimate(value=value, low=value - spread, high=value + spread).named("offset")


def _undecided(people: Sequence[Scored]) -> dict[str, float]:
    conclusive = [one for one in people if one.conclusive]
    found = wilson(len(people) - len(conclusive), len(people)).named("inconclusive")
    wrong = sum(not one.right for one in conclusive)
    return found | (wilson(wrong, len(conclusive)).named("error_conclusive") if conclusive else {})


def matched_figures(people: Sequence[Scored], *, target_specificity: float = TARGET_SPECIFICITY) -> dict[str, Any]:
    """Figures on the people of matched pairs, where age and sex can't tell; with the share of pairs in which the
    patient scores higher (ties count half, rounded down)."""
    matched = [one for one in people if one.matched_pair is not None]
    pairs: dict[int, list[Scored]] = defaultdict(list)
    for one in matched:
        pairs[one.matched_pair or 0].append(one)
    whole = [pair for pair in pairs.values() if {one.label for one in pair} == {0, 1}]
    everybody = [one for pair in whole for one in pair]
    found = figures(everybody, target_specificity=target_specificity) | {"pairs": len(whole)}
    if whole:
        found |= wilson(int(sum(_concordance(pair) for pair in whole)), len(whole)).named("concordance")
    return found


def _concordance(pair: Sequence[Scored]) -> float:
    patient = max(one.score for one in pair if one.label == 1)
    control = max(one.score for one in pair if one.label == 0)
    return 1.0 if patient > control else 0.5 if patient == control else 0.0

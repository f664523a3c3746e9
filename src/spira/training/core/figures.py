"""Figures of a screening: each with its n and its interval. The unit is always a person, never a recording."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
CALIBRATION_BINS = 10


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A person (or, before `per_person`, a recording) with the score of a model that never saw them."""

    participant: str
    label: int
    score: float
    threshold: float
    """Of the model that gave the score: those of other folds have others."""
    matched_pair: int | None = None
    facets: Mapping[str, str] = field(default_factory=dict)

    @property
    def positive(self) -> bool:
        return self.score >= self.threshold


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


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
        matched_pair=pairs[0] if pairs else None,
        facets=first.facets,
    )


def auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> Estimate:
    """Area under the ROC curve with DeLong's interval (DeLong, DeLong and Clarke-Pearson, Biometrics 1988), by
    midranks (Sun and Xu, IEEE Signal Processing Letters 2014).

    Where the classes are separated completely its variance is 0; the bound is then Wilson's for the smaller class.
    Raises ValueError when a class is missing.
    """
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    patients, controls = values[is_patient], values[~is_patient]
    m, n = len(patients), len(controls)
    if m == 0 or n == 0:
        raise ValueError("AUC needs both classes")
    ranks = _midranks(np.concatenate([patients, controls]))
    over_controls = (ranks[:m] - _midranks(patients)) / n
    over_patients = 1.0 - (ranks[m:] - _midranks(controls)) / m
    value = float(over_controls.mean())
    variance = (_variance(over_controls) / m) + (_variance(over_patients) / n)
    if variance <= 0.0:
        bounds = wilson(round(value * min(m, n)), min(m, n))
        return Estimate(value=value, low=bounds.low, high=bounds.high)
    spread = Z95 * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - spread), high=min(1.0, value + spread))


def _midranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def _variance(values: npt.NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0


def wilson(hits: int, n: int) -> Estimate:
    """A share with Wilson's score interval (Wilson, JASA 1927); raises ValueError when `n` is 0."""
    if n == 0:
        raise ValueError("a share of nobody")
    share, square = hits / n, Z95 * Z95
    centre = (share + square / (2 * n)) / (1 + square / n)
    spread = Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    low = 0.0 if hits == 0 else max(0.0, centre - spread)
    return Estimate(value=share, low=low, high=1.0 if hits == n else min(1.0, centre + spread))


def calibration_error(scores: npt.ArrayLike, labels: npt.ArrayLike, *, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error over bins of equal width: the mean gap between score and share of patients,
    weighted by the people in each bin (Naeini, Cooper and Hauskrecht, AAAI 2015)."""
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    where = np.minimum((values * bins).astype(int), bins - 1)
    gaps = [abs(float((values[where == b] - is_patient[where == b]).sum())) for b in range(bins)]
    return math.fsum(gaps) / len(values)


def best_threshold(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The threshold of the highest UAR, in the middle of the scores around it; of equals the one nearest to 0.5."""
    values, is_patient = np.asarray(scores, dtype=np.float64), np.asarray(labels).astype(bool)
    levels = np.unique(values)
    cuts = np.concatenate([(levels[:-1] + levels[1:]) / 2.0, [levels[0]]])
    found = [(_uar(values >= cut, is_patient), -abs(float(cut) - 0.5), float(cut)) for cut in cuts]
    return max(found)[2]


def _uar(positive: npt.NDArray[np.bool_], is_patient: npt.NDArray[np.bool_]) -> float:
    return float(positive[is_patient].mean() + (~positive[~is_patient]).mean()) / 2.0


def figures(people: Sequence[Scored]) -> dict[str, Any]:
    """All figures of a group as JSON values; those that need both classes are null where one is missing."""
    patients = [one for one in people if one.label == 1]
    controls = [one for one in people if one.label == 0]
    found: dict[str, Any] = {"n": len(people), "patients": len(patients), "controls": len(controls)}
    if not patients or not controls:
        return found | dict.fromkeys(("auc", "auc_low", "auc_high", "uar", "sensitivity", "specificity", "ece"))
    scores, labels = [one.score for one in people], [one.label for one in people]
    area = auc(scores, labels)
    sensitivity = wilson(sum(one.positive for one in patients), len(patients))
    specificity = wilson(sum(not one.positive for one in controls), len(controls))
    recall = unweighted_recall(sensitivity, specificity, patients=len(patients), controls=len(controls))
    return found | {
        **_named("auc", area),
        **_named("uar", recall),
        **_named("sensitivity", sensitivity),
        **_named("specificity", specificity),
        "ece": calibration_error(scores, labels),
    }


def unweighted_recall(sensitivity: Estimate, specificity: Estimate, *, patients: int, controls: int) -> Estimate:
    """UAR, the mean of sensitivity and specificity; interval from their independent variances (Agresti-Coull)."""
    variance = 0.0
    for share, n in ((sensitivity.value, patients), (specificity.value, controls)):
        adjusted = (share * n + 2.0) / (n + 4.0)
        variance += adjusted * (1.0 - adjusted) / (n + 4.0) / 4.0
    value, spread = (sensitivity.value + specificity.value) / 2.0, Z95 * math.sqrt(variance)
    return Estimate(value=value, low=max(0.0, value - spread), high=min(1.0, value + spread))


def matched_figures(people: Sequence[Scored]) -> dict[str, Any]:
    """Figures on the people of matched pairs, where age and sex can't tell; with the share of pairs in which the
    patient scores higher (ties count half, rounded down)."""
    matched = [one for one in people if one.matched_pair is not None]
    pairs: dict[int, list[Scored]] = defaultdict(list)
    for one in matched:
        pairs[one.matched_pair or 0].append(one)
    whole = [pair for pair in pairs.values() if {one.label for one in pair} == {0, 1}]
    found = figures([one for pair in whole for one in pair]) | {"pairs": len(whole)}
    if whole:
        found |= _named("concordance", wilson(int(sum(_concordance(pair) for pair in whole)), len(whole)))
    return found


def _concordance(pair: Sequence[Scored]) -> float:
    patient = max(one.score for one in pair if one.label == 1)
    control = max(one.score for one in pair if one.label == 0)
    return 1.0 if patient > control else 0.5 if patient == control else 0.0


def slice_figures(people: Sequence[Scored], names: Sequence[str], *, min_people: int) -> list[dict[str, Any]]:
    """Figures by value of each facet; groups below `min_people` are counted and marked, not judged."""
    found = []
    for name in names:
        for value in sorted({one.facets[name] for one in people if name in one.facets}):
            group = [one for one in people if one.facets.get(name) == value]
            is_enough = len(group) >= min_people
            numbers = figures(group) if is_enough else {"n": len(group)}
            found.append({"slice": name, "value": value, "enough": is_enough, **numbers})
    return found


def gates(found: Mapping[str, Any], matched: Mapping[str, Any], *, min_people: int) -> list[dict[str, str]]:
    """What the model must reach before anybody relies on it, each with its verdict `pass`, `fail` or `skip`."""
    enough = found["n"] >= min_people
    return [
        {
            "name": "test-people",
            "verdict": "pass" if enough else "fail",
            "reason": f"{found['n']} people were never seen in training; at least {min_people} are asked for",
        },
        _above_chance("above-chance", found, who="people never seen", min_people=min_people),
        _above_chance("above-chance-matched", matched, who="people of matched pairs", min_people=min_people),
    ]


def _above_chance(name: str, found: Mapping[str, Any], *, who: str, min_people: int) -> dict[str, str]:
    if found.get("auc") is None or found["n"] < min_people:
        reason = f"{found['n']} {who} are too few to tell; at least {min_people} of both classes are asked for"
        return {"name": name, "verdict": "skip", "reason": reason}
    verdict = "pass" if found["auc_low"] > 0.5 else "fail"
    interval = f"AUC {found['auc']:.3f}, 95 % interval {found['auc_low']:.3f} to {found['auc_high']:.3f}"
    return {"name": name, "verdict": verdict, "reason": f"{interval}, on {found['n']} {who}; chance is 0.5"}


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}

"""How far changes that must not matter move scores and diagnoses, by figures with intervals.

Noise flip: figures with noise on nobody, on controls only, on patients only and on both. A model that took a class's
noise for its illness calls noisy controls ill, which shows where noise is on one class alone.
Counterfactuals: the same people with another gain, band, silence or padding; how far each one's own score moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spira.training.core.bootstrap import Resamples, interval
from spira.training.core.discrimination import Estimate, FloatArray, Panel, wilson
from spira.training.core.perturb import CLEAN, NOISE
from spira.training.core.verdicts import Verdict

SIDES: Mapping[str, frozenset[int]] = {
    "none": frozenset(),
    "controls only": frozenset({0}),
    "patients only": frozenset({1}),
    "both": frozenset({0, 1}),
}
"""Who has noise, by the name of the condition."""


@dataclass(frozen=True, kw_only=True)
class BatteryScores:
    """One recording (after `people_of` one person) under every condition."""

    participant: str
    label: int
    threshold: float
    band: tuple[float, float] | None
    """Scores in [low, high) are inconclusive."""
    scores: Mapping[str, tuple[float, ...]]
    """By condition; one for each draw of noise, otherwise one."""

    def diagnosis(self, score: float) -> int:
        """1 positive, -1 negative, 0 inconclusive."""
        if self.band is not None and self.band[0] <= score < self.band[1]:
            return 0
        return 1 if score >= self.threshold else -1


@dataclass(frozen=True, kw_only=True)
class NoiseOnly:
    """A recording without any voice, heard by a model."""

    sha256: str
    refused: bool
    """By the quality rules: then it has no score."""
    score: float | None
    diagnosis: Literal["positive", "negative", "inconclusive", "refused"]


@dataclass(frozen=True, kw_only=True)
class Shift:
    """What a condition changes, with its interval by resampled people."""

    condition: str
    figure: str
    before: float
    after: float
    change: Estimate

    def verdict(self, margin: float) -> Verdict:
        if self.change.low > margin or self.change.high < -margin:
            return "FAIL"
        return "PASS" if -margin < self.change.low and self.change.high < margin else "NOT ENOUGH DATA"

    def __str__(self) -> str:
        bounds = f"{self.change.low:+.3f} to {self.change.high:+.3f}"
        moved = f"{self.before:.3f} to {self.after:.3f}, {self.change.value:+.3f} ({bounds})"
        return f"{self.condition}: {self.figure} {moved}"


def people_of(recordings: Sequence[BatteryScores]) -> list[BatteryScores]:
    """One entry per person: the mean score of their recordings, condition by condition and draw by draw."""
    groups: dict[str, list[BatteryScores]] = defaultdict(list)
    for one in recordings:
        groups[one.participant].append(one)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[BatteryScores]) -> BatteryScores:
    first = group[0]
    means = {
        name: tuple(float(value) for value in np.mean([one.scores[name] for one in group], axis=0))
        for name in first.scores
    }
    return BatteryScores(
        participant=first.participant, label=first.label, threshold=first.threshold, band=first.band, scores=means
    )


def noise_shifts(people: Sequence[BatteryScores], *, seed: int) -> list[Shift]:
    """Against `none`, for each of the other conditions: sensitivity, specificity and AUC."""
    labels = np.array([one.label for one in people])
    resamples = Resamples.of(_panel(people, "none", 0), seed=seed)
    plain = _figures(people, "none", labels, resamples)
    found = []
    for side in SIDES:
        if side == "none":
            continue
        for name, (value, resampled) in _figures(people, side, labels, resamples).items():
            size = int((labels == 0).sum() if name == "specificity" else (labels == 1).sum())
            is_touched = name == "AUC" or (0 if name == "specificity" else 1) in SIDES[side]
            before, resampled_before = plain[name]
            change = interval(value - before, resampled - resampled_before)
            change = _not_too_sure(change, size) if is_touched else change
            found.append(Shift(condition=side, figure=name, before=before, after=value, change=change))
    return found


def _figures(
    people: Sequence[BatteryScores], side: str, labels: np.ndarray[Any, Any], resamples: Resamples
) -> dict[str, tuple[float, FloatArray]]:
    """Each figure and its resamples, the mean over the draws of noise."""
    hits = np.array([_positive_share(one, side) for one in people])
    patients, controls = hits[labels == 1], 1.0 - hits[labels == 0]
    panels = [_panel(people, side, draw) for draw in range(_draws(people))]
    areas = [panel.placements()[0].mean() for panel in panels]
    return {
        "sensitivity": (float(patients.mean()), resamples.patients @ patients / len(patients)),
        "specificity": (float(controls.mean()), resamples.controls @ controls / len(controls)),
        "AUC": (float(np.mean(areas)), np.mean([resamples.auc(panel) for panel in panels], axis=0)),
    }


def noise_auc(people: Sequence[BatteryScores], *, seed: int) -> Estimate:
    """AUC with noise on everybody, the mean over the draws; interval by resampled people."""
    panels = [_panel(people, "both", draw) for draw in range(_draws(people))]
    resamples = Resamples.of(panels[0], seed=seed)
    value = float(np.mean([panel.placements()[0].mean() for panel in panels]))
    return interval(value, np.asarray(np.mean([resamples.auc(panel) for panel in panels], axis=0)))


def counterfactual(people: Sequence[BatteryScores], condition: str) -> dict[str, Any]:
    """How far a condition moves people's own scores: the mean size of the shift, and the share whose diagnosis it
    turns from positive to negative or back."""
    pairs = [(one, one.scores[CLEAN][0], float(np.mean(one.scores[condition]))) for one in people]
    sizes = np.array([abs(after - before) for _, before, after in pairs])
    flips = sum(one.diagnosis(before) * one.diagnosis(after) < 0 for one, before, after in pairs)
    half = 1.96 * float(sizes.std(ddof=1)) / len(sizes) ** 0.5 if len(sizes) > 1 else 1.0
    mean = float(sizes.mean())
    shift = Estimate(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))
    return {
        "condition": condition,
        "n": len(people),
        **shift.named("mean_shift"),
        **wilson(flips, len(people)).named("flips"),
    }


def battery_rows(people: Sequence[BatteryScores], *, seed: int) -> list[dict[str, Any]]:
    """A row of JSON values per change: `name`, `n`, `before`, `after`, and the change as `value`, `low` and `high`.

    First the noise flip's figures, then by counterfactual the mean size of the shift and the turned diagnoses.
    """
    rows: list[dict[str, Any]] = []
    if {one.label for one in people} == {0, 1} and has_noise(people):
        for one in noise_shifts(people, seed=seed):
            name = f"noise, {one.condition}: {one.figure}"
            rows.append(_row(name, len(people), before=one.before, after=one.after, change=one.change))
    for condition in conditions(people):
        found = counterfactual(people, condition)
        for figure, told in (("mean_shift", "mean size of the shift"), ("flips", "turned diagnoses")):
            value, low, high = (found[f"{figure}{end}"] for end in ("", "_low", "_high"))
            change = Estimate(value=value, low=low, high=high)
            rows.append(_row(f"{condition}: {told}", len(people), before=0.0, after=value, change=change))
    return rows


def _row(name: str, n: int, *, before: float, after: float, change: Estimate) -> dict[str, Any]:
    return {"name": name, "n": n, "before": before, "after": after, "value": change.value, "low": change.low,
            "high": change.high}  # fmt: skip


def has_noise(people: Sequence[BatteryScores]) -> bool:
    return bool(people) and all(NOISE in one.scores for one in people)


def conditions(people: Sequence[BatteryScores]) -> list[str]:
    """The counterfactual ones."""
    return [name for name in people[0].scores if name not in {CLEAN, NOISE}] if people else []


def _panel(people: Sequence[BatteryScores], side: str, draw: int) -> Panel:
    values = [_scores(one, side)[draw % len(_scores(one, side))] for one in people]
    return Panel.of(values, [one.label for one in people])


def _scores(one: BatteryScores, side: str) -> tuple[float, ...]:
    return one.scores[NOISE if one.label in SIDES[side] else CLEAN]


def _positive_share(one: BatteryScores, side: str) -> float:
    return float(np.mean([score >= one.threshold for score in _scores(one, side)]))


def _draws(people: Sequence[BatteryScores]) -> int:
    return len(people[0].scores[NOISE])


def _not_too_sure(change: Estimate, n: int) -> Estimate:
    """Where no resample differs, what nobody of `n` has shown may still be in others."""
    if change.low < change.high:
        return change
    half = wilson(0, n).high
    return Estimate(value=change.value, low=change.value - half, high=change.value + half)

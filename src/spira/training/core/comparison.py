"""Two models on the same people: paired differences, and whether one is worse by more than a margin.

Non-inferiority: a model passes when it is shown not to be worse than the other by `margin`; it fails when it is shown
to be; otherwise there is not enough data. Each question is one-sided at 2.5 %, which is what a 95 % interval shows,
and Holm's correction (Scandinavian Journal of Statistics 1979) holds that over the whole family of endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spira.training.core.bootstrap import DRAWS, Resamples, interval
from spira.training.core.discrimination import Z95, Estimate, FloatArray, Panel, cut_at_specificity, wilson
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored, panel_of
from spira.training.core.gates import between, worst
from spira.training.core.verdicts import Gate, Verdict

ALPHA = 0.025
_TOLD = 3
"""Endpoints that a reason names."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same people, in the same order, scored by both models."""

    candidate: tuple[Scored, ...]
    other: tuple[Scored, ...]

    @classmethod
    def of(cls, candidate: Sequence[Scored], other: Sequence[Scored]) -> Pair:
        """The people that both have scored, patients first."""
        known = {one.participant: one for one in other}
        both = sorted(
            (one for one in candidate if one.participant in known), key=lambda one: (-one.label, one.participant)
        )
        return cls(candidate=tuple(both), other=tuple(known[one.participant] for one in both))

    def where(self, facet: str, value: str) -> Pair:
        kept = {one.participant for one in self.candidate if one.facets.get(facet) == value}
        sides = ([one for one in side if one.participant in kept] for side in (self.candidate, self.other))
        candidate, other = sides
        return Pair(candidate=tuple(candidate), other=tuple(other))

    def smaller_class(self) -> int:
        patients = sum(one.label for one in self.candidate)
        return min(patients, len(self.candidate) - patients)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One question: by how much the candidate is better (positive) or worse."""

    name: str
    n: int
    candidate: float
    other: float
    difference: Estimate
    spread: float
    """Standard error of the difference; 0 where both models rank everybody alike."""
    margin: float
    """How much worse the candidate may be."""

    def chance_that_worse(self) -> float:
        """p of so good a difference, if the candidate were worse by the margin."""
        return _tail(self.difference.value + self.margin, self.spread)

    def chance_that_as_good(self) -> float:
        """p of so bad a difference, if the candidate were worse by no more than the margin."""
        return _tail(-self.margin - self.difference.value, self.spread)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An endpoint with its verdict in the family."""

    endpoint: Endpoint
    verdict: Verdict
    p: float
    """Holm's adjusted p of non-inferiority."""

    def as_dict(self) -> dict[str, Any]:
        one = self.endpoint
        numbers: dict[str, Any] = {"endpoint": one.name, "n": one.n, "candidate": one.candidate, "other": one.other}
        return (
            numbers | one.difference.named("difference") | {"margin": one.margin, "p": self.p, "verdict": self.verdict}
        )


def endpoints(pair: Pair, config: EvaluationConfig, *, seed: int, draws: int = DRAWS) -> list[Endpoint]:
    """AUC and sensitivity at the target specificity of everybody; AUC of slices with enough of both classes."""
    margin = config.non_inferiority_margin
    found = [area_endpoint(pair, "AUC", margin=margin), _sensitivity_endpoint(pair, config, seed=seed, draws=draws)]
    for facet in config.slices:
        for value in sorted({one.facets[facet] for one in pair.candidate if facet in one.facets}):
            part = pair.where(facet, value)
            if len(part.candidate) < len(pair.candidate) and part.smaller_class() >= config.min_slice_people:
                found.append(area_endpoint(part, f"AUC, {facet} {value}", margin=margin))
    return found


def area_endpoint(pair: Pair, name: str, *, margin: float) -> Endpoint:
    """Difference of two correlated areas after DeLong et al. (Biometrics 1988)."""
    one, other = (panel_of(side).placements() for side in (pair.candidate, pair.other))
    variance = sum(_variance(a - b) / len(a) for a, b in zip(one, other, strict=True))
    areas = float(one[0].mean()), float(other[0].mean())
    return _endpoint(name, pair, areas, spread=math.sqrt(variance), margin=margin)


def _sensitivity_endpoint(pair: Pair, config: EvaluationConfig, *, seed: int, draws: int) -> Endpoint:
    """Each model at its own cut, under the same resamples of people."""
    specificity = config.target_specificity
    panels = [panel_of(side) for side in (pair.candidate, pair.other)]
    shares = [float((one.patients > cut_at_specificity(one.controls, specificity)).mean()) for one in panels]
    resamples = Resamples.of(panels[0], seed=seed, draws=draws)
    resampled = resamples.sensitivity_at(panels[0], specificity) - resamples.sensitivity_at(panels[1], specificity)
    name = f"sensitivity at specificity {specificity:g}"
    return _endpoint(
        name, pair, (shares[0], shares[1]), spread=float(resampled.std()), margin=config.sensitivity_margin
    )


def _endpoint(name: str, pair: Pair, values: tuple[float, float], *, spread: float, margin: float) -> Endpoint:
    """Where nothing varies although the models differ, the smaller class bounds what can be known."""
    few = pair.smaller_class()
    is_same = _is_ranked_alike(panel_of(pair.candidate), panel_of(pair.other))
    spread = 0.0 if is_same else spread or (1.0 - wilson(few, few).low) / Z95
    value = values[0] - values[1]
    difference = Estimate(value=value, low=max(-1.0, value - Z95 * spread), high=min(1.0, value + Z95 * spread))
    return Endpoint(
        name=name,
        n=len(pair.candidate),
        candidate=values[0],
        other=values[1],
        difference=difference,
        spread=spread,
        margin=margin,
    )


def judge(family: Sequence[Endpoint]) -> list[Judged]:
    """The verdict on each endpoint, corrected over the family."""
    not_worse = holm([one.chance_that_worse() for one in family])
    worse = holm([one.chance_that_as_good() for one in family])
    return [
        Judged(endpoint=one, p=p, verdict="PASS" if p <= ALPHA else "FAIL" if opposite <= ALPHA else "NOT ENOUGH DATA")
        for one, p, opposite in zip(family, not_worse, worse, strict=True)
    ]


def holm(chances: Sequence[float]) -> list[float]:
    """Adjusted p-values in the given order."""
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, index in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = highest
    return adjusted


def comparison_gate(name: str, judged: Sequence[Judged], *, against: str) -> Gate:
    """PASS when every endpoint does, FAIL when one does; the reason names the endpoints that decided."""
    verdict = worst([one.verdict for one in judged])
    deciding = [one.endpoint for one in judged if one.verdict == verdict]
    told = "; ".join(
        f"{one.name} {between(one.difference)}, margin {one.margin:g}, on {one.n} people" for one in deciding[:_TOLD]
    )
    more = f"; and {len(deciding) - _TOLD} more" if len(deciding) > _TOLD else ""
    whether = {
        "PASS": "is not worse than",
        "FAIL": "is worse than",
        "NOT ENOUGH DATA": "can't be told whether it is worse than",
    }[verdict]
    return Gate(name=name, verdict=verdict, reason=f"{whether} {against} by more than the margin: {told}{more}")


def paired_differences(pair: Pair, *, seed: int) -> dict[str, Any]:
    """Candidate minus other in AUC, UAR, precision, recall, F1 and accuracy, each with its paired bootstrap interval
    by person; precision counts 0 where nobody is positive."""
    draws = Resamples.of(panel_of(pair.candidate), seed=seed)
    once = Resamples(patients=np.ones((1, draws.patients.shape[1])), controls=np.ones((1, draws.controls.shape[1])))
    values = [_measures(side, once) for side in (pair.candidate, pair.other)]
    resampled = [_measures(side, draws) for side in (pair.candidate, pair.other)]
    found: dict[str, Any] = {"n": len(pair.candidate)}
    for name in values[0]:
        difference = float(values[0][name][0] - values[1][name][0])
        found |= interval(difference, resampled[0][name] - resampled[1][name]).named(name)
    return found


def _measures(people: Sequence[Scored], draws: Resamples) -> Mapping[str, FloatArray]:
    panel = panel_of(people)
    m, n = draws.patients.shape[1], draws.controls.shape[1]
    right = np.array([float(one.right) for one in people])
    hits, quiet = draws.patients @ right[:m], draws.controls @ right[m:]
    positives = hits + n - quiet
    return {
        "auc": draws.auc(panel),
        "uar": (hits / m + quiet / n) / 2.0,
        "precision": hits / np.maximum(positives, 1.0),
        "recall": hits / m,
        "f1": 2.0 * hits / (positives + m),
        "accuracy": (hits + quiet) / (m + n),
    }


def _is_ranked_alike(one: Panel, other: Panel) -> bool:
    """Whether both models put everybody in the same order."""
    first, second = (np.concatenate([panel.patients, panel.controls]) for panel in (one, other))
    return bool(np.array_equal(np.unique(first, return_inverse=True)[1], np.unique(second, return_inverse=True)[1]))


def _tail(distance: float, spread: float) -> float:
    if spread == 0.0:
        return 0.0 if distance > 0.0 else 1.0
    return 0.5 * math.erfc(distance / spread / math.sqrt(2.0))


def _variance(values: FloatArray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0

"""Groups of people by sex, age, site, device …: their figures, and whether a model serves one of them worse."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from spira.training.core.discrimination import Estimate, difference_of_shares
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored, figures
from spira.training.core.gates import between, worst
from spira.training.core.verdicts import Gate, Verdict

_FALSE_ALARM = 0.05


def slice_figures(people: Sequence[Scored], config: EvaluationConfig) -> list[dict[str, Any]]:
    """Figures by value of each facet; groups below `min_slice_people` are counted and marked, not judged."""
    found = []
    for name, value, group, _ in _groups(people, config.slices):
        is_enough = len(group) >= config.min_slice_people
        numbers = figures(group, target_specificity=config.target_specificity) if is_enough else {"n": len(group)}
        found.append({"slice": name, "value": value, "enough": is_enough, **numbers})
    return found


def disparities(people: Sequence[Scored], config: EvaluationConfig) -> list[dict[str, Any]]:
    """By facet, how far its large enough groups lie apart: the differences in selection rate (demographic parity) and
    in sensitivity and specificity (equalised odds), by fairlearn's MetricFrame. Without interval: see the gate."""
    fairness: Any = importlib.import_module("fairlearn.metrics")  # heavy, and without annotations
    measures = {
        "selection_rate": fairness.selection_rate,
        "sensitivity": fairness.true_positive_rate,
        "false_alarms": fairness.false_positive_rate,
    }
    found = []
    for name in config.slices:
        sizes = {value: group for facet, value, group, _ in _groups(people, (name,)) if _has_both(group, config)}
        if len(sizes) < 2:
            continue
        judged = [one for group in sizes.values() for one in group]
        frame = fairness.MetricFrame(
            metrics=measures,
            y_true=[one.label for one in judged],
            y_pred=[int(one.positive) for one in judged],
            sensitive_features=[one.facets[name] for one in judged],
        )
        apart = {measure: float(value) for measure, value in frame.difference().items()}
        found.append({"slice": name, "groups": sorted(sizes), "n": len(judged), **apart})
    return found


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How a share of a slice differs from everybody else's; negative is worse."""

    slice: str
    measure: str
    n: int
    share: float
    elsewhere: float
    difference: Estimate

    def verdict(self, margin: float) -> Verdict:
        if self.difference.high < -margin:
            return "FAIL"
        return "PASS" if self.difference.low > -margin else "NOT ENOUGH DATA"

    def __str__(self) -> str:
        return (
            f"{self.slice}: {self.measure} {self.share:.2f} (n {self.n}) against {self.elsewhere:.2f} elsewhere, "
            f"difference {between(self.difference)}"
        )


def gaps(people: Sequence[Scored], config: EvaluationConfig) -> list[Gap]:
    """Sensitivity and specificity of every slice with enough people of the class against the rest of that class.

    The intervals hold together: Bonferroni's correction over all gaps at 95 %.
    """
    pairs = list(_pairs(people, config))
    z = NormalDist().inv_cdf(1.0 - _FALSE_ALARM / 2.0 / max(1, len(pairs)))
    return [
        Gap(
            slice=name,
            measure=measure,
            n=len(inside),
            share=_right(inside) / len(inside),
            elsewhere=_right(outside) / len(outside),
            difference=difference_of_shares((_right(inside), len(inside)), (_right(outside), len(outside)), z=z),
        )
        for name, measure, inside, outside in pairs
    ]


def slices_gate(people: Sequence[Scored], config: EvaluationConfig) -> Gate:
    """FAIL where a slice is worse than the rest by more than the margin, PASS where none can be."""
    found = gaps(people, config)
    if not found:
        reason = f"no slice has {config.min_slice_people} people of a class, and as many elsewhere"
        return Gate(name="slices", verdict="NOT ENOUGH DATA", reason=reason)
    verdicts = [gap.verdict(config.slice_margin) for gap in found]
    verdict = worst(verdicts)
    named = [gap for gap, one in zip(found, verdicts, strict=True) if one == verdict]
    widest = min(named, key=lambda gap: gap.difference.high if verdict == "FAIL" else gap.difference.low)
    others = f"; and {len(named) - 1} more" if verdict != "PASS" and len(named) > 1 else ""
    reason = f"{widest}; {config.slice_margin:g} lower is tolerated ({len(found)} gaps looked at){others}"
    return Gate(name="slices", verdict=verdict, reason=reason)


def _groups(people: Sequence[Scored], names: Sequence[str]) -> Iterator[tuple[str, str, list[Scored], list[Scored]]]:
    """Facet, value, who has it, and who is known to have another."""
    for name in names:
        known = [one for one in people if name in one.facets]
        for value in sorted({one.facets[name] for one in known}):
            inside = [one for one in known if one.facets[name] == value]
            yield name, value, inside, [one for one in known if one.facets[name] != value]


def _pairs(people: Sequence[Scored], config: EvaluationConfig) -> Iterator[tuple[str, str, list[Scored], list[Scored]]]:
    for name, value, inside, outside in _groups(people, config.slices):
        for label, measure in ((1, "sensitivity"), (0, "specificity")):
            one, other = ([p for p in side if p.label == label] for side in (inside, outside))
            if min(len(one), len(other)) >= config.min_slice_people:
                yield f"{name} {value}", measure, one, other


def _has_both(group: Sequence[Scored], config: EvaluationConfig) -> bool:
    return len(group) >= config.min_slice_people and {one.label for one in group} == {0, 1}


def _right(group: Sequence[Scored]) -> int:
    return sum(one.right for one in group)

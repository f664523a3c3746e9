"""What the figures of a model must reach before anybody relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spira.training.core.discrimination import Estimate
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.verdicts import Gate, Verdict


def quality_gates(found: Mapping[str, Any], matched: Mapping[str, Any], config: EvaluationConfig) -> list[Gate]:
    """Gates on the figures of all people and of the matched pairs, as `figures` and `matched_figures` give them."""
    return [
        _people(found["n"], config),
        _discrimination("above-chance", found, who="people never seen", config=config),
        _discrimination("above-chance-matched", matched, who="people of matched pairs", config=config),
        _sensitivity(found, config),
        _calibration(found, config),
    ]


def bar(estimate: Estimate, lowest: float) -> Verdict:
    """Whether an interval lies above, below or across `lowest`."""
    return "PASS" if estimate.low > lowest else "FAIL" if estimate.high < lowest else "NOT ENOUGH DATA"


def between(estimate: Estimate) -> str:
    """A figure and its interval as text."""
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    return "FAIL" if "FAIL" in verdicts else "NOT ENOUGH DATA" if "NOT ENOUGH DATA" in verdicts else "PASS"


def _people(n: int, config: EvaluationConfig) -> Gate:
    reason = f"{n} people were never seen in training; at least {config.min_test_people} are asked for"
    return Gate(name="test-people", verdict="PASS" if n >= config.min_test_people else "NOT ENOUGH DATA", reason=reason)


def _discrimination(name: str, found: Mapping[str, Any], *, who: str, config: EvaluationConfig) -> Gate:
    if _is_little(found, config):
        return _little(name, found, who=who, config=config)
    area = _estimate(found, "auc")
    reason = f"AUC {between(area)} on {found['n']} {who}; above {config.min_auc:g} is asked for, chance is 0.5"
    return Gate(name=name, verdict=bar(area, config.min_auc), reason=reason)


def _sensitivity(found: Mapping[str, Any], config: EvaluationConfig) -> Gate:
    name = "sensitivity-at-specificity"
    if _is_little(found, config):
        return _little(name, found, who="people never seen", config=config)
    share = _estimate(found, "sensitivity_at_specificity")
    reason = (
        f"at specificity {found['target_specificity']:g} sensitivity is {between(share)} "
        f"on {found['n']} people never seen; above {config.min_sensitivity:g} is asked for"
    )
    return Gate(name=name, verdict=bar(share, config.min_sensitivity), reason=reason)


def _calibration(found: Mapping[str, Any], config: EvaluationConfig) -> Gate:
    name = "calibration"
    if _is_little(found, config):
        return _little(name, found, who="people never seen", config=config)
    offset = Estimate(value=found["offset"], low=found["offset_low"], high=found["offset_high"])
    level: Verdict = "PASS" if max(-offset.low, offset.high) < config.max_offset else "NOT ENOUGH DATA"
    level = "FAIL" if offset.low > config.max_offset or offset.high < -config.max_offset else level
    told = f"mean score minus share of patients {between(offset)}, at most {config.max_offset:g} is asked for"
    if found.get("slope") is None:
        told += "; no slope, since the classes are separated"
        return Gate(name=name, verdict=worst([level, "NOT ENOUGH DATA"]), reason=told)
    slope = _estimate(found, "slope")
    told += f"; slope {between(slope)}, above {config.min_slope:g} is asked for; ECE {found['ece']:.3f}"
    return Gate(name=name, verdict=worst([level, bar(slope, config.min_slope)]), reason=told)


def _is_little(found: Mapping[str, Any], config: EvaluationConfig) -> bool:
    return found.get("auc") is None or found["n"] < config.min_test_people


def _little(name: str, found: Mapping[str, Any], *, who: str, config: EvaluationConfig) -> Gate:
    reason = f"{found['n']} {who} are too few to tell; at least {config.min_test_people} of both classes are asked for"
    return Gate(name=name, verdict="NOT ENOUGH DATA", reason=reason)


def _estimate(found: Mapping[str, Any], name: str) -> Estimate:
    return Estimate(value=found[name], low=found[f"{name}_low"], high=found[f"{name}_high"])

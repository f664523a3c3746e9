"""The verdicts on a bias battery: PASS and FAIL need evidence, otherwise there is not enough data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from spira.training.core.battery import BatteryConfig
from spira.training.core.discrimination import wilson
from spira.training.core.shifts import BatteryScores, NoiseOnly, conditions, counterfactual, has_noise, noise_shifts
from spira.training.core.verdicts import Gate, Verdict

_JUDGED = ("controls only", "patients only")
_ORDER: Mapping[Verdict, int] = {"FAIL": 0, "NOT ENOUGH DATA": 1, "PASS": 2}
_NO_NOISE = "there are no noise recordings that the fit has not heard; give some (--noise)"


def battery_gates(
    people: Sequence[BatteryScores], noise_only: Sequence[NoiseOnly], config: BatteryConfig, *, seed: int
) -> list[Gate]:
    """One gate for the noise flip, one for each counterfactual, one for noise without a voice."""
    return [
        _noise_gate(people, config, seed=seed),
        *(_counterfactual_gate(people, condition, config) for condition in conditions(people)),
        _noise_only_gate(noise_only, config),
    ]


def _noise_gate(people: Sequence[BatteryScores], config: BatteryConfig, *, seed: int) -> Gate:
    name = "noise-flip"
    if not has_noise(people):
        return Gate(name=name, verdict="NOT ENOUGH DATA", reason=f"noise flip: {_NO_NOISE}")
    if not _is_judgeable(people, config.min_people):
        return Gate(name=name, verdict="NOT ENOUGH DATA", reason=f"noise flip: {_too_few(people, config)}")
    judged = [
        shift
        for shift in noise_shifts(people, seed=seed)
        if shift.condition in _JUDGED and (shift.figure == "AUC" or shift.change.low != shift.change.high)
    ]
    verdicts = {shift: shift.verdict(config.margin) for shift in judged}
    ranked = sorted(judged, key=lambda shift: (_ORDER[verdicts[shift]], -abs(shift.change.value)))
    reason = (
        f"noise flip at {config.noise_snr_db:g} dB, {len(people)} people, {'; '.join(map(str, ranked[:2]))}; "
        f"a change of {config.margin:g} is tolerated"
    )
    return Gate(name=name, verdict=verdicts[ranked[0]], reason=reason)


def _counterfactual_gate(people: Sequence[BatteryScores], condition: str, config: BatteryConfig) -> Gate:
    found = counterfactual(people, condition)
    reason = (
        f"{condition}: scores move by {found['mean_shift']:.3f} "
        f"({found['mean_shift_low']:.3f} to {found['mean_shift_high']:.3f}), at most {config.max_shift:g} is "
        "tolerated; "
        f"{found['flips']:.1%} ({found['flips_low']:.1%} to {found['flips_high']:.1%}) of {found['n']} people get the "
        f"opposite diagnosis, at most {config.max_flips:.0%}"
    )
    bounds = [(found["mean_shift_low"], found["mean_shift_high"], config.max_shift)]
    bounds.append((found["flips_low"], found["flips_high"], config.max_flips))
    verdict: Verdict = "PASS" if all(high < most for _, high, most in bounds) else "NOT ENOUGH DATA"
    verdict = "FAIL" if any(low > most for low, _, most in bounds) else verdict
    if len(people) < config.min_people:
        verdict, reason = "NOT ENOUGH DATA", f"{condition}: {_too_few(people, config)}"
    return Gate(name=f"shift: {condition}", verdict=verdict, reason=reason)


def _noise_only_gate(heard: Sequence[NoiseOnly], config: BatteryConfig) -> Gate:
    """A recording that several models heard counts once, by the share of them that call it positive."""
    shares: dict[str, list[bool]] = defaultdict(list)
    for one in heard:
        shares[one.sha256].append(one.diagnosis == "positive")
    if not shares:
        return Gate(name="noise-only", verdict="NOT ENOUGH DATA", reason=f"noise without a voice: {_NO_NOISE}")
    positive = sum(float(np.mean(one)) for one in shares.values())
    share = wilson(round(positive), len(shares))
    refused = len({one.sha256 for one in heard if one.refused})
    reason = (
        f"noise without a voice: {positive / len(shares):.1%} ({share.low:.1%} to {share.high:.1%}) of {len(shares)} "
        f"recordings are called positive, {refused} are refused; at most {config.max_noise_positive:.0%} is tolerated"
    )
    verdict: Verdict = "PASS" if share.high < config.max_noise_positive else "NOT ENOUGH DATA"
    verdict = "FAIL" if share.low > config.max_noise_positive else verdict
    return Gate(
        name="noise-only", verdict=verdict if len(shares) >= config.min_people else "NOT ENOUGH DATA", reason=reason
    )


def _is_judgeable(people: Sequence[BatteryScores], least: int) -> bool:
    patients = sum(one.label for one in people)
    return min(patients, len(people) - patients) >= least


def _too_few(people: Sequence[BatteryScores], config: BatteryConfig) -> str:
    patients = sum(one.label for one in people)
    return (
        f"{patients} patients and {len(people) - patients} controls are too few; "
        f"{config.min_people} of each are asked for"
    )

"""Members of an ensemble to one model: calibration, threshold and band from people whom no member was fitted on.

Each person outside the test fold is judged by members that were not fitted on them; those scores, pooled, decide.
The members' epochs were chosen on the same people, the test fold's had no say in anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spira.kernel.errors import Conflict, InvalidInput, Problem
from spira.training.core.calibration import Calibration, OutOfSample, calibrate, pooled
from spira.training.core.cohort import Cohort
from spira.training.core.config import TrainingConfig
from spira.training.core.figures import auc, calibration_error, wilson
from spira.training.core.member import Member
from spira.voice.score import ModelSettings, ScreeningModel


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """A trained model and how it came about."""

    model: ScreeningModel
    curves: dict[str, list[float]]
    """By `memberN.NAME`: loss, validation_loss, validation_auc, learning_rate; one value per epoch."""
    validation: list[dict[str, Any]]
    """The people who decided calibration and threshold: participant, label, score."""
    facts: dict[str, Any]
    """As JSON values: best epochs, figures of the validation people, threshold, band and its risk."""


def join(
    members: Sequence[Member],
    cohort: Cohort,
    *,
    config: TrainingConfig,
    trained_on: Mapping[str, str],
    code_version: str,
) -> Ensemble:
    """Raises Conflict when members are missing or there twice, InvalidInput when one class was never judged."""
    ordered = sorted(members, key=lambda one: one.facts.number)
    numbers = [one.facts.number for one in ordered]
    if numbers != list(range(config.network.members)):
        raise Conflict(f"an ensemble of {config.network.members} members can't be made of members {numbers}")
    people = pooled(ordered, cohort)
    _refuse_one_class(people)
    calibration = calibrate(people, config.calibration)
    model = ScreeningModel.untrained(_settings(config, calibration, trained_on=trained_on, code_version=code_version))
    for network, member in zip(model.networks, ordered, strict=True):
        network.load_state_dict(dict(member.weights))
    scores = people.scores(temperature=calibration.temperature, bias=calibration.bias)
    return Ensemble(
        model=model,
        curves={f"member{one.facts.number}.{name}": c for one in ordered for name, c in one.facts.curves.items()},
        validation=[
            {"participant": name, "label": int(label), "score": float(score)}
            for name, label, score in zip(people.participants, people.labels, scores, strict=True)
        ],
        facts=_facts(ordered, people, calibration, config),
    )


def _refuse_one_class(people: OutOfSample) -> None:
    if set(people.labels.tolist()) != {0, 1}:
        what = "the validation people of all members are of one class"
        raise InvalidInput.of([Problem(where="split.validation_share", what=what, hint="more people, fewer folds")])


def _settings(
    config: TrainingConfig, calibration: Calibration, *, trained_on: Mapping[str, str], code_version: str
) -> ModelSettings:
    band = calibration.band
    return ModelSettings(
        required_recordings=(config.dataset.task,),
        windows=config.windows,
        features=config.features,
        network=config.network,
        threshold=calibration.threshold,
        inconclusive=None if band is None or band.low == band.high else (band.low, band.high),
        temperature=calibration.temperature,
        bias=calibration.bias,
        code_version=code_version,
        trained_on=dict(trained_on),
        quality=config.dataset.quality,
    )


def _facts(
    members: Sequence[Member], people: OutOfSample, calibration: Calibration, config: TrainingConfig
) -> dict[str, Any]:
    scores = people.scores(temperature=calibration.temperature, bias=calibration.bias)
    is_patient = people.labels == 1
    positive = scores >= calibration.threshold
    recall = [float((positive == is_patient)[is_patient == side].mean()) for side in (True, False)]
    return {
        "best_epochs": [one.facts.best_epoch for one in members],
        "member_seeds": [one.facts.seed for one in members],
        "validation_people": len(scores),
        "validation_auc": auc(scores, people.labels).value,
        "validation_uar": sum(recall) / 2.0,
        "validation_ece": calibration_error(scores, people.labels),
        "temperature": calibration.temperature,
        "bias": calibration.bias,
        "threshold": calibration.threshold,
        "inconclusive": _band_facts(people, calibration, config),
    }


def _band_facts(people: OutOfSample, calibration: Calibration, config: TrainingConfig) -> dict[str, Any] | None:
    """The band with its risk: for each class the share of wrong answers among those who get one, and its interval."""
    band = calibration.band
    if band is None:
        return None
    scores = people.scores(temperature=calibration.temperature, bias=calibration.bias)
    told: dict[str, Any] = {
        "low": band.low,
        "high": band.high,
        "share": band.share,
        "max_error": config.calibration.max_error,
        "reached": band.reached,
    }
    for label, name in enumerate(("control", "patient")):
        answered = int(((people.labels == label) & ((scores < band.low) | (scores >= band.high))).sum())
        if answered:
            error = wilson(round(band.errors[name] * answered), answered)
            told[name] = {"n": answered, "error": error.value, "error_low": error.low, "error_high": error.high}
    return told

"""All that is found out about one model on people it never saw: figures, comparisons, battery, gates, verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spira.training.core.battery import BatteryConfig
from spira.training.core.cohort import Cohort
from spira.training.core.comparison import Pair, area_endpoint, comparison_gate, judge, paired_differences
from spira.training.core.config import TrainingConfig
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored, per_person
from spira.training.core.plain import PlainModel
from spira.training.core.shifts import BatteryScores, NoiseOnly
from spira.training.core.verdicts import Gate
from spira.training.ports import Recordings, Tell
from spira.training.use_cases.baseline import baseline_rows, baseline_scores
from spira.training.use_cases.battery import findings, run_battery, run_noise_only
from spira.training.use_cases.champion import Champion, compare
from spira.training.use_cases.evaluate import metrics, score, with_gates
from spira.training.use_cases.probe import probe_gates, probe_rows, run_probes
from spira.voice.score import ModelSettings, ScreeningModel


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """Whom the model is measured against, each may be missing."""

    plain: PlainModel | None
    champion: Champion | None
    key: str
    """Fingerprint of the pseudonyms' key, under which the champion's people must be known."""


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What was found: JSON values with gates and verdict, and the scores by recording that they come from."""

    metrics: dict[str, Any]
    scores: tuple[Scored, ...]


def assess(
    model: ScreeningModel,
    cohort: Cohort,
    indexes: Sequence[int],
    *,
    shown: str,
    rivals: Rivals,
    config: TrainingConfig,
    recordings: Recordings,
    tell: Tell,
) -> Assessment:
    """Of the recordings `indexes` of people whom `model` never saw. `shown` is the model's name, if it has one."""
    scores = score(model, cohort, indexes, recordings=recordings, tell=tell)
    found = metrics(scores, model=shown, config=config.evaluation)
    if rivals.plain is not None:
        rows = baseline_rows(cohort, indexes, recordings=recordings, tell=tell)
        plain = baseline_scores(rivals.plain, rows, cohort, indexes)
        found = with_baseline(found, scores, plain, config=config.evaluation, seed=config.seed)
    compared = compare(
        scores,
        rivals.champion,
        cohort,
        key=rivals.key,
        task=model.settings.required_recordings[0],
        config=config.evaluation,
        seed=config.seed,
        recordings=recordings,
        tell=tell,
    )
    found = with_gates(found, [compared.gate]) | ({"champion": compared.table} if compared.table else {})
    heard = run_battery(
        model, cohort, indexes, recordings=recordings, config=config.battery, seed=config.seed, tell=tell
    )
    found = with_battery(found, heard, run_noise_only(model, cohort, recordings=recordings), config=config)
    return Assessment(metrics=found, scores=tuple(scores))


def with_battery(
    found: Mapping[str, Any], heard: Sequence[BatteryScores], alone: Sequence[NoiseOnly], *, config: TrainingConfig
) -> dict[str, Any]:
    """The same with what changes that must not matter did, as `battery`, and with their gates."""
    told = findings(heard, alone, config=config.battery, seed=config.seed)
    rows = [{**row, "margin": _margin(str(row["name"]), config.battery)} for row in told.rows]
    return with_gates({**found, **told.figures, "battery": rows}, told.gates)


def _margin(name: str, config: BatteryConfig) -> float:
    """What is tolerated of the shift in a row of the battery's table."""
    if name.startswith("noise, "):
        return config.margin
    return config.max_flips if name.endswith("turned diagnoses") else config.max_shift


def with_probes(
    found: Mapping[str, Any], cohort: Cohort, indexes: Sequence[int], *, model: ModelSettings, config: TrainingConfig
) -> dict[str, Any]:
    """The same with what shortcuts alone tell of the people who were fitted on, as `probes`, and with their gates."""
    is_normalised = model.features.level != "none"
    probes = run_probes(cohort, indexes, config=config.balance, level_is_normalised=is_normalised, seed=config.seed)
    return with_gates({**found, "probes": probe_rows(probes)}, probe_gates(probes, config.balance))


def with_baseline(
    found: dict[str, Any], scores: Sequence[Scored], plain: Sequence[Scored], *, config: EvaluationConfig, seed: int
) -> dict[str, Any]:
    """The same with the plain baseline's figures, the paired differences and their gate."""
    pair = Pair.of(per_person(scores), per_person(plain))
    told = metrics(plain, model="plain baseline", config=config)
    if pair.smaller_class() == 0:
        return with_gates(found | {"baseline": told}, [_too_few(len(pair.candidate), config)])
    judged = judge([area_endpoint(pair, "AUC", margin=config.non_inferiority_margin)])
    gate = comparison_gate("baseline", judged, against="the plain baseline")
    if len(pair.candidate) < config.min_test_people:
        gate = _too_few(len(pair.candidate), config)
    return with_gates(found | {"baseline": told, "against_baseline": paired_differences(pair, seed=seed)}, [gate])


def with_frozen(held_out: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    """The held-out figures with those of the frozen evaluation set beside them as `evaluation`; its gates count too."""
    named = [Gate(**{**gate, "name": f"evaluation: {gate['name']}"}) for gate in frozen["gates"]]
    return with_gates({**held_out, "evaluation": dict(frozen)}, named)


def _too_few(n: int, config: EvaluationConfig) -> Gate:
    reason = f"{n} people are too few to compare; at least {config.min_test_people} of both classes are asked for"
    return Gate(name="baseline", verdict="NOT ENOUGH DATA", reason=reason)

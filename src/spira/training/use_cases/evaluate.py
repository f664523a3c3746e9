"""Scores of people the model never saw, from their raw recordings by the object that serves; and what they show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spira.kernel.errors import Conflict
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored, figures, matched_figures, per_person
from spira.training.core.gates import quality_gates
from spira.training.core.reliability import reliability_table
from spira.training.core.slices import disparities, slice_figures, slices_gate
from spira.training.core.verdicts import Gate, overall
from spira.training.ports import Recordings, Tell
from spira.voice.decode import FloatArray, decode
from spira.voice.score import ModelSettings, ScreeningModel


def score(
    model: ScreeningModel, cohort: Cohort, indexes: Sequence[int], *, recordings: Recordings, tell: Tell
) -> list[Scored]:
    """One entry per recording. Raises Conflict when a recording changed since it was checked."""
    found = []
    for done, index in enumerate(indexes, start=1):
        one = cohort.recordings[index]
        found.append(scored(one, model.score_samples(samples_of(one, recordings)), model.settings))
        tell(done, len(indexes))
    return found


def scored(one: Recording, value: float, settings: ModelSettings) -> Scored:
    """A recording with the score that a model with these settings gave it."""
    return Scored(
        participant=one.participant,
        label=one.label,
        score=value,
        threshold=settings.threshold,
        band=settings.inconclusive,
        matched_pair=one.matched_pair,
        facets=one.facets,
    )


def samples_of(one: Recording, recordings: Recordings) -> FloatArray:
    """Raises Conflict when the recording is not the one that was checked."""
    data = recordings.read(one.location)
    if sha256_hex(data) != one.sha256:
        raise Conflict(f"{one.location} changed since it was checked; run again from step validate")
    return decode(data)


def metrics(scores: Sequence[Scored], *, model: str, config: EvaluationConfig) -> dict[str, Any]:
    """Everything that the scores tell of a model, per person, as JSON values, with gates and the verdict over them."""
    people = per_person(scores)
    everybody = figures(people, target_specificity=config.target_specificity)
    matched = matched_figures(people, target_specificity=config.target_specificity)
    found = {
        "model": model,
        **everybody,
        "recordings": len(scores),
        "matched": matched,
        "slices": slice_figures(people, config),
        "disparities": disparities(people, config),
        "reliability": reliability_table([one.score for one in people], [one.label for one in people]),
    }
    return with_gates(found, [*quality_gates(everybody, matched, config), slices_gate(people, config)])


def with_gates(found: Mapping[str, Any], gates: Iterable[Gate]) -> dict[str, Any]:
    """The same with more gates, and the verdict over all of them."""
    every = [*(Gate(**one) for one in found.get("gates", ())), *gates]
    return {**found, "gates": [gate.as_dict() for gate in every], "verdict": overall(every)}


def scores_table(scores: Sequence[Scored]) -> list[dict[str, Any]]:
    """The scores as JSON values; participants are pseudonyms."""
    return [
        {
            "participant": one.participant,
            "label": one.label,
            "score": one.score,
            "threshold": one.threshold,
            "matched_pair": one.matched_pair,
        }
        for one in scores
    ]

"""Scores of people the model never saw, from their raw recordings by the very object that serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spira.kernel.errors import Conflict
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.config import EvaluationConfig
from spira.training.core.figures import Scored, figures, gates, matched_figures, per_person, slice_figures
from spira.training.ports import Recordings, Tell
from spira.voice.decode import decode
from spira.voice.score import ScreeningModel


def score(
    model: ScreeningModel, cohort: Cohort, indexes: Sequence[int], *, recordings: Recordings, tell: Tell
) -> list[Scored]:
    """One entry per recording. Raises Conflict when a recording changed since it was checked."""
    scored = []
    for done, index in enumerate(indexes, start=1):
        one = cohort.recordings[index]
        scored.append(_scored(one, model.score_samples(decode(_read(one, recordings))), model.settings.threshold))
        tell(done, len(indexes))
    return scored


def metrics(scored: Sequence[Scored], *, model: str, config: EvaluationConfig) -> dict[str, Any]:
    """Everything that is told of a model, per person, as JSON values."""
    people = per_person(scored)
    overall, matched = figures(people), matched_figures(people)
    return {
        "model": model,
        **overall,
        "recordings": len(scored),
        "matched": matched,
        "slices": slice_figures(people, config.slices, min_people=config.min_slice_people),
        "gates": gates(overall, matched, min_people=config.min_test_people),
    }


def scores_table(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """The scores as JSON values; participants are pseudonyms."""
    return [
        {
            "participant": one.participant,
            "label": one.label,
            "score": one.score,
            "threshold": one.threshold,
            "matched_pair": one.matched_pair,
        }
        for one in scored
    ]


def _read(one: Recording, recordings: Recordings) -> bytes:
    data = recordings.read(one.location)
    if sha256_hex(data) != one.sha256:
        raise Conflict(f"{one.location} changed since it was checked; run again from step validate")
    return data


def _scored(one: Recording, value: float, threshold: float) -> Scored:
    return Scored(
        participant=one.participant,
        label=one.label,
        score=value,
        threshold=threshold,
        matched_pair=one.matched_pair,
        facets=one.facets,
    )

"""Roles that serving needs from outside, and the collections it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spira.infra.documents.port import Collection
from spira.kernel.messages import Diagnosis

MODELS = Collection(name="models", unique=(("name",),))
INFERENCES = Collection(
    name="inferences",
    unique=(("user_id", "idempotency_key"),),
    indexed=("user_id", "status", "outbox_state", "deadline", "model"),
)
RESULTS = Collection(name="results", unique=(("inference_id", "model"),), indexed=("inference_id",))
COLLECTIONS = (MODELS, INFERENCES, RESULTS)


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """What a model gets: the version fixed at accept, the recordings' bytes, nothing that identifies a person."""

    model: str
    version: str
    recordings: Mapping[str, bytes]
    metadata: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Screened:
    """A model's answer; scores are in [0, 1]."""

    diagnosis: Diagnosis
    scores: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why a model has no answer for these recordings."""

    reason: str


class Scorer(Protocol):
    """Runs models."""

    def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Screened | Refused]:
        """An answer for each request, in order; recordings that can't be judged are Refused and harm no neighbour.

        Raises Unavailable when the registry does not answer (nothing was decided: ask again); any other error
        condemns the whole batch, and the caller asks again one by one.
        """
        ...

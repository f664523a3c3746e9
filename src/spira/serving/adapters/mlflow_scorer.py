"""Scores by models of the MLflow registry: one pyfunc per (name, version), kept once loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from spira.kernel.errors import Conflict, InvalidInput, NotFound
from spira.serving.ports import Refused, Scorer, ScoreRequest, Screened


class Pyfunc(Protocol):
    """A loaded model: one row per inference, `metadata` as JSON text and a bytes column per recording."""

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]: ...


class Registry(Protocol):
    """Where versions come from; `load` checks the digest of what it loads and raises NotFound, Conflict,
    Unavailable."""

    def load(self, name: str, version: str) -> Pyfunc: ...


class MlflowScorer(Scorer):
    """Rows go to the model one at a time, so that a recording it refuses has no neighbours."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._loaded: dict[tuple[str, str], Pyfunc] = {}

    def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Screened | Refused]:
        return [self._screen(request) for request in requests]

    def warm_up(self, name: str, version: str) -> None:
        """Load a version before the first request; raises NotFound."""
        self._model(name, version)

    def _screen(self, request: ScoreRequest) -> Screened | Refused:
        row = {"metadata": json.dumps(dict(request.metadata)), **request.recordings}
        try:
            (answer,) = self._model(request.model, request.version).predict([row])
        except (InvalidInput, NotFound, Conflict) as error:
            return Refused(reason=str(error))
        scores = answer["scores"]
        return Screened(
            diagnosis=answer["diagnosis"], scores=json.loads(scores) if isinstance(scores, str) else dict(scores)
        )

    def _model(self, name: str, version: str) -> Pyfunc:
        if (name, version) not in self._loaded:
            self._loaded[name, version] = self._registry.load(name, version)
        return self._loaded[name, version]

"""Scores by registered models: one row at a time, one model per version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from spira.kernel.errors import InvalidInput, NotFound, Problem, Unavailable
from spira.serving.adapters.mlflow_scorer import MlflowScorer
from spira.serving.ports import Refused, ScoreRequest, Screened


class Lengths:
    """A model that scores by length, and refuses nothing but empty recordings."""

    def __init__(self, version: str) -> None:
        self.version = version

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        (row,) = rows
        if not row["sustained"]:
            raise InvalidInput.of([Problem(where="sustained", what="is empty")])
        scores = {"final": len(row["sustained"]) / 10, "age": json.loads(row["metadata"])["age"] / 100}
        return [{"diagnosis": "negative", "scores": json.dumps(scores)}]


class Shelf:
    """Versions 1 and 2 of one model."""

    def __init__(self) -> None:
        self.loads: list[str] = []

    def load(self, name: str, version: str) -> Lengths:
        if version == "away":
            raise Unavailable("no registry")
        if version not in {"1", "2"}:
            raise NotFound(f"no version {version} of {name}")
        self.loads.append(version)
        return Lengths(version)


def request(data: bytes, *, version: str = "1") -> ScoreRequest:
    return ScoreRequest(model="tiny", version=version, recordings={"sustained": data}, metadata={"age": 44})


def test_a_refused_recording_has_no_neighbours() -> None:
    scorer = MlflowScorer(Shelf())

    first, second, third = scorer.score([request(b"abc"), request(b""), request(b"abcde")])

    assert first == Screened(diagnosis="negative", scores={"final": 0.3, "age": 0.44})
    assert second == Refused(reason="sustained: is empty")
    assert isinstance(third, Screened)


def test_each_version_is_loaded_once() -> None:
    shelf = Shelf()
    scorer = MlflowScorer(shelf)
    scorer.warm_up("tiny", "1")

    scorer.score([request(b"a"), request(b"b", version="2"), request(b"c")])

    assert shelf.loads == ["1", "2"]


def test_a_version_that_is_gone_refuses_and_a_registry_that_is_away_does_not_decide() -> None:
    scorer = MlflowScorer(Shelf())

    (gone,) = scorer.score([request(b"a", version="3")])

    assert gone == Refused(reason="no version 3 of tiny")
    with pytest.raises(Unavailable):
        scorer.score([request(b"a", version="away")])

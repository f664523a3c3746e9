"""The code of a registered model: MLflow runs this file when it loads one.

A DataFrame row is an inference: `metadata` (JSON text) and one binary column per recording. The answer's columns are
`diagnosis` and `scores` (JSON text). The scores are those of `ScreeningModel`, bit for bit.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from spira.voice.score import ScreeningModel


class ScreeningPyfunc(mlflow.pyfunc.PythonModel):  # type: ignore[misc,name-defined]  # the library loads it lazily
    """Settings and weights come from the artifact `screening`."""

    def load_context(self, context: Any) -> None:
        self._model = ScreeningModel.load(Path(context.artifacts["screening"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        answers = [self._model.screen(_recordings(row)) for row in model_input.to_dict("records")]
        return pd.DataFrame(
            {
                "diagnosis": [answer.diagnosis for answer in answers],
                "scores": [json.dumps(answer.scores) for answer in answers],
            }
        )


def _recordings(row: dict[Any, Any]) -> dict[str, bytes]:
    return {
        str(name): _bytes(value) for name, value in row.items() if isinstance(value, bytes | str) and name != "metadata"
    }


def _bytes(value: bytes | str) -> bytes:
    """A scoring server hands binary columns over as base64 text when they came by JSON."""
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


mlflow.models.set_model(ScreeningPyfunc())

"""A pyfunc from code with the contract of ours: scores by the number of bytes."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Toy(PythonModel):
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        scores = [len(data) % 100 / 100 for data in model_input["sustained"]]
        return pd.DataFrame(
            {
                "diagnosis": ["positive" if score >= 0.5 else "negative" for score in scores],
                "scores": [json.dumps({"final": score}) for score in scores],
            }
        )


set_model(Toy())

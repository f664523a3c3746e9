"""The port `Registry` on MLflow: which code, files, signature and libraries a screening model is registered with."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spira.infra.mlflow_registry import MlflowRegistry, Publication

LIBRARIES = ("numpy", "pandas", "pydantic", "safetensors", "soundfile", "soxr", "torch", "mlflow")
"""What the model needs beside this project, fixed to the versions that it was trained with."""


@dataclass(frozen=True, kw_only=True)
class MlflowTracker:
    """Publishes folders that `ScreeningModel.save` wrote."""

    registry: MlflowRegistry
    required_recordings: tuple[str, ...]

    def publish(
        self,
        folder: Path,
        *,
        name: str,
        alias: str,
        parameters: Mapping[str, str],
        metrics: Mapping[str, float],
        curves: Mapping[str, list[float]],
        datasets: Mapping[str, str],
        attachments: Mapping[str, bytes],
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> str:
        registered = self.registry.publish(
            Publication(
                name=name,
                alias=alias,
                code=Path(__file__).with_name("pyfunc_model.py"),
                files={"screening": folder},
                inputs=[("metadata", "string"), *((one, "binary") for one in self.required_recordings)],
                outputs=[("diagnosis", "string"), ("scores", "string")],
                requirements=[f"{one}=={importlib.metadata.version(one)}" for one in LIBRARIES],
                parameters=parameters,
                metrics=metrics,
                curves=curves,
                datasets=datasets,
                attachments=attachments,
                description=description,
                tags=tags or {},
            )
        )
        return registered.version

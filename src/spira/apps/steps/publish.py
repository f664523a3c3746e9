"""Step `publish`: the model with its evidence into the registry."""

from __future__ import annotations

import json

from spira.apps.steps.bench import config_of, model_folder, read_json
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.contract import Workbench


def publish(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.infra.mlflow_registry import MlflowRegistry
    from spira.training.adapters.mlflow_tracker import MlflowTracker
    from spira.training.use_cases.publish import publish as register

    pooled = "cross-validate" in bench.inputs
    publication = config_of(bench).publication
    with model_folder(bench, "ensemble") as folder:
        kept = json.loads((folder / "model.json").read_text())["settings"]
        tracker = MlflowTracker(
            registry=MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root),
            required_recordings=tuple(kept["required_recordings"]),
        )
        told = register(
            folder,
            name=publication.model_name,
            alias=publication.alias,
            config=read_json(bench, "ensemble", "config.json"),
            evaluation=read_json(bench, "evaluate", "metrics.json"),
            cross_validation=read_json(bench, "cross-validate", "metrics.json") if pooled else None,
            curves=read_json(bench, "ensemble", "curves.json"),
            datasets=kept["trained_on"],
            attachments=_attachments(bench),
            registry=tracker,
        )
    bench.write_json("published.json", told)


def _attachments(bench: Workbench) -> dict[str, bytes]:
    found = {name: bench.read("evaluate", name) for name in bench.inputs["evaluate"].outputs if name != "scores.json"}
    if "cross-validate" in bench.inputs:
        for name in ("metrics.json", "report.html"):
            found[f"cross-validation-{name}"] = bench.read("cross-validate", name)
    return found

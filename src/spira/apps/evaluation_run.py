"""What `spira evaluate` does: the step `rescore` on its own, from words instead of a run's plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spira.apps.receipts import settings_of, with_receipt
from spira.apps.training_inputs import champion_of, location_of, model_inside, outside_manifest, pseudonym_input
from spira.apps.training_settings import ReceiptSettings, TrainingSettings, in_workspace
from spira.apps.training_told import told_of
from spira.apps.training_views import progress_bar
from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, Problem
from spira.orchestration.contract import Request, run_step
from spira.orchestration.manifest import Manifest, Outside, read_manifest
from spira.orchestration.receipts import Receipt
from spira.orchestration.steps import RESCORE
from spira.orchestration.workbench import Progress
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.config import TrainingConfig, config_of
from spira.training.core.strict_json import parse
from spira.training.ports import Tell

LABEL = "rescore"


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """The words of `spira evaluate`."""

    model: str
    manifest: str
    noise: str | None = None
    overrides: tuple[str, ...] = ()
    workspace: Path = Path("var")
    report: Path | None = None
    """Where a copy of the report is put."""
    allow_seen: bool = False
    """Evaluate although the model was trained on some of these people."""


def run_evaluation(request: EvaluationRequest) -> dict[str, Any]:
    """Figures, comparisons and gates of a finished model on the people of a manifest.

    What was evaluated already is not evaluated again. In a pod the receipt is left where SPIRA_STEP_RECEIPT says.
    """
    from spira.apps.steps.rescore import rescore

    settings = in_workspace(request.workspace)
    receipts = settings_of(ReceiptSettings).model_copy(update=settings.model_dump())
    with progress_bar("evaluate") as tell:

        def work(objects: Objects) -> Receipt:
            done = run_step(
                _request(request, settings),
                lambda bench: rescore(bench, settings),
                objects=objects,
                tell=_told_to(tell),
            )
            told = told_of(done.manifest, objects=objects)
            return Receipt(
                label=LABEL, manifest=done.manifest_key, reused=done.reused, repaired=done.repaired, told=told
            )

        receipt = with_receipt(receipts, LABEL, work)
    objects = open_objects(settings.objects_url)
    return _result(read_manifest(objects, receipt.manifest), request, objects=objects)


def _request(request: EvaluationRequest, settings: TrainingSettings) -> Request:
    config = _config(request.overrides)
    recordings = LocatedRecordings()
    outside = {
        "dataset": outside_manifest(
            location_of(request.manifest), columns=config.dataset.columns, recordings=recordings
        ),
        "pseudonyms": pseudonym_input(settings),
        **_model_and_champion(request.model, settings),
    }
    if request.noise is not None:
        columns = config.dataset.noise_columns
        outside["noise"] = outside_manifest(location_of(request.noise), columns=columns, recordings=recordings)
    return Request(
        step=RESCORE,
        image=settings.image,
        config=config.model_dump(mode="json"),
        parameters={"allow_seen": int(request.allow_seen)},
        outside=outside,
    )


def _config(overrides: Sequence[str]) -> TrainingConfig:
    return config_of(parse("{}", name="config"), name="config", overrides=list(overrides))


def _model_and_champion(model: str, settings: TrainingSettings) -> dict[str, Outside]:
    """The model under its exact version; the champion of its name, unless it is the model itself."""
    from spira.infra.mlflow_registry import MlflowRegistry, folder_digest, parse_model_uri

    folder = Path(model)
    if folder.is_dir():
        inside = model_inside(folder).absolute()
        return {"model": Outside(location=f"file:{inside}", digest=folder_digest(inside))}
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    found = registry.resolve(*parse_model_uri(model))
    given = Outside(location=f"models:/{found.name}/{found.version}", digest=found.digest)
    rivals = {name: one for name, one in champion_of(settings, found.name).items() if one != given}
    return {"model": given} | rivals


def _told_to(tell: Tell) -> Callable[[Progress], None]:
    def told(progress: Progress) -> None:
        tell(progress.done, progress.total, progress.note)

    return told


def _result(manifest: Manifest, request: EvaluationRequest, *, objects: Objects) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(objects.get(manifest.outputs["metrics.json"].key))
    report = _copied(manifest, request.report, objects=objects)
    return told | ({"report": report} if report else {})


def _copied(manifest: Manifest, file: Path | None, *, objects: Objects) -> str:
    """The report under the name that was asked for; empty when none was."""
    if file is None:
        return ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(objects.get(manifest.outputs["report.html"].key))
    except OSError as error:
        raise InvalidInput.of([Problem(where="--report", what=f"can't be written: {error}")]) from error
    return str(file)

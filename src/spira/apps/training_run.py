"""What the training commands do, between their words and their output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spira.apps.training_inputs import (
    folds_of_manifest,
    location_of,
    open_model,
    outside_inputs,
    pseudonyms,
    read_table,
)
from spira.apps.training_settings import environment_of, in_workspace
from spira.apps.training_views import ProgressWatcher, progress_bar
from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, Problem
from spira.orchestration.contract import Done
from spira.orchestration.process import Run, run_locally
from spira.orchestration.runs import record_run
from spira.orchestration.steps import plan, step_named
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.config import TrainingConfig, read_config, read_preset

DEFAULT_PRESET = "robust"


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """The words of `spira train`."""

    manifest: str
    noise: str | None = None
    evaluation: str | None = None
    preset: str | None = None
    config: Path | None = None
    overrides: tuple[str, ...] = ()
    workspace: Path = Path("var")
    first: str | None = None
    resume: bool = False
    cross_validate: bool = False
    name: str | None = None
    jobs: int = 0


def run_training(request: TrainRequest) -> dict[str, Any]:
    """Everything from the manifest to the registry; gives the figures of record and where things lie."""
    config = config_of_request(request)
    if request.first is not None:
        step_named(request.first)
    settings = in_workspace(request.workspace)
    outside = outside_inputs(
        settings, config.dataset, manifest=request.manifest, noise=request.noise, evaluation=request.evaluation
    )
    objects = open_objects(settings.objects_url)
    run = Run(
        steps=plan(folds=folds_of_manifest(request.manifest, config), cross_validate=request.cross_validate),
        config=config.model_dump(mode="json"),
        outside=outside,
        environment=environment_of(settings),
        first=request.first,
        resume=request.resume,
        jobs=request.jobs or len(os.sched_getaffinity(0)),
    )
    with ProgressWatcher() as watcher:
        done = run_locally(run, objects=objects, watcher=watcher)
    run_id = record_run(done, name=config.publication.model_name, objects=objects)
    told = _told(done, objects=objects, workspace=request.workspace)
    return told | {"run_id": run_id, "notes": [*told["validation"]["notes"], *_notes(request, config)]}


def _notes(request: TrainRequest, config: TrainingConfig) -> list[str]:
    if request.noise is not None or config.augmentation.variants == 0:
        return []
    if config.augmentation.generated:
        return ["no noise recordings were given: coloured noise was generated for the noisy copies"]
    return ["no noise recordings were given: the model was trained on the recordings as they are"]


def run_evaluation(model: str, *, manifest: str, overrides: Sequence[str], workspace: Path) -> dict[str, Any]:
    """Figures of a model on the people of a manifest."""
    from spira.training.core.config import config_of
    from spira.training.core.strict_json import parse
    from spira.training.use_cases.evaluate import metrics, score
    from spira.training.use_cases.validate import validate

    settings, recordings = in_workspace(workspace), LocatedRecordings()
    table = read_table(location_of(manifest), recordings)
    shown, screening = open_model(settings, model)
    task = screening.settings.required_recordings[0]
    config = config_of(parse("{}", name="config"), name="config", overrides=[f"dataset.task={task}", *overrides])
    with progress_bar("evaluate") as tell:
        checked = validate(
            table,
            None,
            config=config.dataset,
            recordings=recordings,
            pseudonym=pseudonyms(settings).participant,
            tell=tell,
        )
        cohort = checked.cohort
        scored = score(screening, cohort, range(len(cohort.recordings)), recordings=recordings, tell=tell)
    dropped = {name: list(lines) for name, lines in checked.dropped.items() if lines}
    return metrics(scored, model=shown, config=config.evaluation) | {"dropped": dropped}


def run_prediction(model: str, audio: Sequence[str], *, workspace: Path) -> dict[str, Any]:
    """Score and diagnosis of each recording, or of the one person whose recordings are named."""
    shown, screening = open_model(in_workspace(workspace), model)
    needed = screening.settings.required_recordings
    named = [text.partition("=")[::2] for text in audio if "=" in text and text.partition("=")[0] in needed]
    people = [dict(named)] if len(named) == len(audio) else [{needed[0]: file} for file in audio]
    if len(needed) > 1 and not named:
        what = f"{shown} needs {', '.join(needed)}"
        raise InvalidInput.of([Problem(where="audio", what=what, hint=" ".join(f"{one}=FILE" for one in needed))])
    predictions, problems = [], []
    for files in people:
        where = ", ".join(files.values())
        try:
            answer = screening.screen({name: _audio(file) for name, file in files.items()})
        except InvalidInput as error:
            problems += [Problem(where=files.get(p.where, p.where), what=p.what, hint=p.hint) for p in error.problems]
            continue
        predictions.append({"audio": where, "diagnosis": answer.diagnosis, "scores": answer.scores})
    if problems:
        raise InvalidInput.of(problems)
    return {"model": shown, "threshold": screening.settings.threshold, "predictions": predictions}


def _audio(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput.of([Problem(where=file, what=f"can't be read: {error.strerror}")]) from error


def config_of_request(request: TrainRequest) -> TrainingConfig:
    """Preset or file with its overrides, and the model's name; raises InvalidInput and NotFound."""
    if request.preset is not None and request.config is not None:
        raise InvalidInput.of([Problem(where="--preset, --config", what="exclude each other", hint="give one")])
    if request.config is not None:
        config, origin = read_config(request.config, overrides=request.overrides), request.config.stem
    else:
        origin = request.preset or DEFAULT_PRESET
        config = read_preset(origin, overrides=request.overrides)
    name = request.name or config.publication.model_name or origin.lower().replace(".", "-").replace("_", "-")
    publication = {"model_name": name, "alias": config.publication.alias}
    try:
        checked = type(config.publication).model_validate(publication)
    except ValueError as error:
        hint = "lower-case letters, digits and hyphens, at most 63"
        raise InvalidInput.of([Problem(where="--name", what=f"{name!r} is no model name", hint=hint)]) from error
    return config.model_copy(update={"publication": checked})


def _told(done: Mapping[str, Done], *, objects: Objects, workspace: Path) -> dict[str, Any]:
    def read(label: str, name: str) -> Any:
        return json.loads(objects.get(done[label].manifest.outputs[name].key))

    published, test = read("publish", "published.json"), read("evaluate", "metrics.json")
    shown = f"{published['model']}/{published['version']}"
    record = read("cross-validate", "metrics.json") if "cross-validate" in done else test
    return {
        **record,
        "model": shown,
        "figures": "pooled out-of-fold" if "cross-validate" in done else "held-out fold",
        "test": test | {"model": shown},
        "validation": read("validate", "report.json"),
        "steps": {
            label: "reused" if one.reused else "repaired" if one.repaired else "done" for label, one in done.items()
        },
        "repaired": {label: list(one.repaired) for label, one in done.items() if one.repaired},
        "reports": _reports(done, objects=objects, folder=workspace / "reports" / published["model"]),
    }


def _reports(done: Mapping[str, Done], *, objects: Objects, folder: Path) -> dict[str, str]:
    """Copies of the reports where people find them."""
    files = {}
    for label, one in done.items():
        if "report.html" in one.manifest.outputs:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{label}.html").write_bytes(objects.get(one.manifest.outputs["report.html"].key))
            files[label] = str(folder / f"{label}.html")
    return files

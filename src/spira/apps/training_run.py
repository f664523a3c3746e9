"""What the training commands do, between their words and their output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spira.apps.training_inputs import folds_of_manifest, open_model, outside_inputs
from spira.apps.training_settings import environment_of, in_workspace
from spira.apps.training_views import ProgressWatcher
from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, Problem
from spira.orchestration.contract import Done
from spira.orchestration.planning import plan
from spira.orchestration.process import Run, run_locally
from spira.orchestration.runs import record_run
from spira.orchestration.steps import step_named
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
        settings,
        config.dataset,
        manifest=request.manifest,
        noise=request.noise,
        evaluation=request.evaluation,
        model=config.publication.model_name,
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
        try:
            done = run_locally(run, objects=objects, watcher=watcher)
        except InvalidInput as error:
            raise _with_findings(error, watcher.outcomes, request, config, objects=objects) from error
    run_id = record_run(done, name=config.publication.model_name, objects=objects)
    told = _told(done, request, config, objects=objects)
    return told | {"run_id": run_id}


class Refused(InvalidInput):
    """The model was trained and evaluated, and failed gates keep it out of the registry; `told` is what was found."""

    def __init__(self, error: InvalidInput, *, told: Mapping[str, Any]) -> None:
        written = [Problem(where=f"report of {label}", what=file) for label, file in told["reports"].items()]
        files = ", ".join(told["reports"].values())
        super().__init__(f"{error}; written: {files}", problems=(*error.problems, *written))
        self.told = told


def _with_findings(
    error: InvalidInput, done: Mapping[str, Done], request: TrainRequest, config: TrainingConfig, *, objects: Objects
) -> InvalidInput:
    """The error with everything that was found before it; the error itself where that is nothing yet."""
    return Refused(error, told=_told(done, request, config, objects=objects)) if "evaluate" in done else error


def _notes(request: TrainRequest, config: TrainingConfig) -> list[str]:
    if request.noise is not None or config.augmentation.variants == 0:
        return []
    if config.augmentation.generated:
        return ["no noise recordings were given: coloured noise was generated for the noisy copies"]
    return ["no noise recordings were given: the model was trained on the recordings as they are"]


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
    publication = config.publication.model_dump() | {"model_name": name}
    try:
        checked = type(config.publication).model_validate(publication)
    except ValueError as error:
        hint = "lower-case letters, digits and hyphens, at most 63"
        raise InvalidInput.of([Problem(where="--name", what=f"{name!r} is no model name", hint=hint)]) from error
    return config.model_copy(update={"publication": checked})


def _told(
    done: Mapping[str, Done], request: TrainRequest, config: TrainingConfig, *, objects: Objects
) -> dict[str, Any]:
    """The figures of record and where things lie; `model` has no version when it was not registered."""

    def read(label: str, name: str) -> Any:
        return json.loads(objects.get(done[label].manifest.outputs[name].key))

    shown = config.publication.model_name
    if "publish" in done:
        published = read("publish", "published.json")
        shown = f"{published['model']}/{published['version']}"
    test, validation = read("evaluate", "metrics.json"), read("validate", "report.json")
    record, kind = _record(test, read("cross-validate", "metrics.json") if "cross-validate" in done else None)
    return {
        **record,
        "model": shown,
        "figures": kind,
        "test": test | {"model": shown},
        "validation": validation,
        "steps": {
            label: "reused" if one.reused else "repaired" if one.repaired else "done" for label, one in done.items()
        },
        "repaired": {label: list(one.repaired) for label, one in done.items() if one.repaired},
        "reports": _reports(
            done, objects=objects, folder=request.workspace / "reports" / config.publication.model_name
        ),
        "notes": [*validation["notes"], *_notes(request, config)],
    }


def _record(test: Mapping[str, Any], pooled: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], str]:
    """The figures of record and what they are: of the frozen evaluation set, else pooled, else of the held-out fold."""
    if test.get("evaluation"):
        return test["evaluation"], "frozen evaluation set"
    return (pooled, "pooled out-of-fold") if pooled is not None else (test, "held-out fold")


def _reports(done: Mapping[str, Done], *, objects: Objects, folder: Path) -> dict[str, str]:
    """Copies of the reports where people find them."""
    files = {}
    for label, one in done.items():
        page = one.manifest.outputs.get("report.html") or one.manifest.outputs.get("card.html")
        if page is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{label}.html").write_bytes(objects.get(page.key))
            files[label] = str(folder / f"{label}.html")
    return files

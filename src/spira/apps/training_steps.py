"""Wiring of the training steps: each use case with its inputs and outputs on the step's bench."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spira.apps.training_inputs import outside_manifest, pseudonyms, read_table
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict, NotFound
from spira.orchestration.contract import Body, Progress, Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.cohort import Cohort, Split, fold_numbers, folds_of, split
from spira.training.core.config import TrainingConfig

MODEL_FILES = ("model.json", "weights.safetensors")


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The bodies of all steps, over this process's settings."""

    settings: TrainingSettings

    def body(self, name: str) -> Body:
        bodies: Mapping[str, Callable[[Workbench], None]] = {
            "validate": self.validate,
            "features": features,
            "train": train,
            "evaluate": evaluate,
            "cross-validate": cross_validate,
            "publish": self.publish,
        }
        return bodies[name]

    def validate(self, bench: Workbench) -> None:
        from spira.training.use_cases.validate import validate

        config = _config(bench).dataset
        recordings = LocatedRecordings()
        tables = {}
        for name, columns in (("dataset", config.columns), ("noise", config.noise_columns)):
            given = bench.outside.get(name)
            if given is None:
                continue
            if outside_manifest(given.location, columns=columns, recordings=recordings) != given:
                raise Conflict(f"{given.location} or its recordings changed since the run began; run it again")
            tables[name] = read_table(given.location, recordings)
        checked = validate(
            tables["dataset"],
            tables.get("noise"),
            config=config,
            recordings=recordings,
            pseudonym=pseudonyms(self.settings).participant,
            tell=_tell(bench),
        )
        bench.write("cohort.json", checked.cohort.model_dump_json(indent=1).encode())
        bench.write_json(
            "report.json",
            {
                "problems": [problem.as_dict() for problem in checked.problems],
                "dropped": {name: list(lines) for name, lines in checked.dropped.items()},
                "notes": list(checked.notes),
            },
        )

    def publish(self, bench: Workbench) -> None:
        from spira.infra.mlflow_registry import MlflowRegistry
        from spira.training.adapters.mlflow_tracker import MlflowTracker
        from spira.training.use_cases.publish import publish

        pooled = "cross-validate" in bench.inputs
        publication = _config(bench).publication
        with _model_folder(bench, "train") as folder:
            settings = json.loads((folder / "model.json").read_text())["settings"]
            tracker = MlflowTracker(
                registry=MlflowRegistry(self.settings.mlflow_tracking_uri, self.settings.mlflow_artifact_root),
                required_recordings=tuple(settings["required_recordings"]),
            )
            told = publish(
                folder,
                name=publication.model_name,
                alias=publication.alias,
                config=_read_json(bench, "train", "config.json"),
                evaluation=_read_json(bench, "evaluate", "metrics.json"),
                cross_validation=_read_json(bench, "cross-validate", "metrics.json") if pooled else None,
                curves=_read_json(bench, "train", "curves.json"),
                datasets=settings["trained_on"],
                attachments=_attachments(bench),
                registry=tracker,
            )
        bench.write_json("published.json", told)


def features(bench: Workbench) -> None:
    from spira.training.use_cases.features import FeatureRequest, compute_shards

    config = _config(bench)
    request = FeatureRequest(
        windows=config.windows, features=config.features, augmentation=config.augmentation, seed=config.seed
    )
    for name, data in compute_shards(_cohort(bench), request, recordings=LocatedRecordings(), tell=_tell(bench)):
        bench.write(name, data)


def train(bench: Workbench) -> None:
    from spira import __version__
    from spira.training.use_cases.train import train

    config, cohort = _config(bench), _cohort(bench)
    fold = fold_numbers(cohort, folds=config.split.folds)[bench.parameters["fold"]]
    sides = split(
        cohort,
        fold=fold,
        folds=config.split.folds,
        validation_share=config.split.validation_share,
        seed=config.seed,
    )
    fitted = train(
        cohort,
        _versions(bench),
        sides,
        config=config,
        trained_on={"cohort": bench.inputs["validate"].digest, "features": bench.inputs["features"].digest},
        code_version=__version__,
        checkpoints=_BenchCheckpoints(bench=bench),
        tell=_tell(bench),
        resume=bench.resume,
    )
    with tempfile.TemporaryDirectory() as folder:
        fitted.model.save(Path(folder))
        for name in MODEL_FILES:
            bench.write(name, Path(folder) / name)
    bench.write_json("curves.json", fitted.curves)
    bench.write_json("config.json", bench.config)
    bench.write_json("split.json", sides.model_dump())
    bench.write_json(
        "fit.json", {"best_epochs": fitted.best_epochs, "validation_auc": fitted.validation_auc, "held_out_fold": fold}
    )


def evaluate(bench: Workbench) -> None:
    from spira.training.adapters.plots import curve_plot, evaluation_plots
    from spira.training.adapters.report import render
    from spira.training.core.figures import per_person
    from spira.training.use_cases.evaluate import metrics, score, scores_table
    from spira.voice.score import ScreeningModel

    cohort, config = _cohort(bench), _config(bench).evaluation
    sides = Split.model_validate_json(bench.read("train", "split.json"))
    with _model_folder(bench, "train") as folder:
        model = ScreeningModel.load(folder)
    scored = score(model, cohort, sides.test, recordings=LocatedRecordings(), tell=_tell(bench))
    found = metrics(scored, model="", config=config)
    plots = evaluation_plots(per_person(scored)) | {"curves.png": curve_plot(_read_json(bench, "train", "curves.json"))}
    bench.write_json("metrics.json", found)
    bench.write_json("scores.json", scores_table(scored))
    for name, data in plots.items():
        bench.write(name, data)
    note = "Scores of people in the held-out fold, who took no part in training; from their raw recordings."
    bench.write("report.html", render(found, plots, title="Evaluation on people never seen", notes=[note]))


def cross_validate(bench: Workbench) -> None:
    from spira.training.adapters.plots import evaluation_plots
    from spira.training.adapters.report import render
    from spira.training.core.figures import Scored, per_person
    from spira.training.use_cases.baseline import baseline_scores
    from spira.training.use_cases.evaluate import metrics, score, scores_table
    from spira.voice.score import ScreeningModel

    cohort, config = _cohort(bench), _config(bench)
    recordings, total = LocatedRecordings(), 2 * len(cohort.recordings)
    scored: list[Scored] = []
    by_fold = []
    for label in sorted(name for name in bench.inputs if name.partition("@")[0] == "train"):
        sides = Split.model_validate_json(bench.read(label, "split.json"))
        with _model_folder(bench, label) as folder:
            model = ScreeningModel.load(folder)
        one = score(
            model, cohort, sides.test, recordings=recordings, tell=_tell(bench, before=len(scored), total=total)
        )
        by_fold.append({"fold": label, **metrics(one, model="", config=config.evaluation)})
        scored += one
    fold_of = folds_of(cohort, folds=config.split.folds, seed=config.seed)
    plain = baseline_scores(cohort, fold_of, recordings=recordings, tell=_tell(bench, before=len(scored), total=total))
    found = metrics(scored, model="", config=config.evaluation) | {
        "baseline": metrics(plain, model="plain baseline", config=config.evaluation),
        "folds": [{name: one[name] for name in ("fold", "n", "auc", "auc_low", "auc_high", "uar")} for one in by_fold],
    }
    plots = evaluation_plots(per_person(scored))
    bench.write_json("metrics.json", found)
    bench.write_json("scores.json", scores_table(scored))
    note = "Pooled out-of-fold scores: each fold's people are scored by a model trained without them."
    bench.write("report.html", render(found, plots, title="Cross-validation", notes=[note]))


@dataclass(frozen=True, kw_only=True)
class _BenchCheckpoints:
    """The port `Checkpoints` below the step's scratch prefix."""

    bench: Workbench

    def load(self, name: str) -> bytes | None:
        try:
            return self.bench.objects.get(f"{self.bench.scratch}/{name}")
        except NotFound:
            return None

    def save(self, name: str, data: bytes) -> None:
        self.bench.objects.put(f"{self.bench.scratch}/{name}", data)


def _config(bench: Workbench) -> TrainingConfig:
    return TrainingConfig.model_validate_json(json.dumps(bench.config), strict=True)


def _cohort(bench: Workbench) -> Cohort:
    return Cohort.model_validate_json(bench.read("validate", "cohort.json"))


def _read_json(bench: Workbench, step: str, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(bench.read(step, name))
    return value


def _versions(bench: Workbench) -> dict[int, dict[str, Any]]:
    from spira.training.use_cases.features import assemble, version_of

    names = defaultdict(list)
    for name in sorted(bench.inputs["features"].outputs):
        names[version_of(name)].append(name)
    return {version: assemble([bench.read("features", one) for one in shards]) for version, shards in names.items()}


def _attachments(bench: Workbench) -> dict[str, bytes]:
    found = {name: bench.read("evaluate", name) for name in bench.inputs["evaluate"].outputs if name != "scores.json"}
    if "cross-validate" in bench.inputs:
        for name in ("metrics.json", "report.html"):
            found[f"cross-validation-{name}"] = bench.read("cross-validate", name)
    return found


@contextmanager
def _model_folder(bench: Workbench, label: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in MODEL_FILES:
            (Path(folder) / name).write_bytes(bench.read(label, name))
        yield Path(folder)


def _tell(bench: Workbench, *, before: int = 0, total: int | None = None) -> Callable[..., None]:
    def tell(done: int, of: int, note: str = "") -> None:
        bench.tell(Progress(done=before + done, total=of if total is None else total, note=note))

    return tell

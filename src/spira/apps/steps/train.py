"""Step `train`: the members of one fold's ensemble, or a part of them."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spira.apps.steps.bench import MODEL_FILES, cohort_of, config_of, labels_of, teller
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import NotFound
from spira.orchestration.contract import Workbench
from spira.training.core.cohort import held_out, split


def train(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira import __version__
    from spira.training.use_cases.train import train as fit

    config, cohort = config_of(bench), cohort_of(bench)
    fold = held_out(cohort, bench.parameters["fold"], folds=config.split.folds, kind=config.split.kind)
    sides = split(
        cohort,
        fold=fold,
        folds=config.split.folds,
        validation_share=config.split.validation_share,
        seed=config.seed,
        kind=config.split.kind,
        test_share=config.split.test_share,
    )
    fitted = fit(
        cohort,
        _versions(bench),
        sides,
        config=config,
        trained_on={"cohort": bench.inputs["validate"].digest, "features": bench.inputs["features"].digest},
        code_version=__version__,
        checkpoints=_BenchCheckpoints(bench=bench),
        tell=teller(bench),
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


def _versions(bench: Workbench) -> dict[int, dict[str, Any]]:
    from spira.training.use_cases.features import assemble, version_of

    shards = defaultdict(list)
    for label in labels_of(bench, "features"):
        for name in sorted(bench.inputs[label].outputs):
            shards[version_of(name)].append((label, name))
    return {version: assemble([bench.read(*one) for one in names]) for version, names in shards.items()}

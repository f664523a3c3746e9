"""Step `train`: the members of one fold's ensemble, or a part of them."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spira.apps.steps.bench import cohort_of, config_of, labels_of, teller
from spira.apps.steps.checkpoints import ScratchCheckpoints
from spira.apps.steps.train_ranks import Job, fit_in_processes
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.manifest import digest_of
from spira.orchestration.workbench import Workbench
from spira.training.core.cohort import Cohort, Split, held_out, split
from spira.training.core.config import TrainingConfig

if TYPE_CHECKING:
    from spira.training.core.compute import Compute


def train(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.core.compute import Compute, gpus, repeatable

    config, cohort = config_of(bench), cohort_of(bench)
    compute = Compute.of(config.training)
    fold = held_out(cohort, bench.parameters["fold"], folds=config.split.folds, kind=config.split.kind)
    sides = _sides(cohort, config, fold=fold, parameters=bench.parameters)
    _refuse_shortcuts(cohort, next(iter(sides.values())), config)
    job = Job(
        config=config,
        sides=sides,
        files=_files(bench),
        objects_url=settings.objects_url,
        scratch=bench.scratch,
        resume=bench.resume,
        checkpoint_every_s=settings.checkpoint_every_s,
    )
    processes = gpus(config.training)
    files = _several(job, cohort, bench, processes) if processes > 1 else _alone(job, cohort, bench, compute)
    for name, data in files.items():
        bench.write(name, data)
    with repeatable(config.training, compute):
        facts = compute.facts() | {"processes": max(1, processes)}
    bench.write_json("fit.json", {"held_out_fold": fold, "trained_on": _trained_on(bench), **facts})


def _refuse_shortcuts(cohort: Cohort, sides: Split, config: TrainingConfig) -> None:
    """Nobody outside the held-out fold may be told by age, sex or the channel alone, where the policy says so."""
    from spira.training.use_cases.probe import refuse_shortcuts, run_probes

    if config.balance.policy == "refuse":
        is_normalised = config.features.level != "none"
        everybody = (*sides.train, *sides.validation)
        probes = run_probes(
            cohort, everybody, config=config.balance, level_is_normalised=is_normalised, seed=config.seed
        )
        refuse_shortcuts(probes, config.balance)


def _alone(job: Job, cohort: Cohort, bench: Workbench, compute: Compute) -> dict[str, bytes]:
    from spira.training.use_cases.shards import Shards
    from spira.training.use_cases.train import fit_members

    with Shards(job.files) as windows:
        members = fit_members(
            cohort,
            windows,
            job.sides,
            config=job.config,
            compute=compute,
            checkpoints=ScratchCheckpoints(objects=bench.objects, scratch=bench.scratch, tell=teller(bench)),
            tell=teller(bench),
            resume=job.resume,
            checkpoint_every_s=job.checkpoint_every_s,
        )
    return {name: data for member in members for name, data in member.files().items()}


def _several(job: Job, cohort: Cohort, bench: Workbench, processes: int) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return fit_in_processes(job, cohort, folder=Path(folder), processes=processes, tell=teller(bench))


def _sides(cohort: Cohort, config: TrainingConfig, *, fold: int, parameters: Mapping[str, int]) -> dict[int, Split]:
    """Of each member of this part: whom it is fitted on, who judges it, and who is held out."""
    part, parts = parameters["part"], parameters["parts"]
    return {
        member: split(
            cohort,
            fold=fold,
            folds=config.split.folds,
            validation_share=config.split.validation_share,
            seed=config.seed,
            kind=config.split.kind,
            test_share=config.split.test_share,
            member=member,
        )
        for member in range(part, config.network.members, parts)
    }


def _files(bench: Workbench) -> dict[int, tuple[Path, ...]]:
    """Files of the features by version."""
    from spira.training.use_cases.features import version_of

    files: dict[int, list[Path]] = defaultdict(list)
    for label in labels_of(bench, "features"):
        for name in sorted(bench.inputs[label].outputs):
            files[version_of(name)].append(bench.fetch(label, name))
    return {version: tuple(paths) for version, paths in files.items()}


def _trained_on(bench: Workbench) -> dict[str, str]:
    """Digests of the cohort and of its features, in however many shards they came."""
    shards = [bench.inputs[label].digest for label in labels_of(bench, "features")]
    return {
        "cohort": bench.inputs["validate"].digest_over(("cohort.json",)),
        "features": shards[0] if len(shards) == 1 else digest_of(shards),
    }

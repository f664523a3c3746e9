"""Step `ensemble`: the members of one fold joined to one model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spira.apps.steps.bench import MODEL_FILES, cohort_of, config_of, labels_of, read_json, teller
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict
from spira.orchestration.workbench import Workbench
from spira.training.core.cohort import Cohort, Split, held_out, split
from spira.training.core.config import TrainingConfig

if TYPE_CHECKING:
    from spira.training.core.member import Member


def ensemble(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira import __version__
    from spira.training.use_cases.ensemble import join

    config, cohort = config_of(bench), cohort_of(bench)
    fit, members = _fit_facts(bench), _members(bench, config)
    joined = join(members, cohort, config=config, trained_on=fit.pop("trained_on"), code_version=__version__)
    with tempfile.TemporaryDirectory() as folder:
        joined.model.save(Path(folder))
        for name in MODEL_FILES:
            bench.write(name, Path(folder) / name)
    bench.write_json("curves.json", joined.curves)
    bench.write_json("config.json", bench.config)
    bench.write_json("split.json", _sides(cohort, config, fold=bench.parameters["fold"]).model_dump())
    bench.write_json("validation.json", joined.validation)
    bench.write_json("fit.json", joined.facts | fit)
    teller(bench)(1, 1, f"{len(members)} members, {len(joined.validation)} validation people")


def _members(bench: Workbench, config: TrainingConfig) -> list[Member]:
    from spira.training.core.member import Member, facts_file, weights_file

    members = []
    for label in labels_of(bench, "train"):
        for number in range(config.network.members):
            names = (weights_file(number), facts_file(number))
            if all(name in bench.inputs[label].outputs for name in names):
                files = {name: bench.read(label, name) for name in names}
                members.append(Member.of_files(files, number=number))
    return members


def _fit_facts(bench: Workbench) -> dict[str, Any]:
    """What the parts tell of their fit; they must agree on what they were fitted on, the devices may differ."""
    parts = [read_json(bench, label, "fit.json") for label in labels_of(bench, "train")]
    if len({tuple(sorted(part["trained_on"].items())) for part in parts}) != 1:
        raise Conflict("the parts of this ensemble were fitted on different data; run again from step train")
    devices = sorted({part["device"] for part in parts})
    return parts[0] | {"device": ", ".join(devices)}


def _sides(cohort: Cohort, config: TrainingConfig, *, fold: int) -> Split:
    """`train`: everybody some member saw, to fit or to judge; `test`: those whom nothing was decided on."""
    sides = split(
        cohort,
        fold=held_out(cohort, fold, folds=config.split.folds, kind=config.split.kind),
        folds=config.split.folds,
        validation_share=config.split.validation_share,
        seed=config.seed,
        kind=config.split.kind,
        test_share=config.split.test_share,
    )
    return Split(train=tuple(sorted((*sides.train, *sides.validation))), validation=(), test=sides.test)

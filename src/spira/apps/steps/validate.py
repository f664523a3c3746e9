"""Step `validate`: the manifests and every recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spira.apps.steps.bench import config_of, teller
from spira.apps.training_inputs import outside_manifest, pseudonyms, read_table
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict, InvalidInput
from spira.kernel.ids import sha256_hex
from spira.orchestration.workbench import Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.dataset import DatasetConfig, Table
from spira.training.core.drift import Summary

if TYPE_CHECKING:
    from spira.training.use_cases.validate import Validated


def validate(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.adapters.data_report import render_data_report

    checked = check_inputs(bench, settings, config_of(bench).dataset)
    bench.write("cohort.json", checked.cohort.model_dump_json(indent=1).encode())
    if checked.evaluation is not None:
        bench.write("evaluation.json", checked.evaluation.model_dump_json(indent=1).encode())
    report = checked.report()
    bench.write_json("report.json", report)
    bench.write("report.html", render_data_report(report, title="The data of this training"))


def check_inputs(bench: Workbench, settings: TrainingSettings, config: DatasetConfig) -> Validated:
    """The data sets and noise that the bench was given, checked."""
    from spira.training.use_cases.validate import validate as check

    recordings = LocatedRecordings()
    return check(
        _needed(_table(bench, "dataset", config, recordings)),
        _table(bench, "noise", config, recordings),
        evaluation=_table(bench, "evaluation", config, recordings),
        accepted=_accepted(bench),
        config=config,
        recordings=recordings,
        pseudonym=pseudonyms(settings).participant,
        tell=teller(bench),
    )


def _table(bench: Workbench, name: str, config: DatasetConfig, recordings: LocatedRecordings) -> Table | None:
    """Raises Conflict when the manifest or a recording changed since the run began."""
    given = bench.outside.get(name)
    if given is None:
        return None
    columns = config.noise_columns if name == "noise" else config.columns
    if outside_manifest(given.location, columns=columns, recordings=recordings) != given:
        raise Conflict(f"{given.location} or its recordings changed since the run began; run it again")
    return read_table(given.location, recordings)


def _needed(table: Table | None) -> Table:
    if table is None:
        raise InvalidInput("the run names no data set: SPIRA_STEP_OUTSIDE lacks 'dataset'")
    return table


def _accepted(bench: Workbench) -> Summary | None:
    """What the last accepted data set looked like when the run began."""
    from spira.training.use_cases.accept_dataset import read_accepted

    given = bench.outside.get("accepted")
    if given is None:
        return None
    if sha256_hex(bench.objects.get(given.location)) != given.digest:
        raise Conflict(f"{given.location} changed since the run began; run it again")
    return read_accepted(given.location, store=bench.objects).summary

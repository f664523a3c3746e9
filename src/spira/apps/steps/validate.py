"""Step `validate`: the manifests and every recording."""

from __future__ import annotations

from spira.apps.steps.bench import config_of, teller
from spira.apps.training_inputs import outside_manifest, pseudonyms, read_table
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict
from spira.orchestration.contract import Workbench
from spira.training.adapters.recordings import LocatedRecordings


def validate(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.use_cases.validate import validate as check

    config = config_of(bench).dataset
    recordings = LocatedRecordings()
    tables = {}
    for name, columns in (("dataset", config.columns), ("noise", config.noise_columns)):
        given = bench.outside.get(name)
        if given is None:
            continue
        if outside_manifest(given.location, columns=columns, recordings=recordings) != given:
            raise Conflict(f"{given.location} or its recordings changed since the run began; run it again")
        tables[name] = read_table(given.location, recordings)
    checked = check(
        tables["dataset"],
        tables.get("noise"),
        config=config,
        recordings=recordings,
        pseudonym=pseudonyms(settings).participant,
        tell=teller(bench),
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

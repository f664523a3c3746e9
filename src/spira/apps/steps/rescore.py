"""Step `rescore`: every test of a finished model on a data set that it never saw, by `spira evaluate` or a DAG."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spira.apps.steps.bench import config_of, teller
from spira.apps.steps.champion import open_champion, people_of
from spira.apps.steps.validate import check_inputs
from spira.apps.training_inputs import model_inside
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem
from spira.orchestration.manifest import Outside
from spira.orchestration.workbench import Workbench
from spira.training.adapters.recordings import LocatedRecordings

if TYPE_CHECKING:
    from spira.training.core.cohort import Cohort
    from spira.training.core.evidence import PeopleSeen
    from spira.training.core.plain import PlainModel
    from spira.training.core.verdicts import Gate
    from spira.voice.score import ScreeningModel

_NOTE = "Scores of the people of a data set that took no part in training, from their raw recordings."


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A finished model with what its registration tells of it; a folder tells nothing."""

    shown: str
    model: ScreeningModel
    seen: PeopleSeen | None = None
    plain: PlainModel | None = None


def rescore(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.adapters.plots import evidence_plots
    from spira.training.adapters.report import render
    from spira.training.use_cases.assess import Rivals, assess
    from spira.training.use_cases.evaluate import scores_table, with_gates

    opened = open_given(settings, bench.outside["model"])
    given = config_of(bench)
    task = opened.model.settings.required_recordings[0]
    config = given.model_copy(update={"dataset": given.dataset.model_copy(update={"task": task})})
    checked = check_inputs(bench, settings, config.dataset)
    key = bench.outside["pseudonyms"].digest
    seen = seen_gate(checked.cohort, opened, key=key, allowed=bool(bench.parameters.get("allow_seen")))
    found = assess(
        opened.model,
        checked.cohort,
        range(len(checked.cohort.recordings)),
        shown=opened.shown,
        rivals=Rivals(plain=opened.plain, champion=open_champion(settings, bench.outside.get("champion")), key=key),
        config=config,
        recordings=LocatedRecordings(),
        tell=teller(bench),
    )
    dropped = {name: list(lines) for name, lines in checked.dropped.items() if lines}
    told = with_gates(found.metrics, [_data_gate(checked.cohort, dropped), seen]) | {"dropped": dropped}
    plots = evidence_plots(found.scores, told)
    bench.write_json("metrics.json", told)
    bench.write_json("scores.json", scores_table(found.scores))
    bench.write_json("data.json", checked.report())
    bench.write("report.html", render(told, plots, title=f"Evaluation of {opened.shown}", notes=[_NOTE]))


def open_given(settings: TrainingSettings, given: Outside) -> Opened:
    """The model at a location: `file:FOLDER` or `models:/NAME/VERSION`. Raises Conflict when it is another by now."""
    from spira.infra.mlflow_registry import MlflowRegistry, folder_digest, parse_model_uri
    from spira.training.core.evidence import BASELINE_FILE
    from spira.training.core.plain import PlainModel
    from spira.voice.score import ScreeningModel

    if given.location.startswith("file:"):
        folder = model_inside(Path(given.location.removeprefix("file:")))
        if folder_digest(folder) != given.digest:
            raise Conflict(f"{folder} changed since the evaluation began; run it again")
        return Opened(shown=Path(given.location).name, model=ScreeningModel.load(folder))
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    name, version = parse_model_uri(given.location)
    if registry.resolve(name, version).digest != given.digest:
        raise Conflict(f"{given.location} is not the model that it was when the evaluation began; run it again")
    try:
        plain = PlainModel.model_validate_json(registry.evidence(name, version, BASELINE_FILE))
    except NotFound:
        plain = None
    model = ScreeningModel.load(model_inside(registry.fetch(name, version)))
    return Opened(shown=f"{name}/{version}", model=model, seen=people_of(registry, name, version), plain=plain)


def seen_gate(cohort: Cohort, opened: Opened, *, key: str, allowed: bool) -> Gate:
    """Whether somebody of the data set was seen in training. Raises InvalidInput, with rows, unless that is allowed."""
    from spira.training.core.verdicts import Gate

    if opened.seen is None or opened.seen.key != key:
        why = "its registration does not tell" if opened.seen is None else "their pseudonyms have another key"
        return Gate(
            name="unseen-people", verdict="NOT ENOUGH DATA", reason=f"whom {opened.shown} was trained on: {why}"
        )
    seen = set(opened.seen.seen)
    rows = sorted(one.row for one in cohort.recordings if one.participant in seen)
    if rows and not allowed:
        what = f"{opened.shown} was trained on this person"
        hint = "leave them out, or give --allow-seen for figures that prove nothing about new people"
        raise InvalidInput.of(Problem(where=f"manifest, row {row}", what=what, hint=hint) for row in rows)
    people = len({one.participant for one in cohort.recordings})
    known = len({one.participant for one in cohort.recordings if one.participant in seen})
    reason = f"{known} of {people} people were seen in training"
    return Gate(name="unseen-people", verdict="FAIL" if known else "PASS", reason=reason)


def _data_gate(cohort: Cohort, dropped: dict[str, list[int]]) -> Gate:
    from spira.training.core.verdicts import Gate

    lost = sum(len(lines) for lines in dropped.values())
    reason = (
        f"{len(cohort.recordings)} recordings of {len(cohort.participants())} people are sound; {lost} rows dropped"
    )
    return Gate(name="data", verdict="PASS", reason=reason)

"""Step `evaluate`: what the model does with people it never saw, beside the champion and a plain baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spira.apps.steps.bench import cohort_of, config_of, model_folder, read_json, teller
from spira.apps.steps.champion import open_champion
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.workbench import Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.cohort import Cohort, Split

if TYPE_CHECKING:
    from spira.training.core.config import TrainingConfig
    from spira.training.use_cases.assess import Assessment, Rivals
    from spira.voice.score import ScreeningModel

_HELD_OUT = "Scores of people in the held-out fold, who took no part in training; from their raw recordings."
_FROZEN = "The figures of record are those of the frozen evaluation set, which no training ever uses."


def evaluate(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.core.evidence import BASELINE_FILE, PEOPLE_FILE, people_seen
    from spira.training.use_cases.assess import Rivals, with_probes
    from spira.training.use_cases.baseline import baseline_rows, fit_baseline
    from spira.training.use_cases.evaluate import scores_table
    from spira.voice.score import ScreeningModel

    cohort, config, tell = cohort_of(bench), config_of(bench), teller(bench)
    sides = Split.model_validate_json(bench.read("ensemble", "split.json"))
    with model_folder(bench, "ensemble") as folder:
        model = ScreeningModel.load(folder)
    seen = (*sides.train, *sides.validation)
    plain = fit_baseline(baseline_rows(cohort, seen, recordings=LocatedRecordings(), tell=tell), cohort, seen)
    key = bench.outside["pseudonyms"].digest if "pseudonyms" in bench.outside else ""
    rivals = Rivals(plain=plain, champion=open_champion(settings, bench.outside.get("champion")), key=key)
    held_out = _assess(model, cohort, sides.test, rivals=rivals, config=config, bench=bench)
    told = with_probes(held_out.metrics, cohort, seen, model=model.settings, config=config)
    frozen = _frozen(model, cohort, rivals=rivals, config=config, bench=bench)
    bench.write(BASELINE_FILE, plain.model_dump_json(indent=1).encode())
    bench.write(PEOPLE_FILE, people_seen(cohort, sides, key=key).model_dump_json(indent=1).encode())
    bench.write_json("scores.json", scores_table(held_out.scores))
    if frozen is not None:
        bench.write_json("evaluation-scores.json", scores_table(frozen.scores))
    _report(replace(held_out, metrics=told), frozen, bench=bench)


def _assess(
    model: ScreeningModel,
    cohort: Cohort,
    indexes: tuple[int, ...],
    *,
    rivals: Rivals,
    config: TrainingConfig,
    bench: Workbench,
) -> Assessment:
    from spira.training.use_cases.assess import assess

    return assess(
        model,
        cohort,
        indexes,
        shown="",
        rivals=rivals,
        config=config,
        recordings=LocatedRecordings(),
        tell=teller(bench),
    )


def _frozen(
    model: ScreeningModel, trained: Cohort, *, rivals: Rivals, config: TrainingConfig, bench: Workbench
) -> Assessment | None:
    """On the frozen evaluation set, where the run was given one, with the noise that no fit has heard."""
    if "evaluation.json" not in bench.inputs["validate"].outputs:
        return None
    frozen = Cohort.model_validate_json(bench.read("validate", "evaluation.json"))
    cohort = frozen.model_copy(update={"noise": trained.noise})
    everybody = tuple(range(len(cohort.recordings)))
    return _assess(model, cohort, everybody, rivals=rivals, config=config, bench=bench)


def _report(held_out: Assessment, frozen: Assessment | None, *, bench: Workbench) -> None:
    """Figures, plots and the page; gates of the frozen set bear its name."""
    from spira.training.adapters.plots import curve_plot, evidence_plots
    from spira.training.adapters.report import render
    from spira.training.use_cases.assess import with_frozen

    found = held_out.metrics if frozen is None else with_frozen(held_out.metrics, frozen.metrics)
    shown = held_out if frozen is None else frozen
    curves = read_json(bench, "ensemble", "curves.json")
    plots = evidence_plots(shown.scores, shown.metrics)
    plots |= {"curves.png": curve_plot(curves)}
    bench.write_json("metrics.json", found)
    for name, data in plots.items():
        bench.write(name, data)
    notes = [_HELD_OUT] if frozen is None else [_HELD_OUT, _FROZEN]
    bench.write("report.html", render(found, plots, title="Evaluation on people never seen", notes=notes))

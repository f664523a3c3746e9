"""Step `evaluate`: scores of people whom the model never saw."""

from __future__ import annotations

from spira.apps.steps.bench import cohort_of, config_of, model_folder, read_json, teller
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.contract import Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.cohort import Split


def evaluate(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira.training.adapters.plots import curve_plot, evaluation_plots
    from spira.training.adapters.report import render
    from spira.training.core.figures import per_person
    from spira.training.use_cases.evaluate import metrics, score, scores_table
    from spira.voice.score import ScreeningModel

    cohort, config = cohort_of(bench), config_of(bench).evaluation
    sides = Split.model_validate_json(bench.read("ensemble", "split.json"))
    with model_folder(bench, "ensemble") as folder:
        model = ScreeningModel.load(folder)
    scored = score(model, cohort, sides.test, recordings=LocatedRecordings(), tell=teller(bench))
    found = metrics(scored, model="", config=config)
    curves = read_json(bench, "ensemble", "curves.json")
    plots = evaluation_plots(per_person(scored)) | {"curves.png": curve_plot(curves)}
    bench.write_json("metrics.json", found)
    bench.write_json("scores.json", scores_table(scored))
    for name, data in plots.items():
        bench.write(name, data)
    note = "Scores of people in the held-out fold, who took no part in training; from their raw recordings."
    bench.write("report.html", render(found, plots, title="Evaluation on people never seen", notes=[note]))

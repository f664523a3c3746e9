"""Step `cross-validate`: the scores of all held-out folds, pooled."""

from __future__ import annotations

from spira.apps.steps.bench import cohort_of, config_of, labels_of, model_folder, teller
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.contract import Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.cohort import Split


def cross_validate(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira.training.adapters.plots import evaluation_plots
    from spira.training.adapters.report import render
    from spira.training.core.comparison import Pair, paired_differences
    from spira.training.core.figures import Scored, figures, per_person
    from spira.training.use_cases.baseline import baseline_rows, baseline_scores, fit_baseline
    from spira.training.use_cases.evaluate import metrics, score, scores_table
    from spira.voice.score import ScreeningModel

    cohort, config = cohort_of(bench), config_of(bench)
    recordings, total = LocatedRecordings(), 2 * len(cohort.recordings)
    everybody = range(len(cohort.recordings))
    rows = baseline_rows(cohort, everybody, recordings=recordings, tell=teller(bench, total=total))
    scored: list[Scored] = []
    plain: list[Scored] = []
    by_fold = []
    for label in labels_of(bench, "ensemble"):
        sides = Split.model_validate_json(bench.read(label, "split.json"))
        with model_folder(bench, label) as folder:
            model = ScreeningModel.load(folder)
        tell = teller(bench, before=len(rows) + len(scored), total=total)
        one = score(model, cohort, sides.test, recordings=recordings, tell=tell)
        seen = [*sides.train, *sides.validation]
        plain += baseline_scores(fit_baseline(rows[seen], cohort, seen), rows[list(sides.test)], cohort, sides.test)
        by_fold.append({"fold": label, **figures(per_person(one))})
        scored += one
    found = metrics(scored, model="", config=config.evaluation) | {
        "baseline": metrics(plain, model="plain baseline", config=config.evaluation),
        "against_baseline": paired_differences(Pair.of(per_person(scored), per_person(plain)), seed=config.seed),
        "folds": [{name: one[name] for name in ("fold", "n", "auc", "auc_low", "auc_high", "uar")} for one in by_fold],
    }
    plots = evaluation_plots(per_person(scored))
    bench.write_json("metrics.json", found)
    bench.write_json("scores.json", scores_table(scored))
    note = "Pooled out-of-fold scores: each fold's people are scored by a model trained without them."
    bench.write("report.html", render(found, plots, title="Cross-validation", notes=[note]))

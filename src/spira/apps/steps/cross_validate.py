"""Step `cross-validate`: the scores of all held-out folds, pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spira.apps.steps.bench import cohort_of, config_of, labels_of, model_folder, teller
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.workbench import Workbench
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.cohort import Cohort, Split

if TYPE_CHECKING:
    from spira.training.core.config import TrainingConfig
    from spira.training.core.discrimination import FloatArray
    from spira.training.core.figures import Scored
    from spira.training.core.shifts import BatteryScores, NoiseOnly
    from spira.voice.score import ModelSettings


def cross_validate(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira.training.adapters.plots import evidence_plots
    from spira.training.adapters.report import render
    from spira.training.use_cases.assess import with_baseline, with_battery, with_probes
    from spira.training.use_cases.baseline import baseline_rows
    from spira.training.use_cases.evaluate import metrics, scores_table

    cohort, config = cohort_of(bench), config_of(bench)
    everybody = range(len(cohort.recordings))
    rows = baseline_rows(cohort, everybody, recordings=LocatedRecordings(), tell=teller(bench))
    folds = [_fold(label, cohort, rows, config=config, bench=bench) for label in labels_of(bench, "ensemble")]
    scores, plain = [one for fold in folds for one in fold.scores], [one for fold in folds for one in fold.plain]
    found = metrics(scores, model="", config=config.evaluation)
    found = with_baseline(found, scores, plain, config=config.evaluation, seed=config.seed)
    heard, alone = [one for fold in folds for one in fold.heard], [one for fold in folds for one in fold.alone]
    found = with_battery(found, heard, alone, config=config)
    found = with_probes(found, cohort, everybody, model=folds[0].settings, config=config)
    found["folds"] = [fold.told() for fold in folds]
    bench.write_json("metrics.json", found)
    bench.write_json("scores.json", scores_table(scores))
    plots = evidence_plots(scores, found)
    note = "Pooled out-of-fold scores: each fold's people are scored by a model trained without them."
    bench.write("report.html", render(found, plots, title="Cross-validation", notes=[note]))


@dataclass(frozen=True, kw_only=True)
class _Fold:
    """What the people of one fold got from the models that were fitted without them."""

    label: str
    settings: ModelSettings
    scores: list[Scored]
    plain: list[Scored]
    heard: list[BatteryScores]
    alone: list[NoiseOnly]

    def told(self) -> dict[str, Any]:
        from spira.training.core.figures import figures, per_person

        found = figures(per_person(self.scores))
        names = ("n", "auc", "auc_low", "auc_high", "uar", "uar_low", "uar_high")
        return {"fold": self.label, **{name: found.get(name) for name in names}}


def _fold(label: str, cohort: Cohort, rows: FloatArray, *, config: TrainingConfig, bench: Workbench) -> _Fold:
    from spira.training.use_cases.baseline import baseline_scores, fit_baseline
    from spira.training.use_cases.battery import run_battery, run_noise_only
    from spira.training.use_cases.evaluate import score
    from spira.voice.score import ScreeningModel

    recordings, tell = LocatedRecordings(), teller(bench)
    sides = Split.model_validate_json(bench.read(label, "split.json"))
    with model_folder(bench, label) as folder:
        model = ScreeningModel.load(folder)
    seen, held_out = [*sides.train, *sides.validation], list(sides.test)
    return _Fold(
        label=label,
        settings=model.settings,
        scores=score(model, cohort, held_out, recordings=recordings, tell=tell),
        plain=baseline_scores(fit_baseline(rows[seen], cohort, seen), rows[held_out], cohort, held_out),
        heard=run_battery(
            model, cohort, held_out, recordings=recordings, tell=tell, config=config.battery, seed=config.seed
        ),
        alone=run_noise_only(model, cohort, recordings=recordings),
    )

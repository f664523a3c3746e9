"""The plain baseline: fitted once, kept as numbers, scored anywhere alike."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spira.training.core.cohort import Cohort, Recording
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored
from spira.training.core.plain import PlainModel
from spira.training.use_cases.assess import with_baseline, with_frozen
from spira.training.use_cases.baseline import baseline_scores, fit_baseline, statistics
from spira.training.use_cases.evaluate import metrics


def cohort_of(labels: list[int]) -> Cohort:
    return Cohort(
        recordings=tuple(
            Recording(
                row=n + 2,
                location=f"{n}.wav",
                sha256="",
                duration_s=1.0,
                participant=f"p{n}",
                label=label,
                fold=None,
                matched_pair=None,
                age=None,
                facets={},
            )
            for n, label in enumerate(labels)
        )
    )


def rows_of(n: int) -> np.ndarray:
    random = np.random.default_rng(4)
    return random.standard_normal((n, 3)) + np.arange(n)[:, None] % 2 * [1.0, 0.0, -0.5]


def test_the_frozen_numbers_score_as_scikit_learn_does() -> None:
    labels = [n % 2 for n in range(60)]
    rows, cohort = rows_of(60), cohort_of(labels)

    fitted = fit_baseline(rows, cohort, range(60))
    again = PlainModel.model_validate_json(fitted.model_dump_json())

    scaler = StandardScaler()  # type: ignore[no-untyped-call]  # scikit-learn has no annotations
    regression = LogisticRegression(C=0.1, max_iter=1000)  # type: ignore[no-untyped-call]  # likewise
    pipeline = make_pipeline(scaler, regression).fit(rows, labels)  # type: ignore[no-untyped-call]  # likewise
    assert again.scores(rows).tolist() == pytest.approx(pipeline.predict_proba(rows)[:, 1].tolist(), abs=1e-9)
    assert again == fitted
    assert again.people == 60


def test_scores_carry_the_persons_facts() -> None:
    cohort = cohort_of([0, 1] * 10)
    fitted = fit_baseline(rows_of(20), cohort, range(20))

    (one,) = baseline_scores(fitted, rows_of(20)[5:6], cohort, [5])

    assert (one.participant, one.label, one.threshold) == ("p5", 1, 0.5)


def test_a_column_without_spread_is_no_division_by_zero() -> None:
    rows = rows_of(20)
    rows[:, 1] = 3.0

    fitted = fit_baseline(rows, cohort_of([0, 1] * 10), range(20))

    assert fitted.scales[1] == 1.0
    assert np.isfinite(fitted.scores(rows)).all()


def test_numbers_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        PlainModel(means=(0.0,), scales=(1.0, 1.0), coefficients=(1.0,), intercept=0.0, people=1)
    with pytest.raises(ValueError, match="belong together"):
        PlainModel(means=(0.0,), scales=(0.0,), coefficients=(1.0,), intercept=0.0, people=1)


def test_statistics_do_not_depend_on_the_level() -> None:
    clip = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1

    assert statistics(clip).tolist() == pytest.approx(statistics(clip * 0.25).tolist(), abs=1e-6)


def people(n: int, shift: float) -> list[Scored]:
    random = np.random.default_rng(1)
    noise = random.uniform(-0.4, 0.4, n)
    return [
        Scored(
            participant=f"p{i}", label=i % 2, score=float(0.5 + shift * (i % 2 - 0.5) + 0.5 * noise[i]), threshold=0.5
        )
        for i in range(n)
    ]


def test_a_model_that_is_worse_than_the_baseline_fails() -> None:
    config = EvaluationConfig(slices=())
    found = metrics(people(200, 0.02), model="m", config=config)

    told = with_baseline(found, people(200, 0.02), people(200, 0.5), config=config, seed=1)

    (gate,) = (gate for gate in told["gates"] if gate["name"] == "baseline")
    assert (gate["verdict"], told["verdict"]) == ("FAIL", "FAIL")
    assert "is worse than the plain baseline" in gate["reason"]
    assert told["against_baseline"]["auc"] < -0.3


def test_a_few_people_are_compared_but_not_judged() -> None:
    config = EvaluationConfig(slices=())
    told = with_baseline(
        metrics(people(10, 0.1), model="m", config=config), people(10, 0.1), people(10, 0.5), config=config, seed=1
    )

    (gate,) = (gate for gate in told["gates"] if gate["name"] == "baseline")
    assert gate["verdict"] == "NOT ENOUGH DATA"
    assert told["against_baseline"]["n"] == 10


def test_gates_of_the_frozen_set_count_under_its_name() -> None:
    config = EvaluationConfig(slices=(), min_auc=0.7)
    held_out = metrics(people(200, 0.5), model="m", config=config)
    frozen = metrics(people(200, 0.0), model="m", config=config)

    told = with_frozen(held_out, frozen)

    verdicts = {gate["name"]: gate["verdict"] for gate in told["gates"]}
    assert (verdicts["above-chance"], verdicts["evaluation: above-chance"]) == ("PASS", "FAIL")
    assert told["verdict"] == "FAIL"
    assert told["evaluation"]["n"] == 200

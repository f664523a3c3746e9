"""`spira train`, `spira evaluate`, `spira step` and `spira predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

train_app = typer.Typer(add_completion=False)
evaluate_app = typer.Typer(add_completion=False)
step_app = typer.Typer(add_completion=False)
predict_app = typer.Typer(add_completion=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress stays on standard error.")]
Workspace = Annotated[Path, typer.Option(help="Folder for objects, registry and the pseudonyms' key.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change one setting; repeatable.")]
WORKSPACE = Path("var")
DEFAULT_PRESET = "robust"
_LABEL_DEPENDENT = ("augmentation.allow_label_dependent=true",)


@train_app.command()
def train(
    *,
    manifest: Annotated[str, typer.Option(help="Data set: CSV or Parquet, a file or s3://…")],
    noise: Annotated[str | None, typer.Option(help="Noise recordings for noisy copies of the training set.")] = None,
    evaluation: Annotated[
        str | None, typer.Option(help="Frozen evaluation data set: people of their own, who take no part in training.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help=f"Named configuration (default {DEFAULT_PRESET}).")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration as strict JSON.")] = None,
    override: Set = None,
    workspace: Workspace = WORKSPACE,
    first: Annotated[str | None, typer.Option("--from", metavar="STEP", help="Do this and later steps again.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last checkpoint.")] = False,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Pool the scores of all held-out folds, beside a plain baseline.")
    ] = False,
    allow_label_dependent_noise: Annotated[
        bool,
        typer.Option("--allow-label-dependent-noise", help="Noise may tell the label; the bias gate is to find it."),
    ] = False,
    name: Annotated[str | None, typer.Option(metavar="MODEL", help="Name in the registry.")] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Steps at the same time; 0: one per core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate and register a model. What is done already is not done again."""
    from spira.apps.training_run import Refused, TrainRequest, run_training
    from spira.apps.training_views import show_metrics, show_training

    request = TrainRequest(
        manifest=manifest,
        noise=noise,
        evaluation=evaluation,
        preset=preset,
        config=config,
        overrides=(*(override or ()), *(_LABEL_DEPENDENT if allow_label_dependent_noise else ())),
        workspace=workspace,
        first=first,
        resume=resume,
        cross_validate=cross_validate,
        name=name,
        jobs=jobs,
    )
    try:
        told = run_training(request)
    except Refused as refused:
        if not as_json:
            show_metrics(refused.told)
            raise
        problems = [problem.as_dict() for problem in refused.problems]
        told = {**refused.told, "error": "InvalidInput", "message": str(refused), "problems": problems}
        typer.echo(json.dumps(told, ensure_ascii=False))
        raise typer.Exit(2) from refused
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_training(told)


@evaluate_app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Folder, NAME, NAME@ALIAS or NAME/VERSION.")],
    *,
    manifest: Annotated[str, typer.Option(help="Data set of people whom the model never saw.")],
    noise: Annotated[str | None, typer.Option(help="Noise recordings for the tests with added noise.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report (HTML) here.")] = None,
    allow_seen: Annotated[
        bool, typer.Option("--allow-seen", help="Go on although the model was trained on some of these people.")
    ] = False,
    override: Set = None,
    workspace: Workspace = WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """Test a model on the people of a manifest: data, quality, slices, changes that must not matter, the champion.

    Each gate answers PASS, FAIL or NOT ENOUGH DATA, with its reason; a gate that fails is no error of the command.
    """
    from spira.apps.evaluation_run import EvaluationRequest, run_evaluation
    from spira.apps.training_views import show_metrics

    told = run_evaluation(
        EvaluationRequest(
            model=model,
            manifest=manifest,
            noise=noise,
            overrides=tuple(override or ()),
            workspace=workspace,
            report=report,
            allow_seen=allow_seen,
        )
    )
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_metrics(told)


@predict_app.command()
def predict(
    model: Annotated[str, typer.Argument(help="Folder, NAME, NAME@ALIAS or NAME/VERSION.")],
    audio: Annotated[list[str], typer.Argument(help="Recordings; NAME=FILE for a model that needs several.")],
    *,
    workspace: Workspace = WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """Score recordings on this machine, exactly as the service does."""
    from spira.apps.training_run import run_prediction
    from spira.apps.training_views import show_predictions

    told = run_prediction(model, audio, workspace=workspace)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        show_predictions(told)


@step_app.command()
def step(
    name: Annotated[str, typer.Argument(help="validate, features, train, evaluate, cross-validate, publish.")],
) -> None:
    """Run one step: its configuration and inputs come from the environment, as in a pod.

    SPIRA_STEP_CONFIG (object key), SPIRA_STEP_INPUTS and SPIRA_STEP_OUTSIDE (JSON), SPIRA_STEP_PARAMETERS (JSON),
    SPIRA_STEP_RESUME, SPIRA_STEP_FORCE, SPIRA_STEP_PROGRESS_FD, SPIRA_STEP_RECEIPT (object key); stores as everywhere.
    Prints the manifest's key. `prepare` makes the plan of a run, see `spira prepare --help`.
    """
    from spira.apps.pod_process import run_pod_process

    told: dict[str, Any] = run_pod_process(name)
    typer.echo(json.dumps(told))

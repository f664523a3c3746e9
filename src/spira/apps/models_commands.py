"""`spira models …`: what is in the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

models_app = typer.Typer(add_completion=False, no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Workspace = Annotated[Path, typer.Option(help="Folder with the registry.")]
WORKSPACE = Path("var")


@models_app.callback()
def models() -> None:
    """Look into the model registry."""


@models_app.command("list")
def list_models(*, workspace: Workspace = WORKSPACE, as_json: AsJson = False) -> None:
    """Names, versions and aliases."""
    from rich.console import Console
    from rich.table import Table

    from spira.apps.training_settings import in_workspace
    from spira.infra.mlflow_registry import MlflowRegistry

    settings = in_workspace(workspace)
    found = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root).list()
    if as_json:
        typer.echo(json.dumps([{"name": m.name, "versions": m.versions, "aliases": dict(m.aliases)} for m in found]))
        return
    table = Table("model", "versions", "aliases")
    for model in found:
        table.add_row(model.name, ", ".join(model.versions), ", ".join(f"{a} → {v}" for a, v in model.aliases.items()))
    Console(highlight=False).print(table if found else "no models yet; `spira train` registers one")


@models_app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="NAME, NAME@ALIAS or NAME/VERSION.")],
    *,
    workspace: Workspace = WORKSPACE,
    as_json: AsJson = False,
) -> None:
    """One version: its digest, data sets, figures and parameters."""
    from rich.console import Console
    from rich.table import Table

    from spira.apps.training_settings import in_workspace
    from spira.infra.mlflow_registry import MlflowRegistry, parse_model_uri

    settings = in_workspace(workspace)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    facts = registry.facts(*parse_model_uri(model))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table("what", "value", title=f"{facts['model']}/{facts['version']}")
    for name in ("sha256", "run_id"):
        table.add_row(name, facts[name])
    for group in ("datasets", "metrics", "parameters"):
        for name, value in sorted(facts[group].items()):
            table.add_row(f"{group} {name}", f"{value:.4f}" if isinstance(value, float) else str(value))
    Console(highlight=False).print(table)

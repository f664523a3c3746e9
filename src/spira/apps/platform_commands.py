"""`spira up` and `spira down`: the platform as local processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from spira.apps.serving_settings import PlatformSettings, described

up_app = typer.Typer(add_completion=False)
down_app = typer.Typer(add_completion=False)

Folder = Annotated[Path | None, typer.Option("--var", help="Folder of stores, keys, logs and pid files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@up_app.command(epilog=described(PlatformSettings))
def up(
    *,
    model: Annotated[
        list[str] | None, typer.Option(help="Serve this registered model; repeatable; default: all.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 0 takes a free one.")] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Port of the MLflow UI; 0 takes a free one.")] = None,
    mlflow: Annotated[bool, typer.Option(help="Also start the MLflow UI.")] = True,
    var: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Start API, workers, results process and MLflow UI on loopback, wait until they are ready, leave them running."""
    from spira.apps import platform

    settings = _settings(var, port=port, mlflow_port=mlflow_port)
    console = Console(stderr=True, quiet=as_json)
    with console.status("starting") as status:
        running = platform.up(settings, models=model, mlflow=mlflow, tell=status.update)
    served = {one.name: one.registry_version for one in running.models}
    if as_json:
        where = {"api": running.api_url, "docs": running.docs_url, "mlflow": running.mlflow_url}
        typer.echo(json.dumps(where | {"models": served}))
        return
    typer.echo(f"API     {running.api_url}/v1\ndocs    {running.docs_url}")
    if running.mlflow_url:
        typer.echo(f"MLflow  {running.mlflow_url}")
    told = ", ".join(f"{name} version {version}" for name, version in served.items())
    typer.echo(f"models  {told or 'none registered yet: `spira train` makes one'}")
    typer.echo(f"logs    {settings.var_dir / 'log'}\nstop    spira down")


@down_app.command()
def down(var: Folder = None, grace: Annotated[float, typer.Option(help="Seconds before force.")] = 20.0) -> None:
    """Stop what `spira up` started, and nothing else."""
    from spira.apps import platform

    stopped = platform.down(_settings(var), grace_s=grace)
    typer.echo(f"stopped {stopped} processes" if stopped else "nothing was running")


def _settings(var: Path | None, *, port: int | None = None, mlflow_port: int | None = None) -> PlatformSettings:
    given: dict[str, Any] = {"port": port, "mlflow_port": mlflow_port}
    settings = PlatformSettings(**{name: value for name, value in given.items() if value is not None})
    return settings.under(var) if var is not None else settings

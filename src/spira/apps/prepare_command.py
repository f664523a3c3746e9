"""`spira prepare`."""

from __future__ import annotations

import json

import typer

prepare_app = typer.Typer(add_completion=False)


@prepare_app.command()
def prepare() -> None:
    """Turn the form of a training run into its plan, as the first pod of a run does.

    SPIRA_RUN_PARAMETERS (JSON of the form's fields), SPIRA_STEP_RECEIPT (object key); stores as everywhere. Prints the
    receipt: keys of the configuration and the plan, digests of the inputs, and the pieces of every step.
    """
    from spira.apps.prepare import prepare as run

    typer.echo(json.dumps(run()))

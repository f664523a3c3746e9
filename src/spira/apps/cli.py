"""The command line `spira`: a table of commands, each loaded when it is called, and one table of exit codes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import click

from spira import __version__
from spira.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, SpiraError, Unavailable

EXIT_CODES: tuple[tuple[type[SpiraError], int], ...] = (
    (InvalidInput, 2),
    (NotFound, 3),
    (Conflict, 4),
    (Forbidden, 5),
    (Unavailable, 6),
)
"""What a script can tell from the exit code; 1 is anything unexpected, 130 an interrupt."""

SHOWN_PROBLEMS = 200


@dataclass(frozen=True)
class Command:
    """A line of `spira --help`, and the Typer app behind it as `module:attribute`."""

    target: str
    help: str


COMMANDS = {
    "data": Command("spira.apps.data_commands:data_app", "Make, import, check and export data sets."),
    "train": Command("spira.apps.training_commands:train_app", "Train, evaluate and register a model, step by step."),
    "evaluate": Command("spira.apps.training_commands:evaluate_app", "Evaluate a model on a manifest."),
    "step": Command("spira.apps.training_commands:step_app", "Run one training step, as a pod does."),
    "prepare": Command(
        "spira.apps.prepare_command:prepare_app", "Turn a training run's form into its plan, as a pod does."
    ),
    "predict": Command("spira.apps.training_commands:predict_app", "Score recordings with a model, locally."),
    "models": Command("spira.apps.models_commands:models_app", "Look into the model registry."),
    "serve": Command("spira.apps.serving_commands:serve_app", "Run an HTTP API."),
    "worker": Command("spira.apps.serving_commands:worker_app", "Run an inference worker of one model."),
    "results": Command("spira.apps.serving_commands:results_app", "Run the results process."),
    "infer": Command("spira.apps.serving_commands:infer_app", "Submit a person's recordings and wait for the result."),
    "hospitals": Command("spira.apps.serving_commands:hospitals_app", "Create hospitals."),
    "users": Command("spira.apps.serving_commands:users_app", "Create users."),
    "up": Command("spira.apps.platform_commands:up_app", "Start the platform as local processes."),
    "down": Command("spira.apps.platform_commands:down_app", "Stop what `up` started."),
    "demo": Command("spira.apps.demo:demo_app", "Recordings to model to answered request, in one go."),
    "bench": Command("spira.apps.bench:app", "Measure against the obvious alternatives."),
}


class Commands(click.Group):
    """Hands each command's words to its Typer app, whose module loads only then: `spira --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        command = COMMANDS.get(cmd_name)
        return (
            None
            if command is None
            else click.Command(
                cmd_name,
                help=command.help,
                short_help=command.help,
                callback=partial(_run, cmd_name, command),
                params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
                context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
                add_help_option=False,
            )
        )


def _run(name: str, command: Command, words: tuple[str, ...]) -> None:
    module, attribute = command.target.split(":")
    app = getattr(importlib.import_module(module), attribute)
    app(list(words), prog_name=f"spira {name}")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spira")
def spira() -> None:
    """Screening for respiratory insufficiency from a few seconds of speech."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a SpiraError becomes one clear line and its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        spira.main(given, prog_name="spira")
    except SpiraError as error:
        _tell(error, as_json="--json" in given)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(130)


def exit_code(error: SpiraError) -> int:
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def _tell(error: SpiraError, *, as_json: bool) -> None:
    problems = error.problems if isinstance(error, InvalidInput) else ()
    if as_json:
        found = [problem.as_dict() for problem in problems]
        click.echo(json.dumps({"error": type(error).__name__, "message": str(error), "problems": found}))
        return
    if len(problems) <= 1:
        click.echo(f"spira: {error}", err=True)
        return
    click.echo(f"spira: {len(problems)} problems", err=True)
    for problem in problems[:SHOWN_PROBLEMS]:
        click.echo(f"  {problem}", err=True)
    if len(problems) > SHOWN_PROBLEMS:
        click.echo(f"  … and {len(problems) - SHOWN_PROBLEMS} more (all of them with --json)", err=True)


if __name__ == "__main__":
    main()

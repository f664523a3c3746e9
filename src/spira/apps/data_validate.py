"""`spira data validate`: all problems of a data set at once, by row and field."""

from __future__ import annotations

import json as json_text
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spira.training.use_cases.validate import Validated

WORKSPACE = Path("var")


def validate(
    manifest: Annotated[Path, typer.Argument(help="Data set: CSV or Parquet.")],
    *,
    noise: Annotated[Path | None, typer.Option(help="Noise recordings, checked as well.")] = None,
    policy: Annotated[str, typer.Option(help="refuse: any problem fails; drop: tells which rows would go.")] = "refuse",
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Such as columns.participant_id=hash.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every row and every recording. Exit code 2 when something is wrong."""
    from spira.apps.training_inputs import location_of, read_table
    from spira.apps.training_views import progress_bar
    from spira.training.adapters.recordings import LocatedRecordings
    from spira.training.core.config import config_of
    from spira.training.core.strict_json import parse
    from spira.training.use_cases.validate import validate as check

    overrides = [f"dataset.policy={policy}", *(f"dataset.{text}" for text in override or ())]
    config = config_of(parse("{}", name="settings"), name="settings", overrides=overrides).dataset
    recordings = LocatedRecordings()
    with nullcontext(lambda *_: None) if as_json else progress_bar("check") as tell:
        checked = check(
            read_table(location_of(str(manifest)), recordings),
            None if noise is None else read_table(location_of(str(noise)), recordings),
            config=config,
            recordings=recordings,
            pseudonym=str,
            tell=tell,
        )
    _show(checked, as_json=as_json)
    if checked.problems:
        raise typer.Exit(2)


def _show(checked: Validated, *, as_json: bool) -> None:
    people = list(checked.cohort.participants().values())
    counts = {
        "recordings": len(checked.cohort.recordings),
        "noise": len(checked.cohort.noise),
        "patients": people.count(1),
        "controls": people.count(0),
    }
    if as_json:
        told = {
            **counts,
            "problems": [problem.as_dict() for problem in checked.problems],
            "dropped": {name: list(lines) for name, lines in checked.dropped.items()},
            "notes": list(checked.notes),
        }
        typer.echo(json_text.dumps(told, ensure_ascii=False))
        return
    for note in checked.notes:
        typer.echo(f"note: {note}")
    for problem in checked.problems:
        typer.echo(f"  {problem}")
    told_counts = ", ".join(f"{number} {name}" for name, number in counts.items())
    typer.echo(f"{len(checked.problems)} problems; usable: {told_counts}")

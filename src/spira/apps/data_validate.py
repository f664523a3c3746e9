"""`spira data validate`: all problems of a data set at once, by row and field."""

from __future__ import annotations

import json as json_text
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spira.training.core.dataset import Table
    from spira.training.core.drift import Summary
    from spira.training.use_cases.validate import Validated

WORKSPACE = Path("var")


def validate(
    manifest: Annotated[Path, typer.Argument(help="Data set: CSV or Parquet.")],
    *,
    noise: Annotated[Path | None, typer.Option(help="Noise recordings, checked as well.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Frozen evaluation data set, which must share nobody and nothing.")
    ] = None,
    policy: Annotated[str, typer.Option(help="refuse: any problem fails; drop: tells which rows would go.")] = "refuse",
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Such as columns.participant_id=hash.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="HTML page to write: who, how well recorded, problems.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check every row and every recording. Exit code 2 when something is wrong."""
    checked = checked_data(
        manifest,
        noise=noise,
        evaluation=evaluation,
        overrides=[f"dataset.policy={policy}", *(f"dataset.{text}" for text in override or ())],
        quiet=as_json,
    )
    if report is not None:
        from spira.training.adapters.data_report import render_data_report

        report.write_bytes(render_data_report(checked.report(), title=manifest.name))
    _show(checked, as_json=as_json)
    if checked.problems:
        raise typer.Exit(2)


def checked_data(
    manifest: Path,
    *,
    noise: Path | None,
    evaluation: Path | None,
    overrides: list[str],
    quiet: bool,
    accepted: Summary | None = None,
) -> Validated:
    """Raises InvalidInput with all problems, as the step does."""
    from spira.apps.training_inputs import location_of, read_table
    from spira.apps.training_views import progress_bar
    from spira.training.adapters.recordings import LocatedRecordings
    from spira.training.core.config import config_of
    from spira.training.core.strict_json import parse
    from spira.training.use_cases.validate import validate as check

    config = config_of(parse("{}", name="settings"), name="settings", overrides=overrides).dataset
    recordings = LocatedRecordings()

    def table(path: Path | None) -> Table | None:
        return None if path is None else read_table(location_of(str(path)), recordings)

    with nullcontext(lambda *_: None) if quiet else progress_bar("check") as tell:
        return check(
            read_table(location_of(str(manifest)), recordings),
            table(noise),
            evaluation=table(evaluation),
            accepted=accepted,
            config=config,
            recordings=recordings,
            pseudonym=str,
            tell=tell,
        )


def _show(checked: Validated, *, as_json: bool) -> None:
    people = list(checked.cohort.participants().values())
    counts = {
        "recordings": len(checked.cohort.recordings),
        "noise": len(checked.cohort.noise),
        "patients": people.count(1),
        "controls": people.count(0),
    }
    if as_json:
        told = {**counts, "digest": checked.digest, "evaluation_digest": checked.evaluation_digest, **checked.report()}
        typer.echo(json_text.dumps(told, ensure_ascii=False))
        return
    for note in checked.notes:
        typer.echo(f"note: {note}")
    for problem in checked.problems:
        typer.echo(f"  {problem}")
    told_counts = ", ".join(f"{number} {name}" for name, number in counts.items())
    typer.echo(f"{len(checked.problems)} problems; usable: {told_counts}")
    typer.echo(f"content digest: {checked.digest}")
    if checked.evaluation is not None:
        typer.echo(f"content digest of the evaluation set: {checked.evaluation_digest}")

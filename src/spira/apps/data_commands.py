"""`spira data …`: make, import and export data sets."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

data_app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, without a progress bar.")]


@data_app.callback()
def data() -> None:
    """Make, import, check and export data sets."""


@data_app.command("synthesize")
def synthesize_cohort(
    *,
    out: Annotated[Path, typer.Option(help="Folder to make (or reuse).")] = Path("var/synthetic"),
    participants: Annotated[int, typer.Option(help="How many people, half of them patients.")] = 120,
    task: Annotated[list[str] | None, typer.Option(help="sustained, sentence or rhyme; repeatable.")] = None,
    noise_clips: Annotated[int, typer.Option(help="Clips in the bank of ward noise.")] = 24,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    processes: Annotated[int, typer.Option(help="Processes to use; 0 means one per core.")] = 0,
    replace: Annotated[bool, typer.Option(help="Replace what the folder holds.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a SYNTHETIC cohort: computed voices for trying the software. It proves nothing clinical."""
    from spira.training.core.synthesis.cohort import CohortParameters
    from spira.training.use_cases.synthesize import WARNING, synthesize

    tasks: Any = tuple(task or ("sustained", "sentence"))
    parameters = CohortParameters(participants=participants, tasks=tasks, noise_clips=noise_clips, seed=seed)
    errors = Console(stderr=True)
    errors.print(WARNING, style="bold yellow")
    with _progress(errors, hidden=as_json) as progress:
        bar = progress.add_task("synthetic participants", total=participants)
        cohort = synthesize(
            parameters, out, processes=processes or _cores(), replace=replace, advance=lambda: progress.advance(bar)
        )
        progress.update(bar, completed=participants)
    if as_json:
        told = {"synthetic": True, "reused": cohort.reused, "manifest": str(cohort.manifest)}
        told |= {"noise_manifest": str(cohort.noise_manifest), "participants": cohort.participants}
        told |= {"recordings": cohort.recordings, "noise_clips": cohort.noise_clips}
        typer.echo(json.dumps(told))
        return
    state = "reused (same parameters, whole)" if cohort.reused else "made"
    typer.echo(f"Synthetic cohort {state}: {cohort.participants} people, {cohort.recordings} recordings")
    typer.echo(f"  manifest  {cohort.manifest}")
    typer.echo(f"  noise     {cohort.noise_manifest} ({cohort.noise_clips} clips)")


def _progress(console: Console, *, hidden: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden or not sys.stderr.isatty())


def _cores() -> int:
    return len(os.sched_getaffinity(0))

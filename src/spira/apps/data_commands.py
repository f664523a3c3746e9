"""`spira data …`: make, import and export data sets."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from spira.apps.data_accept import accept
from spira.apps.data_validate import validate
from spira.kernel.errors import InvalidInput, NotFound, Problem

if TYPE_CHECKING:
    from spira.training.core.dataset import Table
    from spira.training.core.foreign import Layout
    from spira.training.core.synthesis.speech import Task

data_app = typer.Typer(add_completion=False, no_args_is_help=True)
data_app.command("validate")(validate)
data_app.command("accept")(accept)

Replace = Annotated[bool, typer.Option("--replace", help="Replace what the folder holds.")]
Map = Annotated[list[str] | None, typer.Option("--map", metavar="OURS=THEIRS", help="Name of a column; repeatable.")]
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
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Make a SYNTHETIC cohort: computed voices for trying the software. It proves nothing clinical."""
    from spira.training.core.synthesis.cohort import CohortParameters
    from spira.training.use_cases.synthesize import WARNING, synthesize

    parameters = CohortParameters(participants=participants, tasks=_tasks(task), noise_clips=noise_clips, seed=seed)
    errors = Console(stderr=True)
    errors.print(WARNING, style="bold yellow")
    with _progress(errors, hidden=as_json) as progress:
        bar = progress.add_task("synthetic participants", total=participants)
        cohort = synthesize(
            parameters, out, processes=processes or _cores(), replace=replace, advance=lambda: progress.advance(bar)
        )
        progress.update(bar, completed=participants)
    if as_json:
        told: dict[str, object] = {"synthetic": True, "reused": cohort.reused, "manifest": str(cohort.manifest)}
        told |= {"noise_manifest": str(cohort.noise_manifest), "participants": cohort.participants}
        told |= {"recordings": cohort.recordings, "noise_clips": cohort.noise_clips}
        typer.echo(json.dumps(told))
        return
    state = "reused (same parameters, whole)" if cohort.reused else "made"
    typer.echo(f"Synthetic cohort {state}: {cohort.participants} people, {cohort.recordings} recordings")
    typer.echo(f"  manifest  {cohort.manifest}")
    typer.echo(f"  noise     {cohort.noise_manifest} ({cohort.noise_clips} clips)")


@data_app.command("import")
def import_folder(
    folder: Annotated[Path, typer.Argument(help="Folder of recordings; the tables' paths start here.")],
    *,
    table: Annotated[list[Path], typer.Option(help="CSV or Parquet with a row per recording; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    layout: Annotated[
        str, typer.Option(help="columns, or spira-p1 for the published file_path,class,sexo,…")
    ] = "columns",
    mapping: Map = None,
    noise_table: Annotated[Path | None, typer.Option(help="CSV of noise recordings, with or without a header.")] = None,
    noise_mapping: Annotated[
        list[str] | None, typer.Option("--noise-map", metavar="OURS=THEIRS", help="The same for the noise.")
    ] = None,
    workspace: Annotated[Path, typer.Option(help="Folder of the pseudonyms' key.")] = Path("var"),
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Copy recordings under names that tell nothing, with a manifest of pseudonyms. Tells all bad rows at once."""
    from spira.apps.training_inputs import pseudonyms
    from spira.apps.training_settings import in_workspace
    from spira.training.use_cases.import_recordings import Source, import_recordings

    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder")
    source = Source(
        folder=folder,
        tables=[_table(one) for one in table],
        noise=None if noise_table is None else _table(noise_table),
        layout=_layout(layout),
        mapping=_pairs("--map", mapping),
        noise_mapping=_pairs("--noise-map", noise_mapping),
    )
    with _progress(Console(stderr=True), hidden=as_json) as progress:
        bar = progress.add_task("recordings", total=None)
        done = import_recordings(
            source,
            out,
            pseudonym=pseudonyms(in_workspace(workspace)).participant,
            replace=replace,
            advance=lambda count, total: progress.update(bar, completed=count, total=total),
        )
    told: dict[str, object] = {"manifest": str(done.manifest), "noise_manifest": str(done.noise_manifest or "")}
    told |= {"participants": done.participants, "recordings": done.recordings, "noise_clips": done.noise_clips}
    if as_json:
        typer.echo(json.dumps(told | {"left_out": list(done.left_out)}))
        return
    typer.echo(f"Imported {done.recordings} recordings of {done.participants} people, {done.noise_clips} noise clips")
    typer.echo(f"  manifest  {done.manifest}")
    if done.noise_manifest is not None:
        typer.echo(f"  noise     {done.noise_manifest}")
    if done.left_out:
        typer.echo(f"  columns left behind: {', '.join(done.left_out)}")


@data_app.command("export")
def export_manifest(
    manifest: Annotated[Path, typer.Argument(help="Data set: CSV or Parquet.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    fold: Annotated[list[int] | None, typer.Option(help="Only this fold; repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only control or patient; repeatable.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; repeatable.")] = None,
    participants: Annotated[int | None, typer.Option(min=1, help="At most so many people of each class.")] = None,
    mapping: Map = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Copy chosen recordings and their rows to a folder. Participants keep the ids of the manifest."""
    from spira.training.adapters.recordings import LocatedRecordings
    from spira.training.use_cases.export_recordings import Choice, export_recordings
    from spira.training.use_cases.listen import locate

    wrong = [one for one in label or () if one not in {"control", "patient"}]
    if wrong:
        raise InvalidInput.of([Problem(where="--label", what=f"{wrong[0]!r} is unknown", hint="control or patient")])
    choice = Choice(
        folds=tuple(fold or ()), labels=tuple(label or ()), tasks=tuple(task or ()), participants=participants
    )
    rows = export_recordings(
        _table(manifest),
        out,
        choice=choice,
        recordings=LocatedRecordings(),
        locate=locate,
        mapping=_pairs("--map", mapping),
        replace=replace,
    )
    if as_json:
        typer.echo(json.dumps([{**row, "path": str(out / row["path"])} for row in rows]))
        return
    typer.echo(f"Exported {len(rows)} recordings: {out / 'manifest.csv'}")


def _table(path: Path) -> Table:
    from spira.apps.training_inputs import location_of, read_table
    from spira.training.adapters.recordings import LocatedRecordings

    return read_table(location_of(str(path)), LocatedRecordings())


def _layout(text: str) -> Layout:
    if text not in {"columns", "spira-p1"}:
        raise InvalidInput.of([Problem(where="--layout", what=f"{text!r} is unknown", hint="columns or spira-p1")])
    return "spira-p1" if text == "spira-p1" else "columns"


def _tasks(names: list[str] | None) -> tuple[Task, ...]:
    from spira.training.core.synthesis.speech import TASKS

    wanted = names or ["sustained", "sentence"]
    unknown = [name for name in wanted if name not in TASKS]
    if unknown:
        hint = f"one of {', '.join(TASKS)}"
        raise InvalidInput.of([Problem(where="--task", what=f"{name!r} is unknown", hint=hint) for name in unknown])
    return tuple(task for task in TASKS if task in wanted)


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """`ours=theirs` words as a mapping."""
    split = [text.partition("=") for text in given or ()]
    wrong = [
        Problem(where=option, what=f"{ours + sign + theirs!r} is no pair", hint="write OURS=THEIRS")
        for ours, sign, theirs in split
        if not (ours and theirs)
    ]
    if wrong:
        raise InvalidInput.of(wrong)
    return {ours: theirs for ours, _, theirs in split}


def _progress(console: Console, *, hidden: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden or not sys.stderr.isatty())


def _cores() -> int:
    return len(os.sched_getaffinity(0))

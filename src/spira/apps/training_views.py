"""How training looks to people: progress while it runs, tables afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from spira.orchestration import workbench
from spira.orchestration.contract import Done
from spira.orchestration.planning import Planned
from spira.training.adapters.report import estimate
from spira.training.ports import Tell

_SIGNS = {"PASS": "[green]PASS[/]", "FAIL": "[red]FAIL[/]", "NOT ENOUGH DATA": "[yellow]NOT ENOUGH DATA[/]"}


_DIFFERENCES = ("auc", "uar", "precision", "recall", "f1", "accuracy")


class ProgressWatcher:
    """A line per step: a bar while it runs, what became of it afterwards. Plain lines where there is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = _bars(self._console)
        self._tasks: dict[str, TaskID] = {}
        self._does: dict[str, str] = {}
        self.outcomes: dict[str, Done] = {}
        """What is done so far, also when the run fails later."""

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def planned(self, steps: Sequence[Planned]) -> None:
        for one in steps:
            self._does[one.label] = one.step.does
            text = f"{one.label:<15} {one.step.does}"
            self._tasks[one.label] = self._bars.add_task(text, total=None, start=False, note="")

    def progressed(self, label: str, progress: workbench.Progress) -> None:
        task = self._tasks[label]
        self._bars.start_task(task)
        self._bars.update(task, completed=progress.done, total=progress.total, note=progress.note)

    def finished(self, label: str, done: Done) -> None:
        self.outcomes[label] = done
        state = "done already" if done.reused else "done"
        state = f"done again: {', '.join(done.repaired)} was damaged" if done.repaired else state
        task = self._tasks[label]
        self._bars.start_task(task)
        total = self._bars.tasks[task].total or 1
        self._bars.update(task, completed=total, total=total, note=state)
        self._bars.stop_task(task)
        if not self._console.is_terminal:
            self._console.print(f"{label:<15} {self._does[label]}: {state}", highlight=False)


@contextmanager
def progress_bar(text: str) -> Iterator[Tell]:
    """One bar for a use case that tells how far it is."""
    with _bars(Console(stderr=True)) as bars:
        task = bars.add_task(text, total=None, note="")

        def tell(done: int, total: int, note: str = "") -> None:
            bars.update(task, completed=done, total=total, note=note)

        yield tell


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
    )


def show_training(told: Mapping[str, Any]) -> None:
    """The end of `spira train`."""
    console = Console(highlight=False)
    validation = told["validation"]
    for note in told["notes"]:
        console.print(f"[dim]note: {note}[/]")
    for name, lines in validation["dropped"].items():
        if lines:
            console.print(f"[yellow]{len(lines)} rows of {name} were dropped: {', '.join(map(str, lines))}[/]")
    show_metrics(told)
    console.print(f"registered as [bold]{told['model']}[/], alias challenger")
    for label, file in told["reports"].items():
        console.print(f"report of {label}: {file}", soft_wrap=True)


def show_metrics(told: Mapping[str, Any], *, slices: bool = True) -> None:
    """Figures with their intervals, slices, comparisons, gates and the verdict."""
    console = Console(highlight=False)
    table = Table(title=f"{told['model']}: figures with 95 % intervals")
    for column in ("", "n", "AUC", "UAR", "sensitivity", "specificity", "ECE"):
        table.add_column(column)
    for name, group in _groups(told).items():
        table.add_row(*_row(name, group))
    for one in told["slices"] if slices else ():
        if one["enough"]:
            table.add_row(*_row(f"{one['slice']} {one['value']}", one), style="dim")
    console.print(table)
    for line in _comparisons(told):
        console.print(line)
    for gate in told["gates"]:
        console.print(f"{_SIGNS[gate['verdict']]}  {gate['name']}: {gate['reason']}")
    console.print(f"verdict: [bold]{_SIGNS[told['verdict']]}[/]")
    if "report" in told:
        console.print(f"report: {told['report']}", soft_wrap=True)


def _groups(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    groups = {f"people, {told.get('figures', 'all')}": told, "matched pairs": told["matched"]}
    if "baseline" in told:
        groups |= {"plain baseline": told["baseline"], "plain baseline, matched": told["baseline"]["matched"]}
    if told.get("figures", "held-out fold") != "held-out fold":
        groups["held-out fold of the model"] = told["test"]
    return groups


def _comparisons(told: Mapping[str, Any]) -> Iterator[str]:
    """What the table of figures leaves out: the band, the battery's noise, and the differences to other models."""
    if told.get("inconclusive"):
        share, errors = (" ".join(estimate(told, name)) for name in ("inconclusive", "error_conclusive"))
        yield f"inconclusive: {share}; errors among the others: {errors}"
    if told.get("auc_noise") is not None:
        yield f"AUC with the battery's noise on everybody: {' '.join(estimate(told, 'auc_noise'))}"
    if told.get("against_baseline"):
        yield f"model minus plain baseline, paired bootstrap, {told['against_baseline']['n']} people:"
        yield "  " + "; ".join(_difference(told["against_baseline"], name) for name in _DIFFERENCES)
    if told.get("champion"):
        yield f"model minus champion {told['champion']['model']}, {told['champion']['n']} people whom neither saw:"
        yield "  " + "; ".join(_difference(told["champion"]["differences"], name) for name in _DIFFERENCES)


def _difference(differences: Mapping[str, float], name: str) -> str:
    value, low, high = (differences[f"{name}{end}"] for end in ("", "_low", "_high"))
    return f"{name} {value:+.3f} ({low:+.3f} to {high:+.3f})"


def _row(name: str, group: Mapping[str, Any]) -> list[str]:
    cells = ("\n".join(estimate(group, key)) for key in ("auc", "uar", "sensitivity", "specificity", "ece"))
    return [name, str(group["n"]), *cells]


def show_predictions(told: Mapping[str, Any]) -> None:
    """A row per recording."""
    table = Table(title=f"{told['model']}, threshold {told['threshold']:.3f}")
    for column in ("recording", "score", "diagnosis"):
        table.add_column(column)
    for one in told["predictions"]:
        table.add_row(one["audio"], f"{one['scores']['final']:.4f}", one["diagnosis"])
    Console(highlight=False).print(table)

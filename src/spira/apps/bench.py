"""`spira bench`: our parts beside the obvious alternatives, on the same input, in one run."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

if TYPE_CHECKING:
    from spira.apps.bench_features import FeatureBench
    from spira.apps.bench_loader import LoaderBench
    from spira.apps.bench_memory import MemoryBench
    from spira.apps.bench_step import StepBench

app = typer.Typer(add_completion=False, help="Measure against the obvious alternatives.", no_args_is_help=True)

FASTER_LOADER, FASTER_STEP, MORE_MEMORY = 5.0, 1.5, 1.3
"""What `train` is to reach: ratios to the plain loader and step from which it is fast enough, and the ratio of peaks
below which memory does not follow the data set."""

Repetitions = Annotated[int, typer.Option(min=1, help="How often each loop runs, in turns.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


class TrainBench(TypedDict):
    """Of one run: the fastest of the repetitions counts, ratios say how many times faster ours was."""

    repetitions: int
    loader: LoaderBench
    step: StepBench
    memory: MemoryBench
    same_output: bool
    reached: dict[str, bool]


@app.callback()
def _group() -> None:
    """Measure against the obvious alternatives."""


@app.command()
def features(
    data: Annotated[Path | None, typer.Option(help="Folder of recordings; none: 60 synthetic clips of 5–25 s.")] = None,
    repetitions: Repetitions = 5,
    workers: Annotated[int, typer.Option(min=0, help="Threads of our step; 0: one per core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Recordings to MFCC windows (4 s every 1 s): our step, a librosa loop and a torchaudio loop over the same files.

    librosa: file by file and window by window, as its 80 dB floor is per call. torchaudio: the transform is made once,
    the windows of a file are one batch, torch may use all cores. Both decode with soundfile and resample with soxr.
    """
    from spira.apps.bench_features import compare_features
    from spira.apps.bench_runs import recordings_in, synthetic_clips

    with tempfile.TemporaryDirectory() as folder:
        paths = synthetic_clips(Path(folder), count=60) if data is None else recordings_in(data)
        result = compare_features(paths, repetitions=repetitions, workers=workers or os.cpu_count() or 1)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_features(result)
    if not result["same_output"]:
        raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[
        Path | None, typer.Option(help="Folder of recordings; none: 30 synthetic clips of 5–25 s at 48 kHz.")
    ] = None,
    repetitions: Repetitions = 3,
    as_json: AsJson = False,
) -> None:
    """The published v1 recipe (MFCC 40, 4 s every 1 s, 3 insertions of noise, SpiraConvV2): loader, step and memory.

    loader: batches of an epoch out of mapped shards with 8 noisy realisations, beside decoding, resampling, adding
    noise and extracting at every epoch. step: forward, backward and Adam, beside the same layers as torch runs them.
    memory: the peak of a fit's process on a data set and on one ten times as large. Exits with 1 when outputs differ.
    """
    from spira.apps.bench_loader import TOLERANCE, compare_loaders
    from spira.apps.bench_memory import compare_memory
    from spira.apps.bench_runs import recordings_in, synthetic_clips
    from spira.apps.bench_step import TOLERANCE as STEP_TOLERANCE
    from spira.apps.bench_step import compare_steps

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "clips")
        made.mkdir()
        paths = synthetic_clips(made, count=30, rate=48_000) if data is None else recordings_in(data)
        loader = compare_loaders(paths, Path(folder), repetitions=repetitions)
    step, memory = compare_steps(repetitions=repetitions), compare_memory()
    result = TrainBench(
        repetitions=repetitions,
        loader=loader,
        step=step,
        memory=memory,
        same_output=loader["difference"] <= TOLERANCE and max(step["differences"].values()) <= STEP_TOLERANCE,
        reached={
            "loader": loader["ratio"] >= FASTER_LOADER,
            "step": step["ratio"] >= FASTER_STEP,
            "memory": memory["ratio"] < MORE_MEMORY,
        },
    )
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print_train(result)
    if not result["same_output"]:
        raise typer.Exit(1)


def _print_features(result: FeatureBench) -> None:
    from rich.console import Console
    from rich.table import Table

    from spira.apps.bench_features import TOLERANCE

    files = (
        f"{result['files']} files, {result['audio_s']:g} s of sound, fastest of {result['repetitions']} runs in turns"
    )
    table = Table("step", "seconds", "spira is faster by", "largest difference (dB)", title=files)
    for name, taken in result["seconds"].items():
        ratio, difference = result["ratios"].get(name), result["differences"].get(name)
        ours = ratio is None or difference is None
        table.add_row(name, f"{taken:.3f}", "" if ours else f"{ratio:.1f}×", "" if ours else f"{difference:.1e}")
    console = Console()
    console.print(table)
    verdict = "same output" if result["same_output"] else "OUTPUTS DIFFER"
    console.print(f"{verdict} within {TOLERANCE:g} dB; {result['workers']} threads in our step")


def _print_train(result: TrainBench) -> None:
    from rich.console import Console
    from rich.table import Table

    loader, step, memory, reached = result["loader"], result["step"], result["memory"], result["reached"]
    title = f"spira-v1-3.5: fastest of {result['repetitions']} runs in turns"
    table = Table("what", "spira", "plain", "ratio", "is to be", "reached", title=title)
    rates, times, peaks = loader["windows_per_s"], step["ms_per_window"], memory["peak_mb"]
    rows = {
        "loader": ("loader, windows/s", f"{rates['spira']:,.0f}", f"{rates['plain']:,.0f}", loader["ratio"], "≥ 5"),
        "step": ("step, ms a window", f"{times['spira']:.1f}", f"{times['plain']:.1f}", step["ratio"], "≥ 1.5"),
        "memory": (
            "peak, 10× the data",
            f"{peaks['10x']:.0f} MB",
            f"1×: {peaks['1x']:.0f} MB",
            memory["ratio"],
            "< 1.3",
        ),
    }
    for name, (what, ours, plain, ratio, wanted) in rows.items():
        table.add_row(what, ours, plain, f"{ratio:.2f}×", wanted, "yes" if reached[name] else "NO")
    console = Console()
    console.print(table)
    console.print(
        f"loader: {loader['files']} files, {loader['windows']} windows; features with {loader['realisations']} noisy "
        f"realisations took {loader['features_s']:.1f} s once, repaid after {loader['pays_after_epochs']:.1f} epochs"
    )
    console.print(
        f"step: {step['windows']} windows, {step['threads']} threads; logits differ by "
        f"{step['differences']['logits']:.0e}, gradients by {step['differences']['gradients']:.0e}"
    )
    console.print(f"memory: shards of {memory['data_mb']['1x']:.0f} MB and of {memory['data_mb']['10x']:.0f} MB")
    console.print("same output" if result["same_output"] else "OUTPUTS DIFFER")

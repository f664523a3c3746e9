"""`spira bench`: our parts beside the obvious alternatives, on the same input, in one run."""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.ids import sha256_hex

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from spira.training.core.cohort import Recording

    Values = npt.NDArray[np.float32]
    Loop = Callable[[Sequence[Path]], Iterator[Values]]

app = typer.Typer(add_completion=False, help="Measure against the obvious alternatives.", no_args_is_help=True)

TOLERANCE = 1e-2
"""Allowed difference of an MFCC in dB (they reach some hundred dB; float32 spectra near the floor differ in the last
digits before the logarithm)."""
CHECKED_FILES = 20
_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


class FeatureBench(TypedDict):
    """Of one run: seconds are the fastest of the repetitions (other load only ever adds),
    ratios say how many times faster ours was."""

    files: int
    audio_s: float
    repetitions: int
    workers: int
    seconds: dict[str, float]
    ratios: dict[str, float]
    differences: dict[str, float]
    same_output: bool


@app.callback()
def _group() -> None:
    """Measure against the obvious alternatives."""


@app.command()
def features(
    data: Annotated[Path | None, typer.Option(help="Folder of recordings; none: 60 synthetic clips of 5–25 s.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="How often each loop runs, in turns.")] = 5,
    workers: Annotated[int, typer.Option(min=0, help="Threads of our step; 0: one per core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recordings to MFCC windows (4 s every 1 s): our step, a librosa loop and a torchaudio loop over the same files.

    librosa: file by file and window by window, as its 80 dB floor is per call. torchaudio: the transform is made once,
    the windows of a file are one batch, torch may use all cores. Both decode with soundfile and resample with soxr.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = _synthetic_clips(Path(folder), count=60) if data is None else _recordings(data)
        result = compare_features(paths, repetitions=repetitions, workers=workers or os.cpu_count() or 1)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)
    if not result["same_output"]:
        raise typer.Exit(1)


def compare_features(paths: Sequence[Path], *, repetitions: int, workers: int) -> FeatureBench:
    """Checks that the three loops agree, which also warms them up, then times them in turns."""
    import soundfile

    loops: dict[str, Loop] = {"spira": _spira(workers), "librosa": _librosa, "torchaudio": _torchaudio()}
    differences = _differences(loops, paths[:CHECKED_FILES])
    seconds = _times(loops, paths, repetitions=repetitions)
    return FeatureBench(
        files=len(paths),
        audio_s=round(sum(soundfile.info(str(path)).duration for path in paths), 1),
        repetitions=repetitions,
        workers=workers,
        seconds={name: round(taken, 4) for name, taken in seconds.items()},
        ratios={name: round(seconds[name] / seconds["spira"], 2) for name in differences},
        differences=differences,
        same_output=max(differences.values()) <= TOLERANCE,
    )


def _spira(workers: int) -> Loop:
    """The training step itself, with its digests and shards."""
    from spira.training.adapters.recordings import LocatedRecordings
    from spira.training.core.cohort import Cohort
    from spira.training.core.noise import AugmentationConfig
    from spira.training.use_cases.features import FeatureRequest, assemble, compute_shards
    from spira.voice.features import FeatureSettings
    from spira.voice.segment import WindowSettings

    request = FeatureRequest(
        windows=WindowSettings(), features=FeatureSettings(), augmentation=AugmentationConfig(), seed=0
    )

    def loop(paths: Sequence[Path]) -> Iterator[Values]:
        cohort = Cohort(recordings=tuple(_recording(row, path) for row, path in enumerate(paths)), noise=())
        shards = compute_shards(cohort, request, recordings=LocatedRecordings(), tell=lambda *_: None, threads=workers)
        whole = assemble([shard for _, shard in shards])
        return (whole["values"][whole["recording"] == row].numpy() for row in range(len(paths)))

    return loop


def _recording(row: int, path: Path) -> Recording:
    from spira.training.core.cohort import Recording

    digest = sha256_hex(path.read_bytes())
    unknown: dict[str, Any] = {"fold": None, "matched_pair": None, "age": None, "facets": {}}
    return Recording(
        row=row, location=str(path), sha256=digest, duration_s=0.0, participant=str(row), label=0, **unknown
    )


def _librosa(paths: Sequence[Path]) -> Iterator[Values]:
    import librosa
    import numpy as np

    for path in paths:
        cepstra = []
        for window in _windows(path):
            mel = librosa.feature.melspectrogram(
                y=window, sr=16_000, n_fft=1200, win_length=400, hop_length=160, n_mels=40,
                htk=True, norm=None, center=True, pad_mode="reflect", power=2.0,
            )  # fmt: skip
            cepstra.append(librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=80.0), n_mfcc=40).T)
        yield np.stack(cepstra)


def _torchaudio() -> Loop:
    import torch
    import torchaudio

    spectra = {"n_fft": 1200, "win_length": 400, "hop_length": 160, "n_mels": 40}
    transform = torchaudio.transforms.MFCC(16_000, n_mfcc=40, log_mels=False, melkwargs=spectra)

    def loop(paths: Sequence[Path]) -> Iterator[Values]:
        with torch.inference_mode():
            for path in paths:
                windows = torch.from_numpy(_windows(path)).unsqueeze(1)  # a channel axis: the floor is per window
                yield transform(windows).squeeze(1).transpose(1, 2).numpy()

    return loop


def _windows(path: Path) -> Values:
    """The windows of a file, [w, 64000], as somebody would cut them who has soundfile, soxr and numpy."""
    import numpy as np
    import soundfile
    import soxr

    samples, rate = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    clip = mono if rate == 16_000 else soxr.resample(mono, rate, 16_000)
    count = 1 + max(0, -(-(len(clip) - 64_000) // 16_000))
    padded = np.pad(clip, (0, 64_000 + (count - 1) * 16_000 - len(clip)))
    return np.stack([padded[start : start + 64_000] for start in range(0, count * 16_000, 16_000)])


def _differences(loops: dict[str, Loop], paths: Sequence[Path]) -> dict[str, float]:
    import numpy as np

    worst = {name: 0.0 for name in loops if name != "spira"}
    for outputs in zip(*(loop(paths) for loop in loops.values()), strict=True):
        by_name = dict(zip(loops, outputs, strict=True))
        ours = by_name.pop("spira")
        for name, values in by_name.items():
            worst[name] = max(worst[name], float(np.abs(values - ours).max()))
    return worst


def _times(loops: dict[str, Loop], paths: Sequence[Path], *, repetitions: int) -> dict[str, float]:
    from rich.console import Console
    from rich.progress import track

    taken: dict[str, list[float]] = {name: [] for name in loops}
    turns = [name for _ in range(repetitions) for name in loops]
    for name in track(turns, description="measuring", console=Console(stderr=True), transient=True):
        start = time.perf_counter()
        for _ in loops[name](paths):
            pass
        taken[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in taken.items()}


def _recordings(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InvalidInput.of(
            [Problem(where="--data", what=f"{folder} holds no recording", hint="WAV, FLAC, OGG, MP3")]
        )
    return found


def _synthetic_clips(folder: Path, *, count: int) -> list[Path]:
    """Clips as long as the published ones, 5 to 25 s at 16 kHz: a wavering tone with overtones in noise."""
    import numpy as np
    import soundfile

    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        time_s = np.arange(round(random.uniform(5.0, 25.0) * 16_000)) / 16_000
        phase = 2.0 * np.pi * (120.0 * time_s + np.sin(2.0 * np.pi * 4.0 * time_s))
        tone = sum(np.sin(order * phase) / order for order in range(1, 20))
        paths.append(folder / f"{number:03d}.wav")
        soundfile.write(paths[-1], 0.1 * tone + 0.01 * random.standard_normal(len(time_s)), 16_000, subtype="PCM_16")
    return paths


def _print(result: FeatureBench) -> None:
    from rich.console import Console
    from rich.table import Table

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

"""`spira bench features`: our step beside a librosa loop and a torchaudio loop over the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from spira.apps.bench_runs import Values, cohort_of, fastest_in_turns, plain_clip, plain_mfcc, plain_windows

Loop = Callable[[Sequence[Path]], Iterator[Values]]

TOLERANCE = 1e-2
"""Allowed difference of an MFCC in dB (they reach some hundred dB; float32 spectra near the floor differ in the last
digits before the logarithm)."""
CHECKED_FILES = 20


class FeatureBench(TypedDict):
    """Of one run: seconds are the fastest of the repetitions, ratios say how many times faster ours was."""

    files: int
    audio_s: float
    repetitions: int
    workers: int
    seconds: dict[str, float]
    ratios: dict[str, float]
    differences: dict[str, float]
    same_output: bool


def compare_features(paths: Sequence[Path], *, repetitions: int, workers: int) -> FeatureBench:
    """Checks that the three loops agree, which also warms them up, then times them in turns."""
    import soundfile

    loops: dict[str, Loop] = {"spira": _spira(workers), "librosa": _librosa, "torchaudio": _torchaudio()}
    differences = _differences(loops, paths[:CHECKED_FILES])
    whole = {name: lambda loop=loop: _exhaust(loop(paths)) for name, loop in loops.items()}
    seconds = fastest_in_turns(whole, repetitions=repetitions)
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


def _exhaust(values: Iterator[Values]) -> None:
    for _ in values:
        pass


def _spira(workers: int) -> Loop:
    """The training step itself, with its digests and shards."""
    from spira.training.adapters.recordings import LocatedRecordings
    from spira.training.core.noise import AugmentationConfig
    from spira.training.use_cases.features import FeatureRequest, assemble, compute_shards
    from spira.voice.features import FeatureSettings
    from spira.voice.segment import WindowSettings

    request = FeatureRequest(
        windows=WindowSettings(), features=FeatureSettings(), augmentation=AugmentationConfig(), seed=0
    )

    def loop(paths: Sequence[Path]) -> Iterator[Values]:
        shards = compute_shards(
            cohort_of(paths), request, recordings=LocatedRecordings(), tell=lambda *_: None, threads=workers
        )
        whole = assemble([shard for _, shard in shards])
        return (whole["values"][whole["recording"] == row].numpy() for row in range(len(paths)))

    return loop


def _librosa(paths: Sequence[Path]) -> Iterator[Values]:
    import librosa

    for path in paths:
        cepstra = []
        for window in plain_windows(plain_clip(path)):
            mel = librosa.feature.melspectrogram(
                y=window, sr=16_000, n_fft=1200, win_length=400, hop_length=160, n_mels=40,
                htk=True, norm=None, center=True, pad_mode="reflect", power=2.0,
            )  # fmt: skip
            cepstra.append(librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=80.0), n_mfcc=40).T)
        yield np.stack(cepstra)


def _torchaudio() -> Loop:
    mfcc = plain_mfcc()

    def loop(paths: Sequence[Path]) -> Iterator[Values]:
        return (mfcc(plain_windows(plain_clip(path))) for path in paths)

    return loop


def _differences(loops: dict[str, Loop], paths: Sequence[Path]) -> dict[str, float]:
    worst = {name: 0.0 for name in loops if name != "spira"}
    for outputs in zip(*(loop(paths) for loop in loops.values()), strict=True):
        by_name = dict(zip(loops, outputs, strict=True))
        ours = by_name.pop("spira")
        for name, values in by_name.items():
            worst[name] = max(worst[name], float(np.abs(values - ours).max()))
    return worst

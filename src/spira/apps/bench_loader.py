"""`spira bench train`, the loader: an epoch's batches out of shards, beside decoding and extracting them every time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from spira.apps.bench_runs import Values, cohort_of, fastest_in_turns, plain_clip, plain_mfcc, plain_windows
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.config import TrainingConfig, read_preset
from spira.training.core.noise import add_noise, generated_bank
from spira.training.use_cases.features import FeatureRequest, compute_shards, version_of
from spira.training.use_cases.shards import Shards

RECIPE = "spira-v1-3.5"
TOLERANCE = 1e-2
"""Allowed difference of an MFCC in dB, as in `spira bench features`."""

Epoch = Callable[[], Iterator[torch.Tensor]]


class LoaderBench(TypedDict):
    """An epoch takes one noisy realisation of every recording, in random order, in batches."""

    files: int
    windows: int
    realisations: int
    """Of each recording, from which ours takes one an epoch; the plain loader draws a new one."""
    windows_per_s: dict[str, float]
    ratio: float
    features_s: float
    """What ours costs before the first epoch, once for a data set."""
    pays_after_epochs: float
    difference: float
    """Largest, in dB, between the clean features of the two."""


def compare_loaders(paths: Sequence[Path], folder: Path, *, repetitions: int) -> LoaderBench:
    """Both loaders of the published recipe over the same recordings; shards go into `folder`."""
    config = read_preset(RECIPE)
    torch.set_num_threads(os.cpu_count() or 1)
    start = time.perf_counter()
    files = write_shards(paths, folder, config)
    features_s = time.perf_counter() - start
    with Shards(files) as shards:
        windows = sum(shards.count(recording) for recording in shards.recordings)
        epochs = {"spira": _from_shards(shards, config), "plain": _on_the_fly(paths, config)}
        loops = {name: lambda epoch=epoch: _exhaust(epoch()) for name, epoch in epochs.items()}
        seconds = fastest_in_turns(loops, repetitions=repetitions)
        difference = _difference(shards, paths)
    return LoaderBench(
        files=len(paths),
        windows=windows,
        realisations=config.augmentation.variants,
        windows_per_s={name: round(windows / taken) for name, taken in seconds.items()},
        ratio=round(seconds["plain"] / seconds["spira"], 1),
        features_s=round(features_s, 2),
        pays_after_epochs=round(features_s / (seconds["plain"] - seconds["spira"]), 1),
        difference=difference,
    )


def write_shards(paths: Sequence[Path], folder: Path, config: TrainingConfig) -> dict[int, list[Path]]:
    """Step `features` into files, by version."""
    request = FeatureRequest(
        windows=config.windows, features=config.features, augmentation=config.augmentation, seed=config.seed
    )
    files: dict[int, list[Path]] = {}
    shards = compute_shards(
        cohort_of(paths), request, recordings=LocatedRecordings(), tell=lambda *_: None, threads=os.cpu_count() or 1
    )
    for name, data in shards:
        (folder / name).write_bytes(data)
        files.setdefault(version_of(name), []).append(folder / name)
    return files


def _from_shards(shards: Shards, config: TrainingConfig) -> Epoch:
    random = np.random.default_rng(1)
    size = config.training.batch_recordings

    def epoch() -> Iterator[torch.Tensor]:
        order = random.permutation(shards.recordings).tolist()
        versions = random.integers(1, len(shards.versions), size=len(order)).tolist()
        for start in range(0, len(order), size):
            some = zip(order[start : start + size], versions[start : start + size], strict=True)
            yield torch.cat([shards.windows(recording, version)[0] for recording, version in some])

    return epoch


def _on_the_fly(paths: Sequence[Path], config: TrainingConfig) -> Epoch:
    """Decode, resample, add noise, cut, extract; noise clips and the transform are at hand, torch has all cores."""
    random, mfcc = np.random.default_rng(1), plain_mfcc()
    bank = generated_bank(seed=1)
    size = config.training.batch_recordings

    def one(path: Path) -> torch.Tensor:
        seed = int(random.integers(2**31))
        noisy = add_noise(plain_clip(path), bank, config.augmentation, seed=(seed,))
        return torch.from_numpy(mfcc(plain_windows(noisy)))

    def epoch() -> Iterator[torch.Tensor]:
        order = random.permutation(len(paths)).tolist()
        for start in range(0, len(order), size):
            yield torch.cat([one(paths[index]) for index in order[start : start + size]])

    return epoch


def _exhaust(batches: Iterator[torch.Tensor]) -> None:
    for _ in batches:
        pass


def _difference(shards: Shards, paths: Sequence[Path], *, checked: int = 5) -> float:
    mfcc = plain_mfcc()
    pairs: list[tuple[Values, Values]] = [
        (shards.windows(index, 0)[0].numpy(), mfcc(plain_windows(plain_clip(path))))
        for index, path in enumerate(paths[:checked])
    ]
    return max(float(np.abs(ours - plain).max()) for ours, plain in pairs)

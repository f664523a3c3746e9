"""`spira bench train`, memory: the peak of a fit's process on a data set, and on one ten times as large."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

PEOPLE, TIMES = 40, 10
VERSIONS, WINDOWS, FRAMES, BINS = 3, 5, 401, 40


class MemoryBench(TypedDict):
    """Peaks are the largest resident sets of processes that do nothing else; sizes are those of the shards."""

    data_mb: dict[str, float]
    peak_mb: dict[str, float]
    ratio: float


def compare_memory() -> MemoryBench:
    """One epoch of the published network on features of 40 people, and of 400."""
    sizes, peaks = {}, {}
    for times in (1, TIMES):
        with tempfile.TemporaryDirectory() as folder:
            sizes[f"{times}x"] = sum(_write(Path(folder), people=PEOPLE * times)) / 1e6
            peaks[f"{times}x"] = _peak_of_a_process(Path(folder)) / 1e6
    return MemoryBench(
        data_mb={name: round(size, 1) for name, size in sizes.items()},
        peak_mb={name: round(peak, 1) for name, peak in peaks.items()},
        ratio=round(peaks[f"{TIMES}x"] / peaks["1x"], 3),
    )


def fit_and_tell_peak(folder: Path) -> int:
    """What the process does: fits on the shards of `folder`; gives its peak in bytes."""
    from spira.training.core.cohort import Cohort, Recording, split
    from spira.training.core.compute import Compute
    from spira.training.core.config import read_preset
    from spira.training.use_cases.features import version_of
    from spira.training.use_cases.shards import Shards
    from spira.training.use_cases.train import fit_members

    config = read_preset("spira-v1-3.5", overrides=["training.epochs=1", "training.device=cpu"])
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        files.setdefault(version_of(path.name), []).append(path)
    with Shards(files) as shards:
        people = [
            Recording(
                row=index, location="", sha256="", duration_s=8.0, participant=f"p{index:05d}",
                label=1 if index % 2 else 0, fold=None, matched_pair=None, age=None, facets={},
            )
            for index in shards.recordings
        ]  # fmt: skip
        cohort = Cohort(recordings=tuple(people))
        sides = {0: split(cohort, fold=0, folds=5, validation_share=0.2, seed=1)}
        fit_members(
            cohort, shards, sides, config=config, compute=Compute.of(config.training), checkpoints=_Nowhere(),
            tell=lambda *_: None,
        )  # fmt: skip
    return peak_bytes()


def peak_bytes() -> int:
    """The largest resident set of this process so far. Not `ru_maxrss`: a child begins with its parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError("/proc/self/status tells no VmHWM")
    return int(found[1]) * 1024


class _Nowhere:
    """The port `Checkpoints`, for a fit that nobody resumes."""

    def load(self, name: str) -> bytes | None:  # noqa: ARG002 - the port's signature
        return None

    def save(self, name: str, data: bytes) -> None: ...


def _peak_of_a_process(folder: Path) -> int:
    told = subprocess.run(
        [sys.executable, "-m", "spira.apps.bench_memory", str(folder)], check=True, capture_output=True, text=True
    )
    return int(told.stdout.split()[-1])


def _write(folder: Path, *, people: int) -> Iterator[int]:
    """Shards of 40 people each, random values; gives their sizes."""
    import torch
    from safetensors.torch import save_file

    for version in range(VERSIONS):
        for start in range(0, people, PEOPLE):
            torch.manual_seed(1000 * version + start)
            windows = PEOPLE * WINDOWS
            path = folder / f"version-{version:02d}-{start:07d}.safetensors"
            tensors = {
                "values": torch.randn(windows, FRAMES, BINS),
                "mask": torch.ones(windows, FRAMES, dtype=torch.bool),
                "recording": torch.arange(start, start + PEOPLE).repeat_interleave(WINDOWS),
            }
            save_file(tensors, path)
            yield path.stat().st_size


if __name__ == "__main__":
    sys.stdout.write(f"{fit_and_tell_peak(Path(sys.argv[1]))}\n")

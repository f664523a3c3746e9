"""What the benches run on, and how they take turns."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.ids import sha256_hex

if TYPE_CHECKING:
    from spira.training.core.cohort import Cohort

Values = npt.NDArray[np.float32]
_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


def fastest_in_turns(loops: Mapping[str, Callable[[], object]], *, repetitions: int) -> dict[str, float]:
    """Seconds of each loop's fastest run; the loops take turns, since other load comes and goes and only ever adds."""
    from rich.console import Console
    from rich.progress import track

    taken: dict[str, list[float]] = {name: [] for name in loops}
    turns = [name for _ in range(repetitions) for name in loops]
    for name in track(turns, description="measuring", console=Console(stderr=True), transient=True):
        start = time.perf_counter()
        loops[name]()
        taken[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in taken.items()}


def recordings_in(folder: Path) -> list[Path]:
    """Raises InvalidInput when there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise InvalidInput.of(
            [Problem(where="--data", what=f"{folder} holds no recording", hint="WAV, FLAC, OGG, MP3")]
        )
    return found


def synthetic_clips(folder: Path, *, count: int, rate: int = 16_000) -> list[Path]:
    """Clips as long as the published ones, 5 to 25 s: a wavering tone with overtones in noise."""
    import soundfile

    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        time_s = np.arange(round(random.uniform(5.0, 25.0) * rate)) / rate
        phase = 2.0 * np.pi * (120.0 * time_s + np.sin(2.0 * np.pi * 4.0 * time_s))
        tone = sum(np.sin(order * phase) / order for order in range(1, 20))
        paths.append(folder / f"{number:03d}.wav")
        soundfile.write(paths[-1], 0.1 * tone + 0.01 * random.standard_normal(len(time_s)), rate, subtype="PCM_16")
    return paths


def cohort_of(paths: Sequence[Path]) -> Cohort:
    """As if every recording were of a person of its own, every second one a patient."""
    from spira.training.core.cohort import Cohort, Recording

    unknown: dict[str, Any] = {"fold": None, "matched_pair": None, "age": None, "facets": {}}
    return Cohort(
        recordings=tuple(
            Recording(
                row=row,
                location=str(path),
                sha256=sha256_hex(path.read_bytes()),
                duration_s=0.0,
                participant=str(row),
                label=1 if row % 2 else 0,
                **unknown,
            )
            for row, path in enumerate(paths)
        )
    )


def plain_clip(path: Path) -> Values:
    """A file as one channel at 16 kHz, as somebody would read it who has soundfile, soxr and numpy."""
    import soundfile
    import soxr

    samples, rate = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32", always_2d=True)
    mono: Values = samples.mean(axis=1)
    return mono if rate == 16_000 else np.asarray(soxr.resample(mono, rate, 16_000), np.float32)


def plain_windows(clip: Values) -> Values:
    """Its windows of 4 s, one every second, [w, 64000]."""
    count = 1 + max(0, -(-(len(clip) - 64_000) // 16_000))
    padded = np.pad(clip, (0, 64_000 + (count - 1) * 16_000 - len(clip)))
    return np.stack([padded[start : start + 64_000] for start in range(0, count * 16_000, 16_000)])


def plain_mfcc() -> Callable[[Values], Values]:
    """torchaudio's transform, made once; the windows of a clip are one batch."""
    import torch
    import torchaudio

    spectra = {"n_fft": 1200, "win_length": 400, "hop_length": 160, "n_mels": 40}
    transform = torchaudio.transforms.MFCC(16_000, n_mfcc=40, log_mels=False, melkwargs=spectra)

    def mfcc(windows: Values) -> Values:
        with torch.inference_mode():
            batch = torch.from_numpy(windows).unsqueeze(1)  # a channel axis: the floor is per window
            return np.asarray(transform(batch).squeeze(1).transpose(1, 2).numpy())

    return mfcc

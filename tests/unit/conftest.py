"""Recordings made on the spot."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

FloatArray = npt.NDArray[np.float32]
Encode = Callable[..., bytes]
Voice = Callable[..., FloatArray]


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Bytes of a sound file with given samples [frames] or [frames, channels]."""

    def encode(samples: npt.ArrayLike, *, rate: int = 16_000, file: str = "WAV", encoding: str | None = None) -> bytes:
        target = io.BytesIO()
        soundfile.write(target, np.asarray(samples), rate, format=file, subtype=encoding)
        return target.getvalue()

    return encode


@pytest.fixture(scope="session")
def voice() -> Voice:
    """A voice-like clip at 16 kHz: overtones of 120 Hz in a little noise, float32."""

    def voice(seconds: float = 2.0, *, seed: int = 0, noise: float = 0.003) -> FloatArray:
        time_s = np.arange(round(seconds * 16_000)) / 16_000
        tone = sum(np.sin(2 * np.pi * 120.0 * order * time_s) / order for order in range(1, 30))
        hiss = np.random.default_rng(seed).standard_normal(len(time_s))
        return np.asarray(0.1 * tone + noise * hiss, np.float32)

    return voice


@pytest.fixture(scope="session")
def real_recordings() -> list[Path]:
    """Real sustained vowels, from the folder that SPIRA_TEST_DATA names."""
    folder = os.environ.get("SPIRA_TEST_DATA", "")  # noqa: TID251 - tests have no settings object
    found = sorted(Path(folder, "svd-vowel-a", "wav").glob("*.wav")) if folder else []
    if not found:
        pytest.skip("SPIRA_TEST_DATA names no folder with svd-vowel-a/wav")
    return found

"""Bytes of a recording to samples: mono, 16 kHz, float32. The content decides about the format, never a name."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from pydantic import BaseModel, ConfigDict, Field

from spira.kernel.errors import InvalidInput, Problem

FloatArray = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Samples per second (Hz) of everything behind this module."""


class DecodeLimits(BaseModel):
    """What a recording may ask of this machine; the rates are in Hz."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_bytes: int = Field(default=64 * 2**20, gt=0)
    max_duration_s: float = Field(default=1800.0, gt=0.0)
    max_channels: int = Field(default=8, ge=1)
    min_rate_hz: int = Field(default=4_000, ge=1)
    max_rate_hz: int = Field(default=192_000, ge=1)


def decode(data: bytes, *, name: str = "recording", limits: DecodeLimits = DecodeLimits()) -> FloatArray:
    """The recording's samples: float32 [samples], mean of its channels, at 16 kHz, within [-1, 1].

    Raises InvalidInput that names the recording as `name`.
    """
    if not data:
        raise InvalidInput.of([Problem(where=name, what="is empty")])
    try:
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise InvalidInput.of([Problem(where=name, what="is no audio that can be read")]) from error
    mono = samples.mean(axis=1, dtype=np.float32)
    if len(mono) == 0 or not np.isfinite(mono).all():
        raise InvalidInput.of([Problem(where=name, what="holds no usable samples")])
    length = round(len(mono) * SAMPLE_RATE / rate)
    out = mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)
    out = np.pad(out[:length], (0, max(0, length - len(out))))
    return np.clip(out, -1.0, 1.0).astype(np.float32)

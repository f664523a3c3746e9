"""Cuts a clip into the windows that the network looks at; every sample lies in at least one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spira.kernel.errors import InvalidInput, Problem
from spira.voice.decode import SAMPLE_RATE, FloatArray

IntArray = npt.NDArray[np.int64]


class WindowSettings(BaseModel):
    """How a clip becomes windows.

    `pad`: one window of `window_s` seconds, filled up with zeros; a longer clip is refused.
    `overlap`: windows of `window_s` seconds, one every `step_s` seconds; the last one covers the tail and is
    filled up with zeros, and so is the only window of a short clip.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["pad", "overlap"] = "overlap"
    window_s: float = Field(default=4.0, gt=0.0, le=1800.0)
    step_s: float = Field(default=1.0, gt=0.0, le=1800.0)

    @model_validator(mode="after")
    def _leaves_no_gap(self) -> Self:
        if self.window < 1 or self.step < 1:
            raise ValueError(f"window_s and step_s must hold at least one sample at {SAMPLE_RATE} Hz")
        if self.kind == "overlap" and self.step > self.window:
            raise ValueError(f"step_s {self.step_s} above window_s {self.window_s} would skip samples")
        return self

    @property
    def window(self) -> int:
        """Length of a window in samples."""
        return round(self.window_s * SAMPLE_RATE)

    @property
    def step(self) -> int:
        """Samples from the start of a window to the start of the next one."""
        return round(self.step_s * SAMPLE_RATE)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one clip: `samples` float32 [w, n]; `valid` int64 [w], how many samples of each are real.

    What follows the valid samples of a window is zero.
    """

    samples: FloatArray
    valid: IntArray

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.valid.shape != self.samples.shape[:1]:
            raise ValueError(f"windows {self.samples.shape} and counts {self.valid.shape} don't fit together")

    def __len__(self) -> int:
        return len(self.valid)


def count(samples: int, settings: WindowSettings) -> int:
    """How many windows a clip of `samples` samples gives."""
    if settings.kind == "pad" or samples <= settings.window:
        return 1
    return 1 + -(-(samples - settings.window) // settings.step)


def padded(samples: FloatArray, settings: WindowSettings) -> FloatArray:
    """The clip [samples], filled up with zeros to the end of its last window.

    Raises InvalidInput for an empty clip, and for one that is longer than the one window of `pad`.
    """
    _refuse_misfits(samples, settings)
    length = settings.window + (count(len(samples), settings) - 1) * settings.step
    return np.pad(samples, (0, length - len(samples)))


def cut(samples: FloatArray, settings: WindowSettings) -> Windows:
    """The windows of a clip (float32 [samples]); raises what `padded` raises."""
    clip = padded(samples, settings)
    step = settings.step if settings.kind == "overlap" else settings.window
    windows = np.lib.stride_tricks.sliding_window_view(clip, settings.window)[::step]
    return Windows(samples=np.ascontiguousarray(windows), valid=valid_counts(len(samples), settings))


def valid_counts(samples: int, settings: WindowSettings) -> IntArray:
    """How many real samples each window of a clip of `samples` samples holds, int64 [w]."""
    starts = np.arange(count(samples, settings), dtype=np.int64) * settings.step
    return np.minimum(samples - starts, settings.window)


def _refuse_misfits(samples: FloatArray, settings: WindowSettings) -> None:
    if samples.ndim != 1 or len(samples) == 0:
        raise InvalidInput.of(
            [Problem(where="recording", what=f"a clip has one axis and samples, not shape {samples.shape}")]
        )
    if settings.kind == "pad" and len(samples) > settings.window:
        seconds = len(samples) / SAMPLE_RATE
        raise InvalidInput.of(
            [
                Problem(
                    where="recording",
                    what=f"lasts {seconds:.2f} s, longer than the one window of {settings.window_s:g} s",
                    hint="raise window_s, or cut with kind 'overlap'",
                )
            ]
        )

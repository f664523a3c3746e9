"""Changes to a clip that must not change what is found in it: noise, level, bandwidth, digital silence, padding.

A clip is float32 [samples] at 16 kHz. Each function gives a new clip and changes one thing only, so that a shift of
the score has one cause.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import soxr

from spira.training.core.noise import AugmentationConfig, add_noise
from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.segment import WindowSettings, padded

CLEAN = "clean"
NOISE = "noise"
NOISE_ONLY = "noise only"
NARROW_BAND_HZ = 8_000
"""Sampling rate of a telephone: nothing above 4 kHz is left."""
SILENCE_S = 0.5

Change = Callable[[FloatArray], FloatArray]


def changes(*, gain_db: float, windows: WindowSettings) -> Mapping[str, Change]:
    """The counterfactual conditions but noise, by name; a clip of `pad` windows is made no longer than its window."""
    return {
        f"gain +{gain_db:g} dB": lambda clip: gained(clip, gain_db),
        f"gain -{gain_db:g} dB": lambda clip: gained(clip, -gain_db),
        "band to 4 kHz": narrow_band,
        f"{SILENCE_S:g} s of silence before": lambda clip: fitting(silence_before(clip), windows),
        f"{SILENCE_S:g} s of silence after": lambda clip: fitting(silence_after(clip), windows),
        "zeros to the next window": lambda clip: zeros_to_the_next_window(clip, windows),
    }


def noisy(clip: FloatArray, bank: Sequence[FloatArray], *, snr_db: float, seed: Sequence[int]) -> FloatArray:
    """The clip with one excerpt of `bank` at `snr_db`, the ratio of the mean powers of the two; within [-1, 1]."""
    return add_noise(clip, bank, AugmentationConfig(level="snr", snr_low_db=snr_db, snr_high_db=snr_db), seed=seed)


def gained(clip: FloatArray, gain_db: float) -> FloatArray:
    """Louder or quieter, and nothing else: samples may exceed 1, since clipping would be a second change."""
    return clip * np.float32(10.0 ** (gain_db / 20.0))


def narrow_band(clip: FloatArray) -> FloatArray:
    """Down to 8 kHz and back to 16 kHz; as long as it was."""
    low = soxr.resample(clip, SAMPLE_RATE, NARROW_BAND_HZ)
    back = np.asarray(soxr.resample(low, NARROW_BAND_HZ, SAMPLE_RATE), dtype=np.float32)
    return np.pad(back[: len(clip)], (0, max(0, len(clip) - len(back))))


def silence_before(clip: FloatArray, seconds: float = SILENCE_S) -> FloatArray:
    return np.pad(clip, (round(seconds * SAMPLE_RATE), 0))


def silence_after(clip: FloatArray, seconds: float = SILENCE_S) -> FloatArray:
    return np.pad(clip, (0, round(seconds * SAMPLE_RATE)))


def zeros_to_the_next_window(clip: FloatArray, windows: WindowSettings) -> FloatArray:
    """The padding that cutting would add, as samples of the clip; where none is missing, a whole step of it."""
    filled = padded(clip, windows)
    if len(filled) > len(clip) or windows.kind == "pad":
        return filled
    return np.pad(clip, (0, windows.step))


def fitting(clip: FloatArray, windows: WindowSettings) -> FloatArray:
    """What a model of one padded window can take of the clip."""
    return clip[: windows.window] if windows.kind == "pad" else clip

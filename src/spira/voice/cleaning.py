"""What is taken off a clip before anything is measured: silence around it, and frequencies that not every device has.

A recorder's lead-in, a codec's padding and a telephone's band say nothing about a voice, and a model that can see them
may learn the device instead.
"""

from __future__ import annotations

import numpy as np
import soxr

from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.quality import ZERO


def trimmed(samples: FloatArray) -> FloatArray:
    """The clip, float32 [samples], without the samples at either end that are zero at 16 bits; a clip of nothing else
    stays as it is."""
    sounding = np.flatnonzero(np.abs(samples) >= ZERO)
    return samples[sounding[0] : sounding[-1] + 1] if sounding.size else samples


def limited_to(samples: FloatArray, band_hz: float) -> FloatArray:
    """The clip without what lies above `band_hz`, as long as it was: resampled to twice that rate and back. Flat up to
    nine tenths of it."""
    rate = 2.0 * band_hz
    back = np.asarray(soxr.resample(soxr.resample(samples, SAMPLE_RATE, rate), rate, SAMPLE_RATE), dtype=np.float32)
    return np.pad(back[: len(samples)], (0, max(0, len(samples) - len(back))))

"""What a recording tells about its channel and room rather than about a person's health.

If a classifier of these alone tells the classes apart, a network may learn the channel instead of the voice.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.quality import ZERO, active_rms, frame_levels

LEVEL, DURATION, ZEROS, BANDWIDTH, SILENCE = "level", "duration", "zero_ratio", "bandwidth", "silence"

_FRAME, _HOP = 400, 160
"""25 ms every 10 ms, as the VAD's."""
_LEVEL_DBFS = -23.0
_PAUSE_DB = 30.0
"""So far below the loud frames a frame holds no voice, not even the end of a vowel."""
_LOUD_PERCENTILE = 95.0
_LEAST_PAUSES = 5
_EDGES_HZ = (50.0, 300.0, 700.0, 1_500.0, 3_000.0, 5_000.0, 8_000.0)
_DROPS_DB = (60.0, 70.0)
_SPECTRUM = 1024
_FLOOR_DB = -140.0


def shortcuts_of(samples: FloatArray) -> dict[str, float | list[float]]:
    """Of a clip, float32 [samples] at 16 kHz:

    `level`: dBFS of its speech. `duration`: seconds. `zero_ratio`: share of samples that are zero at 16 bits.
    `bandwidth`: the highest frequencies (kHz) at which the long-term spectrum is within 60 and 70 dB of its peak.
    `silence`: of the frames 30 dB below the loud ones, at a speech level of -23 dBFS, the mean level in six bands (dB);
    empty where there are fewer than five such frames: the clip has no pauses.
    """
    rms = max(active_rms(samples), 10.0 ** (_FLOOR_DB / 20.0))
    return {
        LEVEL: 20.0 * float(np.log10(rms)),
        DURATION: len(samples) / SAMPLE_RATE,
        ZEROS: float((np.abs(samples) < ZERO).mean()) if len(samples) else 0.0,
        BANDWIDTH: _bandwidth(samples),
        SILENCE: _silence(samples / np.float32(rms * 10.0 ** (-_LEVEL_DBFS / 20.0))),
    }


def _bandwidth(samples: FloatArray) -> list[float]:
    clip = np.pad(samples, (0, max(0, _SPECTRUM - len(samples))))
    spectrum = _power(np.lib.stride_tricks.sliding_window_view(clip, _SPECTRUM)[:: _SPECTRUM // 2]).mean(0)
    if not spectrum.any():
        return [0.0 for _ in _DROPS_DB]
    heard = (np.flatnonzero(spectrum >= spectrum.max() * 10.0 ** (-drop / 10.0))[-1] for drop in _DROPS_DB)
    return [float(last) * SAMPLE_RATE / _SPECTRUM / 1000.0 for last in heard]


def _silence(samples: FloatArray) -> list[float]:
    if len(samples) < _FRAME:
        return []
    levels = frame_levels(samples)
    quiet = levels < np.percentile(levels, _LOUD_PERCENTILE) - _PAUSE_DB
    if quiet.sum() < _LEAST_PAUSES:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP][: len(levels)][quiet[: len(levels)]]
    power = _power(frames).mean(0)
    edges = [round(hz * _FRAME / SAMPLE_RATE) for hz in _EDGES_HZ]
    bands = [power[low:high].sum() for low, high in pairwise(edges)]
    return [max(_FLOOR_DB, 10.0 * float(np.log10(band + 1e-30))) for band in bands]


def _power(frames: FloatArray) -> npt.NDArray[np.float64]:
    """Power spectra of Hann-windowed frames [n, size], a full-scale sine at about 0 dB: float64 [n, size // 2 + 1]."""
    size = frames.shape[1]
    window = np.hanning(size)
    spectra = np.fft.rfft(frames * window) / (window.sum() / 2.0)
    return np.asarray(np.abs(spectra) ** 2, dtype=np.float64)

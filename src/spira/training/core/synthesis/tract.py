"""The vocal tract: a cascade of formant resonators whose length and shape belong to a person and a vowel."""

from __future__ import annotations

import numpy as np
from scipy.signal import sosfilt

from spira.training.core.synthesis.glottis import SAMPLE_RATE, Signal

# F1 and F2 (Hz) of the oral vowels of Brazilian Portuguese, men of São Paulo, after Escudero, Boersma, Rauber and
# Bion (JASA 126, 2009, table I), rounded; E and O are the open ones. Higher formants: a uniform tube of 17.5 cm.
VOWELS = {
    "a": (685.0, 1330.0),
    "E": (520.0, 1830.0),
    "e": (355.0, 2030.0),
    "i": (285.0, 2200.0),
    "O": (530.0, 925.0),
    "o": (370.0, 805.0),
    "u": (310.0, 760.0),
}
_TUBE = (2500.0, 3500.0, 4500.0, 5500.0, 6500.0)
_HIGHEST = 7300.0  # Hz; a resonance nearer to half the sample rate has no room
_BANDWIDTHS = (70.0, 90.0, 140.0, 200.0, 280.0, 350.0, 400.0)
_STEP = 128  # samples between two shapes of a moving tract (8 ms)


def formants(vowel: str, *, scale: float) -> Signal:
    """Centre frequencies (Hz) of `vowel` in a tract that is `scale` times shorter than 17.5 cm; shape (7,)."""
    return np.asarray((*VOWELS[vowel], *_TUBE), dtype=np.float64) * scale


def resonate(source: Signal, centres: Signal, *, damping: float = 1.0) -> Signal:
    """`source` through the tract. `centres`: (7,) for a held shape, (frames, 7) for a moving one (8 ms per frame).

    `damping` widens the bandwidths (an open glottis swallows energy).
    """
    if centres.ndim == 1:
        return np.asarray(sosfilt(_sections(centres, damping), source), dtype=np.float64)
    heard = np.empty_like(source)
    memory = np.zeros((centres.shape[1], 2))
    for frame, start in enumerate(range(0, source.size, _STEP)):
        sections = _sections(centres[min(frame, len(centres) - 1)], damping)
        heard[start : start + _STEP], memory = sosfilt(sections, source[start : start + _STEP], zi=memory)
    return heard


def frames_of(samples: int) -> int:
    """How many shapes a moving tract needs for `samples`."""
    return -(-samples // _STEP)


def at_frames(values: Signal) -> Signal:
    """Per-sample values, read at the middle of each frame of a moving tract."""
    centres = np.minimum(np.arange(frames_of(values.size)) * _STEP + _STEP // 2, values.size - 1)
    return values[centres]


def _sections(centres: Signal, damping: float) -> Signal:
    """Second-order resonators of unit gain at 0 Hz (Klatt, JASA 67, 1980); one that doesn't fit passes all through."""
    radius = np.exp(-np.pi * np.asarray(_BANDWIDTHS) * damping / SAMPLE_RATE)
    first = -2 * radius * np.cos(2 * np.pi * centres / SAMPLE_RATE)
    second = radius**2
    fits = centres < _HIGHEST
    sections = np.zeros((centres.size, 6))
    sections[:, 3] = 1.0
    sections[:, 4], sections[:, 5] = np.where(fits, first, 0.0), np.where(fits, second, 0.0)
    sections[:, 0] = 1.0 + sections[:, 4] + sections[:, 5]
    return sections

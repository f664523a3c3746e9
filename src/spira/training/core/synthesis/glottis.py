"""The source of a voice: a train of Liljencrants–Fant pulses with jitter, shimmer and aspiration noise."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.signal import lfilter, resample_poly

Signal = npt.NDArray[np.float64]

SAMPLE_RATE = 16_000  # Hz, of everything that leaves this package
_OVERSAMPLING = 2  # pulses have a corner: made at twice the rate, their aliases fall where the decimator cuts
_TABLE = 2048  # points per cycle


def glottal_flow(
    f0: Signal, *, rd: float, jitter: float, shimmer: float, breath_db: float, rng: np.random.Generator
) -> Signal:
    """Differentiated glottal flow, of the length of `f0`, at 16 kHz; about 1 at each closure.

    `f0`: fundamental frequency per sample (Hz). `rd`: pulse shape of Fant (1995), 0.4 pressed … 2.7 breathy.
    `jitter`: standard deviation of the period from cycle to cycle (fraction); `shimmer`: of the amplitude (dB).
    `breath_db`: level of the aspiration noise against the pulses (dB); it swells while the glottis is open.
    """
    fine = np.repeat(f0, _OVERSAMPLING) / (SAMPLE_RATE * _OVERSAMPLING)
    cycles = int(fine.sum() * 1.2) + 8
    wobble = 1 + jitter * np.clip(rng.standard_normal(cycles), -3, 3)
    loudness = 10 ** (shimmer * np.clip(rng.standard_normal(cycles), -3, 3) / 20)
    cycle = np.minimum(np.cumsum(fine).astype(np.int64), cycles - 1)
    phase = np.cumsum(fine * wobble[cycle])
    cycle = np.minimum(phase.astype(np.int64), cycles - 1)
    within = ((phase - np.floor(phase)) * _TABLE).astype(np.int64)
    pulses = lf_cycle(round(rd, 2))[within] * loudness[cycle]
    opening = 0.4 + 0.6 * (within < 0.6 * _TABLE)
    source = resample_poly(pulses, 1, _OVERSAMPLING)
    breath = lfilter([1.0, -0.6], [1.0], rng.standard_normal(f0.size)) * opening[::_OVERSAMPLING]
    level = 10 ** (breath_db / 20) * _rms(source) / _rms(breath)
    return np.asarray(source + level * breath, dtype=np.float64)


@lru_cache(maxsize=512)
def lf_cycle(rd: float) -> Signal:
    """One cycle of the LF model, 2048 points, minimum −1 at the closure.

    R parameters from Rd after Fant, "The LF-model revisited" (STL-QPSR 2–3/1995, eq. 2–4); growth α solved so that
    the flow returns to zero, decay ε so that the return phase ends with the cycle.
    """
    ra, rk = (-1 + 4.8 * rd) / 100, (22.4 + 11.8 * rd) / 100
    rg = rk / (4 * (0.11 * rd / (0.5 + 1.2 * rk) - ra))
    peak = 1 / (2 * rg)
    closing = peak * (1 + rk)
    closed = 1 - closing
    epsilon = float(brentq(lambda e: e * ra - 1 + np.exp(-e * closed), 1e-3 / ra, 1.1 / ra))
    time = np.arange(_TABLE) / _TABLE
    tail = -(np.exp(-epsilon * (time - closing)) - np.exp(-epsilon * closed)) / (epsilon * ra)

    def cycle(alpha: float) -> Signal:
        head = np.exp(alpha * (time - closing)) * np.sin(np.pi * time / peak)
        head *= -1 / np.sin(np.pi * closing / peak)
        return np.asarray(np.where(time < closing, head, tail), dtype=np.float64)

    return cycle(float(brentq(lambda alpha: float(cycle(alpha).sum()), -60.0, 120.0)))


def _rms(signal: Signal) -> float:
    return float(np.sqrt(np.mean(np.square(signal)))) + 1e-12

"""How a voice is produced, frame by frame: seven descriptors that say more about few people than a spectrum does.

They are ratios and shapes, so that level and, largely, the microphone's colour drop out. On sustained vowels linear
models over their statistics and over those of MFCCs err on different people: together they do best.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from spira.voice.decode import SAMPLE_RATE

DESCRIPTORS = ("pitch", "harmonicity", "cepstral_peak", "flatness", "mid_to_low", "high_to_low", "level")
"""log2 Hz · dB · dB · nepers · nepers · nepers · dB."""

PITCH_HZ = (60.0, 500.0)
WINDOW = 640  # samples: 40 ms, two and a half periods of the lowest pitch
FFT = 2048
OCTAVE_COST = 0.01  # per octave of lag: of equal peaks the highest pitch counts (Boersma 1993, eq. 26)
_FLOOR = 1e-10
_BAND_EDGES_HZ = (1_000.0, 4_000.0)


def descriptors(power: Tensor) -> Tensor:
    """Of power spectra (float32 [..., FFT // 2 + 1], see `power_spectra`) the `DESCRIPTORS`, float32 [..., 7].

    pitch and harmonicity: lag and height r of the highest peak of the window-corrected autocorrelation between
    60 and 500 Hz, harmonicity = 10 log10(r / (1 - r)) (Boersma 1993, IFA Proceedings 17, eq. 4 and 9).
    cepstral_peak: height of the real cepstrum's peak over its regression line (Hillenbrand et al. 1994, JSHR 37).
    flatness: log of geometric over arithmetic mean of the power spectrum. mid_to_low, high_to_low: log energy of
    1–4 kHz and of 4–8 kHz over that below 1 kHz. level: mean power of the windowed frame.
    """
    return torch.stack((*_periodicity(power), _cepstral_peak(power), *_shape(power)), dim=-1)


def power_spectra(samples: Tensor, hop: int) -> Tensor:
    """Power of the frames (Hann, 40 ms) that lie fully inside `samples` [w, n]: float32 [w, T, FFT // 2 + 1]."""
    return frame_power(samples.unfold(-1, WINDOW, hop))


def frame_power(framed: Tensor) -> Tensor:
    """Power of frames [..., WINDOW] under a Hann window: float32 [..., FFT // 2 + 1]."""
    spectrum = torch.fft.rfft(framed * torch.hann_window(WINDOW, periodic=False), n=FFT)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return power


def _periodicity(power: Tensor) -> tuple[Tensor, Tensor]:
    first, last = (round(SAMPLE_RATE / hz) for hz in reversed(PITCH_HZ))
    correlation = torch.fft.irfft(power)[..., : last + 1]
    normal = correlation / (correlation[..., :1] + _FLOOR) / _window_correlation()[: last + 1]
    lags = torch.arange(first, last + 1)
    best = (normal[..., first:] - OCTAVE_COST * torch.log2(lags)).argmax(dim=-1)
    height = normal[..., first:].gather(-1, best.unsqueeze(-1)).squeeze(-1).clamp(1e-3, 0.999)
    return torch.log2(SAMPLE_RATE / lags[best]), 10.0 * torch.log10(height / (1.0 - height))


@lru_cache(maxsize=1)
def _window_correlation() -> Tensor:
    spectrum = torch.fft.rfft(torch.hann_window(WINDOW, periodic=False), n=FFT)
    correlation: Tensor = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square())
    return correlation / correlation[0]


def _cepstral_peak(power: Tensor) -> Tensor:
    cepstrum = torch.fft.irfft(10.0 * torch.log10(power + _FLOOR))
    first, last = (round(SAMPLE_RATE / hz) for hz in reversed(PITCH_HZ))
    heights = 20.0 * torch.log10(cepstrum[..., first : last + 1].abs() + 1e-6)
    x = torch.linspace(-1.0, 1.0, heights.shape[-1])
    slope = (heights * x).sum(-1, keepdim=True) / x.square().sum()
    return (heights - heights.mean(-1, keepdim=True) - slope * x).amax(-1)


def _shape(power: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    audible = power[..., 1:-1] + _FLOOR
    low, middle = (round(hz * FFT / SAMPLE_RATE) - 1 for hz in _BAND_EDGES_HZ)
    bands = [part.sum(-1).log() for part in (audible[..., :low], audible[..., low:middle], audible[..., middle:])]
    mean = audible.mean(-1)
    level = 10.0 * torch.log10(mean) - 10.0 * math.log10(WINDOW)
    return audible.log().mean(-1) - mean.log(), bands[1] - bands[0], bands[2] - bands[0], level

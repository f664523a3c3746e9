"""Samples to what the network sees. `prepare` is the one path, for training and for serving alike.

Spectra follow torchaudio 2.11's definitions (Spectrogram, MelSpectrogram, AmplitudeToDB, MFCC): frames centred on
multiples of the hop with reflected edges, periodic Hann window, power, HTK mel bands without norm, 10 log10 with at
most 80 dB below the window's peak, orthonormal DCT-II.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from spira.kernel.errors import InvalidInput, Problem
from spira.voice import phonation
from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.quality import VadSettings, active_rms
from spira.voice.segment import Windows, WindowSettings, cut

TOP_DB = 80.0
LOWEST_POWER = 1e-10
LEVEL_DBFS = -23.0


class FeatureSettings(BaseModel):
    """Which features; lengths are in samples at 16 kHz. The defaults are those of the published v1 recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["waveform", "spectrogram", "mel", "log-mel", "mfcc", "phonation"] = "mfcc"
    """phonation: the seven descriptors of `spira.voice.phonation`, then `n_mfcc` MFCCs of the same frames."""
    n_fft: int = Field(default=1200, ge=2, le=65_536)
    win_length: int = Field(default=400, ge=2)
    hop_length: int = Field(default=160, ge=1)
    n_mels: int = Field(default=40, ge=1, le=512)
    n_mfcc: int = Field(default=40, ge=1, le=512)
    fmin_hz: float = Field(default=0.0, ge=0.0)
    fmax_hz: float | None = Field(default=None, gt=0.0, le=SAMPLE_RATE / 2)
    level: Literal["none", "rms"] = "none"
    """rms: the whole clip is scaled to -23 dBFS RMS over its speech, before it is cut."""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} is above n_fft {self.n_fft}")
        if self.kind == "phonation" and (self.win_length, self.n_fft) != (phonation.WINDOW, phonation.FFT):
            raise ValueError(f"phonation needs win_length {phonation.WINDOW} and n_fft {phonation.FFT}")
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc {self.n_mfcc} is above n_mels {self.n_mels}")
        if self.fmin_hz >= self.highest_hz:
            raise ValueError(f"fmin_hz {self.fmin_hz} is not below fmax_hz {self.highest_hz}")
        return self

    @property
    def highest_hz(self) -> float:
        return SAMPLE_RATE / 2 if self.fmax_hz is None else self.fmax_hz


@dataclass(frozen=True, kw_only=True)
class Features:
    """Of the windows of one clip: `values` float32 [w, T, F]; `mask` bool [w, T], True where a frame (its
    `win_length` samples) holds a real sample rather than padding."""

    values: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.values)


def frames(settings: FeatureSettings, samples: int) -> int:
    """How many frames a window of `samples` samples has (T)."""
    if settings.kind == "phonation":
        return 1 + (samples - settings.win_length) // settings.hop_length
    return samples if settings.kind == "waveform" else 1 + samples // settings.hop_length


def bins(settings: FeatureSettings) -> int:
    """How many values a frame has (F)."""
    sizes = {"waveform": 1, "spectrogram": settings.n_fft // 2 + 1, "mfcc": settings.n_mfcc}
    sizes["phonation"] = len(phonation.DESCRIPTORS) + settings.n_mfcc
    return sizes.get(settings.kind, settings.n_mels)


def prepare(samples: FloatArray, windows: WindowSettings, features: FeatureSettings) -> Features:
    """Levels the clip (float32 [samples]), cuts it, and extracts the features of its windows."""
    return extract(cut(levelled(samples, features), windows), features)


def levelled(samples: FloatArray, settings: FeatureSettings) -> FloatArray:
    """The clip at the level that `settings.level` asks for; silence stays as it is."""
    rms = active_rms(samples, VadSettings()) if settings.level == "rms" else 0.0
    if rms == 0.0:
        return samples
    return samples * np.float32(10.0 ** (LEVEL_DBFS / 20.0) / rms)


def extract(windows: Windows, settings: FeatureSettings) -> Features:
    """The features of windows that need not stem from one clip. Runs on one thread: its bits depend on nothing else."""
    with one_thread(), torch.inference_mode():
        samples = torch.tensor(windows.samples)
        return Features(values=_values(samples, settings), mask=_mask(torch.tensor(windows.valid), samples, settings))


@contextmanager
def one_thread() -> Iterator[None]:
    """Makes torch compute on the calling thread alone: sums then have one order, whatever else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mask(valid: Tensor, samples: Tensor, settings: FeatureSettings) -> Tensor:
    times = torch.arange(frames(settings, samples.shape[1]))
    if settings.kind == "waveform":
        return times < valid[:, None]
    if settings.kind == "phonation":  # only frames without padding: half a frame of silence is no voice
        inside = times * settings.hop_length + settings.win_length <= valid[:, None]
        return inside | (times == 0)
    return times * settings.hop_length - settings.win_length // 2 < valid[:, None]


def _values(samples: Tensor, settings: FeatureSettings) -> Tensor:
    if settings.kind == "waveform":
        return samples.unsqueeze(2)
    if settings.kind == "phonation":
        power = phonation.power_spectra(samples, settings.hop_length)
        return torch.cat((phonation.descriptors(power), _cepstra(power @ mel_bands(settings), settings)), dim=2)
    pad = settings.n_fft // 2
    if samples.shape[1] <= pad:
        raise InvalidInput.of([Problem(where="windows.window_s", what="is shorter than half of n_fft")])
    before = (settings.n_fft - settings.win_length) // 2
    reflected = torch.nn.functional.pad(samples, (pad - before, pad - before), mode="reflect")
    framed = reflected.unfold(1, settings.win_length, settings.hop_length)[:, : frames(settings, samples.shape[1])]
    spectrum = torch.fft.rfft(framed * torch.hann_window(settings.win_length), n=settings.n_fft)
    power = spectrum.real.square() + spectrum.imag.square()
    if settings.kind == "spectrogram":
        return power
    mel = power @ mel_bands(settings)
    if settings.kind == "mel":
        return mel
    return _cepstra(mel, settings) if settings.kind == "mfcc" else _decibels(mel)


def _cepstra(mel: Tensor, settings: FeatureSettings) -> Tensor:
    return _decibels(mel) @ cosines(settings)


def _decibels(mel: Tensor) -> Tensor:
    decibels = 10.0 * mel.clamp(min=LOWEST_POWER).log10()
    return torch.maximum(decibels, decibels.amax((1, 2), keepdim=True) - TOP_DB)


@lru_cache(maxsize=16)
def mel_bands(settings: FeatureSettings) -> Tensor:
    """Triangles of peak 1, evenly spaced in mel = 2595 log10(1 + Hz/700) (HTK): float32 [n_fft // 2 + 1, n_mels]."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (settings.fmin_hz, settings.highest_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, settings.n_mels + 2) / 2595.0) - 1.0)
    slopes = (edges - np.linspace(0.0, SAMPLE_RATE / 2, settings.n_fft // 2 + 1)[:, None]) / 1.0
    rising = -slopes[:, :-2] / np.diff(edges)[:-1]
    falling = slopes[:, 2:] / np.diff(edges)[1:]
    return torch.tensor(np.maximum(0.0, np.minimum(rising, falling)), dtype=torch.float32)


@lru_cache(maxsize=16)
def cosines(settings: FeatureSettings) -> Tensor:
    """The orthonormal DCT-II: float32 [n_mels, n_mfcc]."""
    places = (np.arange(settings.n_mels)[:, None] + 0.5) * np.arange(settings.n_mfcc)
    matrix = np.cos(np.pi / settings.n_mels * places) * np.sqrt(2.0 / settings.n_mels)
    matrix[:, 0] /= np.sqrt(2.0)
    return torch.tensor(matrix, dtype=torch.float32)

"""Short-time spectra and what is made of them, on torch tensors; definitions as in torchaudio 2.11."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from spira.voice.decode import SAMPLE_RATE

TOP_DB = 80.0
LOWEST_POWER = 1e-10


def centred_frames(samples: Tensor, *, n_fft: int, win_length: int, hop: int) -> Tensor:
    """Frames centred on multiples of `hop`, the edges reflected: a view [w, 1 + n // hop, win_length] of [w, n].

    The window lies in the middle of the `n_fft` samples around each centre; what is outside of it counts as zero.
    """
    before, after = window_reach(n_fft, win_length)
    reflected = pad(samples, (before, max(0, after)), mode="reflect")
    return reflected.unfold(-1, win_length, hop)[:, : 1 + samples.shape[-1] // hop]


def window_reach(n_fft: int, win_length: int) -> tuple[int, int]:
    """How many samples the window reaches before a frame's centre, and from the centre on."""
    before = n_fft // 2 - (n_fft - win_length) // 2
    return before, win_length - before


@lru_cache(maxsize=16)
def edge_frames(window: int, *, n_fft: int, win_length: int, hop: int) -> tuple[Tensor, Tensor]:
    """The frames of a window of `window` samples that see its reflected edges: their numbers, int64 [e], and the
    places of their samples in the window, int64 [e, win_length]."""
    before, _ = window_reach(n_fft, win_length)
    numbers = torch.arange(1 + window // hop)
    places = numbers[:, None] * hop - before + torch.arange(win_length)
    at_edge = (places[:, 0] < 0) | (places[:, -1] >= window)
    places = places[at_edge].abs()
    return numbers[at_edge], torch.where(places >= window, 2 * (window - 1) - places, places)


def spectrum(frames: Tensor, n_fft: int) -> Tensor:
    """Spectra of frames [..., win_length] under a periodic Hann window: complex64 [..., n_fft // 2 + 1].

    The zeros around the window are left out: they would only turn the phase.
    """
    transformed: Tensor = torch.fft.rfft(frames * _hann(frames.shape[-1]), n=n_fft)
    return transformed


def power(frames: Tensor, n_fft: int) -> Tensor:
    """Power spectra, float32 [..., n_fft // 2 + 1]."""
    complex_ = spectrum(frames, n_fft)
    squares: Tensor = complex_.real.square() + complex_.imag.square()
    return squares


def mel_power(frames: Tensor, n_fft: int, doubled_bands: Tensor) -> Tensor:
    """Power in bands, float32 [..., m]; `doubled_bands` [2 * (n_fft // 2 + 1), m] has every row of the bands twice.

    Squares of real and imaginary parts meet in the product with the bands, so the power spectrum is never written.
    """
    parts = torch.view_as_real(spectrum(frames, n_fft))
    return parts.square_().flatten(-2) @ doubled_bands


def decibels(values: Tensor) -> Tensor:
    """10 log10, of at least 1e-10."""
    return 10.0 * values.clamp(min=LOWEST_POWER).log10()


def limited(levels: Tensor) -> Tensor:
    """Levels [w, T, m] in dB, raised to at least 80 dB below the highest of their window."""
    return torch.maximum(levels, levels.amax((1, 2), keepdim=True) - TOP_DB)


@lru_cache(maxsize=16)
def mel_bands(*, n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> Tensor:
    """Triangles of peak 1, evenly spaced in mel = 2595 log10(1 + Hz/700) (HTK): float32 [n_fft // 2 + 1, n_mels]."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (low_hz, high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, n_mels + 2) / 2595.0) - 1.0)
    distances = edges - np.linspace(0.0, SAMPLE_RATE / 2, n_fft // 2 + 1)[:, None]
    rising, falling = -distances[:, :-2] / np.diff(edges)[:-1], distances[:, 2:] / np.diff(edges)[1:]
    return torch.tensor(np.maximum(0.0, np.minimum(rising, falling)), dtype=torch.float32)


@lru_cache(maxsize=16)
def doubled(*, n_fft: int, n_mels: int, low_hz: float, high_hz: float) -> Tensor:
    """`mel_bands` with every row twice, for `mel_power`."""
    return mel_bands(n_fft=n_fft, n_mels=n_mels, low_hz=low_hz, high_hz=high_hz).repeat_interleave(2, dim=0)


@lru_cache(maxsize=16)
def cosines(*, n_mels: int, n_mfcc: int) -> Tensor:
    """The orthonormal DCT-II: float32 [n_mels, n_mfcc]."""
    places = (np.arange(n_mels)[:, None] + 0.5) * np.arange(n_mfcc)
    matrix = np.cos(np.pi / n_mels * places) * np.sqrt(2.0 / n_mels)
    matrix[:, 0] /= np.sqrt(2.0)
    return torch.tensor(matrix, dtype=torch.float32)


@lru_cache(maxsize=16)
def _hann(length: int) -> Tensor:
    return torch.hann_window(length)

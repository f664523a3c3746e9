"""Samples to what the network sees. `prepare` is the one path, for training and for serving alike.

Spectra follow torchaudio 2.11's definitions (Spectrogram, MelSpectrogram, AmplitudeToDB, MFCC): frames centred on
multiples of the hop with reflected edges, periodic Hann window, power, HTK mel bands without norm, 10 log10 with at
most 80 dB below the window's peak, orthonormal DCT-II. The mathematics is in `spira.voice.spectra`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self, TypedDict

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from spira.kernel.errors import InvalidInput, Problem
from spira.voice import phonation, spectra
from spira.voice.cleaning import limited_to, trimmed
from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.quality import active_rms
from spira.voice.segment import Windows, WindowSettings, count, cut, padded, valid_counts

LEVEL_DBFS = -23.0
_FRAMES_AT_A_TIME = 512


class _Framing(TypedDict):
    n_fft: int
    win_length: int
    hop: int


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
    trim: bool = False
    """Whether digital silence at either end of the clip is taken off first."""
    band_hz: float | None = Field(default=None, ge=1_000.0, lt=SAMPLE_RATE / 2)
    """Nothing above is left in the clip, whatever its recorder could hear; null: everything is."""

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
    """Cleans and levels the clip (float32 [samples]), cuts it, and extracts the features of its windows.

    Frames that overlapping windows share are computed once, frames of padding not at all; a window's first and last
    few see its reflected edges and are its own. Runs on one thread: its bits depend on nothing else. Raises
    InvalidInput as `segment.padded` does, and for windows that are too short for a spectrum.
    """
    clip = levelled(cleaned(samples, features), features)
    shares_frames = windows.step % features.hop_length == 0 or count(len(clip), windows) == 1
    if features.kind == "waveform" or not shares_frames:
        return extract(cut(clip, windows), features)
    _refuse_short(windows.window, features)
    valid = torch.from_numpy(valid_counts(len(clip), windows))
    with one_thread(), torch.inference_mode():
        values = _clip_values(torch.tensor(padded(clip, windows)), len(clip), windows, features)
        return Features(values=values, mask=_mask(valid, windows.window, features))


def cleaned(samples: FloatArray, settings: FeatureSettings) -> FloatArray:
    """The clip without what `settings` take off."""
    clip = trimmed(samples) if settings.trim else samples
    return clip if settings.band_hz is None else limited_to(clip, settings.band_hz)


def levelled(samples: FloatArray, settings: FeatureSettings) -> FloatArray:
    """The clip at the level that `settings.level` asks for; silence stays as it is."""
    rms = active_rms(samples) if settings.level == "rms" else 0.0
    if rms == 0.0:
        return samples
    return samples * np.float32(10.0 ** (LEVEL_DBFS / 20.0) / rms)


def extract(windows: Windows, settings: FeatureSettings) -> Features:
    """The features of windows that need not stem from one clip. Runs on one thread, as `prepare` does."""
    window = windows.samples.shape[1]
    _refuse_short(window, settings)
    with one_thread(), torch.inference_mode():
        samples = torch.tensor(windows.samples)
        values = samples.unsqueeze(2) if settings.kind == "waveform" else _window_values(samples, settings)
        return Features(values=values, mask=_mask(torch.from_numpy(windows.valid), window, settings))


@contextmanager
def one_thread() -> Iterator[None]:
    """Makes torch compute on the calling thread alone: sums then have one order, whatever else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _mask(valid: Tensor, window: int, settings: FeatureSettings) -> Tensor:
    times = torch.arange(frames(settings, window))
    if settings.kind == "waveform":
        return times < valid[:, None]
    if settings.kind == "phonation":  # only frames without padding: half a frame of silence is no voice
        inside = times * settings.hop_length + settings.win_length <= valid[:, None]
        return inside | (times == 0)
    return times * settings.hop_length - settings.win_length // 2 < valid[:, None]


def _refuse_short(window: int, settings: FeatureSettings) -> None:
    needed = {"waveform": 1, "phonation": settings.win_length}.get(settings.kind, settings.n_fft // 2 + 1)
    if window < needed:
        what = f"a window of {window} samples is too short for {settings.kind}"
        raise InvalidInput.of([Problem(where="windows.window_s", what=what, hint=f"at least {needed} samples")])


def _window_values(samples: Tensor, settings: FeatureSettings) -> Tensor:
    return _by_window(_by_frame(_framed(samples, settings), settings), settings)


def _clip_values(clip: Tensor, real: int, windows: WindowSettings, settings: FeatureSettings) -> Tensor:
    """Of all windows of a padded clip [n], whose first `real` samples are no padding: float32 [w, T, F]."""
    by_frame = _clip_frames(clip, real, settings)
    size, step = frames(settings, windows.window), windows.step // settings.hop_length
    if len(clip) == windows.window:
        return _by_window(by_frame[None], settings)
    values = by_frame.unfold(0, size, step).transpose(1, 2).contiguous()
    if settings.kind != "phonation":  # whose frames lie within the window and see no edge
        numbers, places = spectra.edge_frames(windows.window, **_framing(settings))
        starts = torch.arange(len(values)) * windows.step
        values[:, numbers] = _by_frame(clip[starts[:, None, None] + places], settings)
    return _by_window(values, settings)


def _clip_frames(clip: Tensor, real: int, settings: FeatureSettings) -> Tensor:
    """What depends on a frame alone: float32 [frames of the clip, ...]; those of padding are all alike."""
    framed = _framed(clip[None], settings)[0]
    reach = settings.win_length + settings.hop_length
    if len(clip) - real <= 2 * reach:  # no frame, or hardly one, is all padding, or the last ones see real samples
        return _by_frame(framed, settings)
    sounding = (real + reach) // settings.hop_length
    silent = _of_frames(torch.zeros(1, settings.win_length), settings)
    return torch.cat((_by_frame(framed[:sounding], settings), silent.expand(len(framed) - sounding, -1)))


def _framing(settings: FeatureSettings) -> _Framing:
    return {"n_fft": settings.n_fft, "win_length": settings.win_length, "hop": settings.hop_length}


def _framed(samples: Tensor, settings: FeatureSettings) -> Tensor:
    """A view [w, T, win_length] of samples [w, n]."""
    if settings.kind == "phonation":
        return samples.unfold(-1, settings.win_length, settings.hop_length)
    return spectra.centred_frames(samples, **_framing(settings))


def _by_frame(framed: Tensor, settings: FeatureSettings) -> Tensor:
    """What depends on a frame alone, of frames [..., win_length]: a block that fits into the cache at a time."""
    rows = max(1, _FRAMES_AT_A_TIME // max(1, framed[0, ..., 0].numel()))
    return torch.cat([_of_frames(block, settings) for block in torch.split(framed, rows)])


def _of_frames(framed: Tensor, settings: FeatureSettings) -> Tensor:
    if settings.kind == "spectrogram":
        return spectra.power(framed, settings.n_fft)
    low, high = settings.fmin_hz, settings.highest_hz
    if settings.kind == "phonation":
        power = phonation.frame_power(framed)
        bands = spectra.mel_bands(n_fft=settings.n_fft, n_mels=settings.n_mels, low_hz=low, high_hz=high)
        return torch.cat((phonation.descriptors(power), spectra.decibels(power @ bands)), dim=-1)
    doubled = spectra.doubled(n_fft=settings.n_fft, n_mels=settings.n_mels, low_hz=low, high_hz=high)
    mel = spectra.mel_power(framed, settings.n_fft, doubled)
    return mel if settings.kind == "mel" else spectra.decibels(mel)


def _by_window(values: Tensor, settings: FeatureSettings) -> Tensor:
    """The rest, which needs the whole window: the floor below its peak, and the cepstrum."""
    if settings.kind in {"spectrogram", "mel"}:
        return values
    if settings.kind == "log-mel":
        return spectra.limited(values)
    descriptors, levels = values[..., : -settings.n_mels], values[..., -settings.n_mels :]
    cepstra = spectra.limited(levels) @ spectra.cosines(n_mels=settings.n_mels, n_mfcc=settings.n_mfcc)
    return torch.cat((descriptors, cepstra), dim=2) if settings.kind == "phonation" else cepstra

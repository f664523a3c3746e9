"""Features agree with independent implementations, and sharing frames changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spira.kernel.errors import InvalidInput
from spira.voice.features import FeatureSettings, bins, extract, frames, prepare
from spira.voice.segment import WindowSettings, cut

FloatArray = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Encode = Callable[..., bytes]
Voice = Callable[..., FloatArray]

KINDS = ["waveform", "spectrogram", "mel", "log-mel", "mfcc"]
PHONATION = FeatureSettings(kind="phonation", win_length=640, n_fft=2048, n_mfcc=20)


def by_kind(kind: str) -> FeatureSettings:
    return FeatureSettings.model_validate({"kind": kind})


def power_by_numpy(window: FloatArray) -> Double:
    """The v1 spectrogram from its definition, in float64: [T, 601]."""
    padded = np.pad(window.astype(np.float64), 600, mode="reflect")
    hann = np.zeros(1200)
    hann[400:800] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    rows = [padded[at : at + 1200] * hann for at in range(0, len(window) + 1, 160)]
    return np.asarray(np.abs(np.fft.rfft(rows)) ** 2)


def mel_by_numpy(power: Double) -> Double:
    bands = librosa.filters.mel(sr=16_000, n_fft=1200, n_mels=40, htk=True, norm=None, dtype=np.float64)
    return np.asarray(power @ bands.T)


def decibels_by_numpy(mel: Double) -> Double:
    levels = 10.0 * np.log10(np.maximum(mel, 1e-10))
    return np.asarray(np.maximum(levels, levels.max() - 80.0))


def by_numpy(window: FloatArray, kind: str) -> Double:
    power = power_by_numpy(window)
    if kind == "spectrogram":
        return power
    mel = mel_by_numpy(power)
    if kind == "mel":
        return mel
    levels = decibels_by_numpy(mel)
    return levels if kind == "log-mel" else np.asarray(scipy.fft.dct(levels, norm="ortho", axis=1))


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("seconds", [0.7, 4.0, 6.3])
def test_spectra_equal_their_definition(voice: Voice, kind: str, seconds: float) -> None:
    clip = voice(seconds)

    found = prepare(clip, WindowSettings(), by_kind(kind)).values.numpy()

    expected = np.stack([by_numpy(window, kind) for window in cut(clip, WindowSettings()).samples])
    assert found.shape == expected.shape
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(expected).max()) / 100))


def test_mfcc_equals_librosa(voice: Voice) -> None:
    clip = voice(6.0, noise=0.05)

    found = prepare(clip, WindowSettings(), FeatureSettings()).values.numpy()

    for window, values in zip(cut(clip, WindowSettings()).samples, found, strict=True):
        mel = librosa.feature.melspectrogram(
            y=window, sr=16_000, n_fft=1200, win_length=400, hop_length=160, n_mels=40, htk=True, norm=None,
            pad_mode="reflect",
        )  # fmt: skip
        expected = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=80.0), n_mfcc=40).T
        assert np.allclose(values, expected, rtol=1e-4, atol=1e-4)


def test_mfcc_equals_torchaudio(voice: Voice) -> None:
    torchaudio = pytest.importorskip("torchaudio")
    spectra = {"n_fft": 1200, "win_length": 400, "hop_length": 160, "n_mels": 40}
    transform = torchaudio.transforms.MFCC(16_000, n_mfcc=40, log_mels=False, melkwargs=spectra)
    clip = voice(6.0, noise=0.05)

    found = prepare(clip, WindowSettings(), FeatureSettings()).values

    windows = torch.from_numpy(cut(clip, WindowSettings()).samples)
    expected = torch.stack([transform(window) for window in windows]).transpose(1, 2)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    samples=st.integers(1, 30_000),
    step=st.sampled_from([0.1, 0.105, 0.25, 0.5]),
    kind=st.sampled_from([*KINDS, "phonation"]),
    seed=st.integers(0, 9),
)
def test_sharing_frames_changes_no_bit(samples: int, step: float, kind: str, seed: int) -> None:
    clip = np.asarray(0.1 * np.random.default_rng(seed).standard_normal(samples), np.float32)
    windows = WindowSettings(window_s=0.5, step_s=step)
    features = PHONATION if kind == "phonation" else by_kind(kind)

    shared = prepare(clip, windows, features)

    apart = extract(cut(clip, windows), features)
    assert torch.equal(shared.values, apart.values)
    assert torch.equal(shared.mask, apart.mask)


@pytest.mark.parametrize("kind", [*KINDS, "phonation"])
def test_shapes_are_as_announced(voice: Voice, kind: str) -> None:
    features = PHONATION if kind == "phonation" else by_kind(kind)

    prepared = prepare(voice(2.5), WindowSettings(window_s=1.0, step_s=0.5), features)

    assert prepared.values.shape == (4, frames(features, 16_000), bins(features))
    assert prepared.values.dtype == torch.float32
    assert prepared.mask.shape == prepared.values.shape[:2]
    assert prepared.mask.dtype == torch.bool


def test_four_seconds_are_401_frames_of_40() -> None:
    assert (frames(FeatureSettings(), 64_000), bins(FeatureSettings())) == (401, 40)
    assert bins(by_kind("spectrogram")) == 601


def test_the_mask_tells_frames_with_real_samples_from_padding(voice: Voice) -> None:
    full = prepare(voice(1.0), WindowSettings(window_s=1.0), FeatureSettings())
    half = prepare(voice(0.5), WindowSettings(window_s=1.0), FeatureSettings())

    assert full.mask.all()
    assert half.mask[0].tolist() == [number * 160 - 200 < 8_000 for number in range(101)]


def test_level_rms_makes_the_gain_of_a_recording_invisible(voice: Voice) -> None:
    levelled = FeatureSettings(level="rms")
    clip = voice(2.0)

    loud = prepare(clip, WindowSettings(), levelled).values
    quiet = prepare(clip * np.float32(0.1), WindowSettings(), levelled).values

    assert torch.allclose(loud, quiet, atol=0.01)
    waveform = prepare(clip, WindowSettings(window_s=2.0), FeatureSettings(kind="waveform", level="rms")).values
    assert float(waveform.square().mean().log10() * 10) == pytest.approx(-23.0, abs=0.1)


def test_silence_has_features_too() -> None:
    for level in ("none", "rms"):
        settings_ = FeatureSettings.model_validate({"level": level})

        assert prepare(np.zeros(1_000, np.float32), WindowSettings(), settings_).values.isfinite().all()


def test_a_window_too_short_for_its_spectrum_is_refused(voice: Voice) -> None:
    with pytest.raises(InvalidInput, match="at least 601 samples"):
        prepare(voice(1.0), WindowSettings(window_s=0.0375, step_s=0.01), FeatureSettings())


@pytest.mark.parametrize(
    "wrong", [{"win_length": 1300}, {"n_mfcc": 41}, {"fmin_hz": 8000}, {"fmax_hz": 9000}, {"kind": "cqt"}, {"hop": 1}]
)
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FeatureSettings.model_validate(wrong)

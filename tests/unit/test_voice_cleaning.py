"""What the recorder put around and above a voice leaves no trace in the features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spira.voice.cleaning import limited_to, trimmed
from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.features import FeatureSettings, prepare
from spira.voice.segment import WindowSettings

WINDOWS = WindowSettings(window_s=2.0, step_s=1.0)
KINDS = [
    FeatureSettings(trim=True),
    FeatureSettings(kind="log-mel", trim=True, level="rms"),
    FeatureSettings(kind="phonation", n_fft=2048, win_length=640, n_mfcc=20, trim=True, level="rms"),
]


def voice(*, seconds: float = 1.0) -> FloatArray:
    """A buzz with overtones up to 8 kHz; it starts and ends with a sounding sample."""
    time = (np.arange(round(seconds * SAMPLE_RATE)) + 0.5) / SAMPLE_RATE
    overtones = sum(0.2 / k * np.cos(2 * np.pi * 150 * k * time + k) for k in range(1, 53))
    return np.asarray(overtones).astype(np.float32)


def tone(hz: float) -> FloatArray:
    return (0.1 * np.sin(2 * np.pi * hz * np.arange(16_000) / SAMPLE_RATE)).astype(np.float32)


def rms(samples: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(samples[2_000:-2_000], dtype=np.float64))))


@pytest.mark.parametrize("settings", KINDS, ids=lambda settings: settings.kind)
@pytest.mark.parametrize("around", [(8_000, 0), (0, 8_000), (3_000, 20_000)])
def test_digital_silence_around_a_clip_changes_no_bit_of_its_features(
    settings: FeatureSettings, around: tuple[int, int]
) -> None:
    plain, longer = (prepare(clip, WINDOWS, settings) for clip in (voice(), np.pad(voice(), around)))

    assert torch.equal(plain.values, longer.values)
    assert torch.equal(plain.mask, longer.mask)


def test_silence_inside_a_clip_stays() -> None:
    clip = np.concatenate([voice(), np.zeros(4_000, np.float32), voice()])

    assert np.array_equal(trimmed(clip), clip)


def test_a_clip_of_digital_silence_stays_as_it_is() -> None:
    assert trimmed(np.zeros(100, np.float32)).shape == (100,)
    assert len(prepare(np.zeros(16_000, np.float32), WINDOWS, KINDS[1])) == 1


def test_a_band_keeps_what_lies_below_and_nothing_above() -> None:
    assert rms(limited_to(tone(1_000.0), 3_600.0)) == pytest.approx(rms(tone(1_000.0)), rel=1e-3)
    assert rms(limited_to(tone(3_200.0), 3_600.0)) == pytest.approx(rms(tone(3_200.0)), rel=1e-2)
    assert rms(limited_to(tone(4_500.0), 3_600.0)) < 1e-4 * rms(tone(4_500.0))


@pytest.mark.parametrize("samples", [1, 7, 999, 16_001])
def test_a_clip_keeps_its_length(samples: int) -> None:
    assert limited_to(np.ones(samples, np.float32), 3_600.0).shape == (samples,)


def test_a_telephones_band_hardly_changes_the_features_of_a_limited_clip() -> None:
    settings = KINDS[2].model_copy(update={"band_hz": 3_600.0})
    clip = voice()

    same, other = (
        [prepare(one, WINDOWS, kind).values for one in (clip, limited_to(clip, 4_000.0))]
        for kind in (settings, KINDS[2])
    )

    assert (same[0] - same[1]).abs().mean() < 0.05 * (other[0] - other[1]).abs().mean()


def test_by_default_nothing_is_taken_off() -> None:
    assert (FeatureSettings().trim, FeatureSettings().band_hz) == (False, None)

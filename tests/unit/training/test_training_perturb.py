"""Each change of the battery changes one thing of a clip, by a known amount."""

from __future__ import annotations

import numpy as np
import pytest

from spira.training.core.noise import generated_bank
from spira.training.core.perturb import (
    changes,
    gained,
    narrow_band,
    noisy,
    silence_after,
    silence_before,
    zeros_to_the_next_window,
)
from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.segment import WindowSettings

WINDOWS = WindowSettings(window_s=4.0, step_s=1.0)


def tone(hz: float, *, seconds: float = 1.0, amplitude: float = 0.1) -> FloatArray:
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def power_db(samples: FloatArray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_noise_has_the_stated_ratio_to_the_clip() -> None:
    clip = tone(200)

    added = noisy(clip, generated_bank(seed=1), snr_db=10.0, seed=(1,)) - clip

    assert power_db(clip) - power_db(added) == pytest.approx(10.0, abs=0.01)


def test_gain_changes_the_level_alone_and_does_not_clip() -> None:
    loud = gained(tone(200, amplitude=0.9), 12.0)

    assert power_db(loud) - power_db(tone(200, amplitude=0.9)) == pytest.approx(12.0, abs=1e-4)
    assert np.abs(loud).max() > 1.0


@pytest.mark.parametrize(("hz", "kept"), [(1_000.0, True), (6_000.0, False)])
def test_a_narrow_band_keeps_what_lies_below_4_khz_and_nothing_above(hz: float, kept: bool) -> None:
    clip = tone(hz)

    loss = power_db(clip[2_000:-2_000]) - power_db(narrow_band(clip)[2_000:-2_000])  # the tone's edges are broad

    assert loss == pytest.approx(0.0, abs=0.05) if kept else loss > 60.0
    assert narrow_band(clip[:16_001]).shape == clip[:16_001].shape


def test_half_a_second_of_digital_silence_goes_before_or_after() -> None:
    clip = tone(200)

    before, after = silence_before(clip), silence_after(clip)

    assert len(before) == len(after) == len(clip) + 8_000
    assert not before[:8_000].any()
    assert not after[-8_000:].any()
    assert np.array_equal(before[8_000:], after[:-8_000])


@pytest.mark.parametrize(("seconds", "expected"), [(1.0, 4.0), (4.0, 5.0), (4.5, 5.0)])
def test_padding_fills_the_window_or_adds_a_step(seconds: float, expected: float) -> None:
    clip = tone(200, seconds=seconds)

    longer = zeros_to_the_next_window(clip, WINDOWS)

    assert len(longer) == expected * SAMPLE_RATE
    assert np.array_equal(longer[: len(clip)], clip)
    assert not longer[len(clip) :].any()


def test_no_change_makes_a_clip_longer_than_the_one_window_of_padding() -> None:
    windows = WindowSettings(kind="pad", window_s=1.2)
    clip = tone(200)

    lengths = {len(change(clip)) for change in changes(gain_db=12.0, windows=windows).values()}

    assert max(lengths) <= windows.window


def test_a_silent_clip_and_a_tiny_one_survive_every_change() -> None:
    for clip in (np.zeros(8_000, np.float32), np.zeros(1, np.float32)):
        for change in changes(gain_db=12.0, windows=WINDOWS).values():
            changed = change(clip)
            assert len(changed) >= 1
            assert np.isfinite(changed).all()

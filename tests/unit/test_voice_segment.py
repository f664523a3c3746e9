"""Windows cover a clip, whatever its length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spira.kernel.errors import InvalidInput
from spira.voice.segment import WindowSettings, count, cut, padded

OVERLAP = WindowSettings(window_s=0.04, step_s=0.01)
PAD = WindowSettings(kind="pad", window_s=0.04)


def ramp(samples: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.arange(1, samples + 1, dtype=np.float32)


@given(
    samples=st.integers(1, 5_000),
    window=st.integers(1, 1_000),
    step=st.integers(1, 1_000),
)
def test_every_sample_is_in_a_window_and_nothing_else_is(samples: int, window: int, step: int) -> None:
    settings = WindowSettings(window_s=window / 16_000, step_s=min(step, window) / 16_000)

    windows = cut(ramp(samples), settings)

    assert windows.samples.shape == (count(samples, settings), window)
    starts = np.arange(len(windows)) * settings.step
    for start, row, valid in zip(starts, windows.samples, windows.valid, strict=True):
        assert valid >= 1
        assert np.array_equal(row[:valid], ramp(samples)[start : start + valid])
        assert not row[valid:].any()
    assert starts[-1] + windows.valid[-1] == samples
    assert (windows.valid[:-1] == window).all()
    assert len(windows) == 1 or starts[-2] + window < samples  # no window more than needed


@given(samples=st.integers(1, 640))
def test_pad_gives_one_window_with_the_whole_clip(samples: int) -> None:
    windows = cut(ramp(samples), PAD)

    assert windows.samples.shape == (1, 640)
    assert windows.valid.tolist() == [samples]
    assert np.array_equal(windows.samples[0], np.pad(ramp(samples), (0, 640 - samples)))


def test_a_clip_of_exactly_one_window_is_one_window() -> None:
    for settings in (OVERLAP, PAD):
        windows = cut(ramp(640), settings)

        assert windows.valid.tolist() == [640]
        assert np.array_equal(windows.samples, ramp(640)[None])


def test_one_sample_more_makes_a_second_window() -> None:
    windows = cut(ramp(641), OVERLAP)

    assert windows.valid.tolist() == [640, 481]


def test_a_short_clip_is_padded_and_counted() -> None:
    windows = cut(ramp(100), OVERLAP)

    assert windows.valid.tolist() == [100]
    assert np.array_equal(windows.samples[0], np.pad(ramp(100), (0, 540)))


def test_pad_refuses_a_longer_clip_and_names_both_lengths() -> None:
    with pytest.raises(InvalidInput, match=r"lasts 4\.50 s.*4 s"):
        cut(np.zeros(72_000, np.float32), WindowSettings(kind="pad", window_s=4.0))


def test_a_clip_has_samples_and_one_axis() -> None:
    for shape in ((0,), (2, 100)):
        with pytest.raises(InvalidInput, match="one axis"):
            padded(np.zeros(shape, np.float32), OVERLAP)


@pytest.mark.parametrize("wrong", [{"window_s": 0.0}, {"step_s": 5.0}, {"kind": "random"}, {"hop": 1}])
def test_settings_that_skip_samples_or_are_unknown_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WindowSettings.model_validate(wrong)

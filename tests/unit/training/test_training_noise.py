from __future__ import annotations

import inspect

import numpy as np
import pytest

from spira.training.core import noise
from spira.training.core.noise import AugmentationConfig, add_noise, generated_bank
from spira.training.use_cases import features

BANK = generated_bank(seed=3, clips=4, samples=16_000)
CLIP = (0.1 * np.sin(np.arange(24_000) / 20)).astype(np.float32)


def test_noise_is_blind_to_the_label() -> None:
    """Neither the mixing nor the features know of labels, so both classes get noise of one distribution."""
    for module in (noise, features):
        names = {name for _, one in inspect.getmembers(module, inspect.isfunction) for name in one.__code__.co_names}
        assert "label" not in names


def test_noise_depends_on_the_seed_alone() -> None:
    config = AugmentationConfig(variants=1)

    assert np.array_equal(add_noise(CLIP, BANK, config, seed=(1, 2)), add_noise(CLIP, BANK, config, seed=(1, 2)))
    assert not np.array_equal(add_noise(CLIP, BANK, config, seed=(1, 2)), add_noise(CLIP, BANK, config, seed=(1, 3)))


def test_a_peak_lies_within_its_bounds() -> None:
    config = AugmentationConfig(variants=1, peak_low=0.05, peak_high=0.1)

    peaks = [np.abs(add_noise(CLIP, BANK, config, seed=(n,)) - CLIP).max() for n in range(20)]

    assert all(0.049 < peak < 0.101 for peak in peaks)


def test_the_signal_to_noise_ratio_lies_within_its_bounds() -> None:
    config = AugmentationConfig(variants=1, level="snr", snr_low_db=10, snr_high_db=12)

    for n in range(20):
        added = add_noise(CLIP, BANK, config, seed=(n,)) - CLIP
        assert 9.9 < 10 * np.log10(np.mean(CLIP**2) / np.mean(added**2)) < 12.1


def test_several_insertions_add_up() -> None:
    one, three = AugmentationConfig(variants=1), AugmentationConfig(variants=1, insertions=3)

    power = [np.mean((add_noise(CLIP, BANK, config, seed=(5,)) - CLIP) ** 2) for config in (one, three)]

    assert power[1] > power[0]


@pytest.mark.parametrize("length", [10, 16_000, 100_000])
def test_noise_shorter_or_longer_than_the_clip_fits(length: int) -> None:
    clip = np.zeros(length, dtype=np.float32)

    noisy = add_noise(clip, BANK, AugmentationConfig(variants=1, peak_low=0.9, peak_high=1.0), seed=(1,))

    assert noisy.shape == (length,)
    assert np.abs(noisy).max() <= 1.0


def test_silence_adds_nothing() -> None:
    silence = [np.zeros(1000, dtype=np.float32)]

    assert np.array_equal(add_noise(CLIP, silence, AugmentationConfig(variants=1), seed=(1,)), CLIP)

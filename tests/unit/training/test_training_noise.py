from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from spira.training.core.noise import AugmentationConfig, add_noise, generated_bank

BANK = generated_bank(seed=3, clips=4, samples=16_000)
CLIP = (0.1 * np.sin(np.arange(24_000) / 20)).astype(np.float32)


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


def test_numbers_of_insertions_that_differ_by_label_need_to_be_allowed() -> None:
    with pytest.raises(
        ValidationError, match=r"insertions_control 5 and insertions_patient 4.*--allow-label-dependent"
    ):
        AugmentationConfig(variants=8, insertions_control=5, insertions_patient=4)
    with pytest.raises(ValidationError, match="insertions_control 1 and insertions_patient 0"):
        AugmentationConfig(variants=8, insertions_patient=0)

    allowed = AugmentationConfig(variants=8, insertions_control=5, insertions_patient=4, allow_label_dependent=True)
    equal = AugmentationConfig(variants=8, insertions_control=2, insertions_patient=2)

    assert (allowed.insertions_of(0), allowed.insertions_of(1)) == (5, 4)
    assert (equal.insertions_of(0), equal.insertions_of(1)) == (2, 2)
    assert AugmentationConfig(insertions=3).insertions_of(1) == 3


def test_no_insertion_leaves_the_clip_as_it_is() -> None:
    config = AugmentationConfig(variants=1)

    assert np.array_equal(add_noise(CLIP, BANK, config, seed=(1,), insertions=0), CLIP)
    assert np.array_equal(
        add_noise(CLIP, BANK, config, seed=(1,), insertions=1), add_noise(CLIP, BANK, config, seed=(1,))
    )


def test_an_excerpt_goes_on_from_the_noise_s_beginning_where_it_ends() -> None:
    ramp = (np.arange(1, 101) / 1000).astype(np.float32)
    clip = np.zeros(250, dtype=np.float32)

    noisy = add_noise(clip, [ramp], AugmentationConfig(variants=1, peak_low=0.1, peak_high=0.1), seed=(4,))

    start = round(float(noisy[0]) * 1000) - 1
    assert np.allclose(noisy, ramp[(start + np.arange(250)) % 100], atol=1e-6)

"""Defects of earlier systems in windows, noise, features and mixing: one test each, of what we do instead.

v1 is the published training code, v2 and v3 are its rewrites; each test's docstring says what went wrong there.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError

import spira.voice
from spira.training.core.config import OptimisationConfig
from spira.training.core.noise import AugmentationConfig, add_noise, generated_bank
from spira.training.core.objective import augmented
from spira.voice.decode import FloatArray, decode
from spira.voice.features import FeatureSettings, bins, frames, prepare
from spira.voice.network import NetworkSettings, build_network
from spira.voice.segment import WindowSettings, cut

RATE = 16_000
FOUR_BY_ONE = WindowSettings(kind="overlap", window_s=4.0, step_s=1.0)
KINDS = ("waveform", "spectrogram", "mel", "log-mel", "mfcc", "phonation")


def ramp(samples: int) -> FloatArray:
    """A clip in which every sample is different, so that each can be found again."""
    return np.linspace(-0.9, 0.9, samples, dtype=np.float32)


def tone(seconds: float, *, hz: float = 150.0, amplitude: float = 0.1) -> FloatArray:
    times = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(amplitude * np.sin(2 * np.pi * hz * times), np.float32)


# --- windows


def test_a_clip_of_exactly_one_window_gives_one_window() -> None:
    """v1: the loop over windows ended one too early, so that such a file had none and stopped the training."""
    windows = cut(ramp(4 * RATE), FOUR_BY_ONE)

    assert len(windows) == 1
    assert np.array_equal(windows.samples[0], ramp(4 * RATE))


def test_the_tail_that_is_shorter_than_a_step_lies_in_a_window() -> None:
    """v1 dropped it."""
    clip = ramp(4 * RATE + 700)

    windows = cut(clip, FOUR_BY_ONE)

    assert len(windows) == 2
    assert windows.samples[1, windows.valid[1] - 1] == clip[-1]


def test_windows_of_parts_of_a_second_begin_where_they_should() -> None:
    """v2 counted windows in whole seconds and lost the last ones."""
    clip = ramp(round(2.6 * RATE))

    windows = cut(clip, WindowSettings(kind="overlap", window_s=1.1, step_s=0.3))

    assert len(windows) == 6
    assert [windows.samples[n, 0] for n in range(6)] == [clip[round(n * 0.3 * RATE)] for n in range(6)]


def test_a_clip_shorter_than_a_window_is_filled_up_and_says_how_far_it_is_real() -> None:
    """v1 could not take one; the mask keeps the filling from being heard."""
    windows = cut(ramp(RATE), FOUR_BY_ONE)

    assert (len(windows), int(windows.valid[0])) == (1, RATE)
    assert not windows.samples[0, RATE:].any()


def test_length_is_counted_along_time_not_along_channels() -> None:
    """v2 took the number of channels for the number of samples."""
    out = io.BytesIO()
    soundfile.write(out, np.stack([tone(1.5), tone(1.5)], axis=1), RATE, format="WAV")

    clip = decode(out.getvalue())

    assert clip.shape == (round(1.5 * RATE),)
    assert len(cut(clip, WindowSettings(kind="overlap", window_s=0.5, step_s=0.5))) == 3


def test_windows_are_either_padded_or_overlapping() -> None:
    """v1 took both switches at once or none; the check for it in v2 was the wrong way round."""
    assert WindowSettings(kind="pad").kind == "pad"
    for wrong in ({"kind": "both"}, {"kind": ""}, {"use_padding": True, "use_overlapping": True}):
        with pytest.raises(ValidationError):
            WindowSettings.model_validate(wrong)


# --- noise


@pytest.mark.parametrize("samples", [RATE // 2, 2 * RATE, 2 * RATE + 1])
def test_noise_as_long_as_the_clip_or_shorter_fits(samples: int) -> None:
    """v1 needed noise that was longer than the clip by one sample at least."""
    noisy = add_noise(tone(2.0), [ramp(samples)], AugmentationConfig(variants=1), seed=(1,))

    assert noisy.shape == (2 * RATE,)
    assert np.any(noisy[-RATE // 4 :] != tone(2.0)[-RATE // 4 :])


def test_noises_of_different_lengths_add_up() -> None:
    """v2 summed them without making them equally long."""
    bank = [ramp(1000), ramp(5 * RATE), tone(0.3, hz=900.0)]

    noisy = add_noise(tone(2.0), bank, AugmentationConfig(variants=1, insertions=8), seed=(1,))

    assert noisy.shape == (2 * RATE,)


def test_every_excerpt_has_a_level_of_its_own() -> None:
    """v2 drew one amplitude for all excerpts. Of a constant noise the levels are seen one by one."""
    config, steady = AugmentationConfig(variants=1, peak_low=0.01, peak_high=0.3), [np.ones(RATE, np.float32)]
    silence = np.zeros(RATE, np.float32)

    for seed in range(5):
        first, both = (add_noise(silence, steady, config, seed=(seed,), insertions=n)[0] for n in (1, 2))
        assert abs((both - first) - first) > 1e-3


def test_noise_never_leaves_full_scale() -> None:
    """v1 did not clip."""
    loud = tone(1.0, amplitude=1.0)

    noisy = add_noise(loud, [loud], AugmentationConfig(variants=1, insertions=4, peak_low=1, peak_high=1), seed=(1,))

    assert np.abs(noisy).max() <= 1.0


def test_the_ratio_of_signal_to_noise_can_be_stated() -> None:
    """v1 drew the noise's peak alone, so that a quiet voice drowned."""
    config = AugmentationConfig(variants=1, level="snr", snr_low_db=10.0, snr_high_db=10.0)
    for amplitude in (0.3, 0.01):
        clip = tone(1.0, amplitude=amplitude)
        added = add_noise(clip, generated_bank(seed=1), config, seed=(1,)) - clip
        assert 10 * np.log10(np.mean(clip**2) / np.mean(added**2)) == pytest.approx(10.0, abs=0.1)


def test_the_number_of_noises_does_not_depend_on_the_label() -> None:
    """v1 added more noise to one class, in training and in the test; v2 took the controls' count for everybody."""
    assert AugmentationConfig(insertions=3).insertions_of(0) == AugmentationConfig(insertions=3).insertions_of(1) == 3
    with pytest.raises(ValidationError, match="noise tells the label"):
        AugmentationConfig(insertions_control=2, insertions_patient=1)


def test_where_counts_may_differ_each_class_gets_its_own() -> None:
    """v2 read the controls' count for patients too."""
    config = AugmentationConfig(insertions_control=2, insertions_patient=5, allow_label_dependent=True)

    assert (config.insertions_of(0), config.insertions_of(1)) == (2, 5)


def test_no_seed_is_degenerate() -> None:
    """v1 multiplied seed and index, so that the first file always had seed 0; v3 squared the seed of a test."""
    bank = generated_bank(seed=1)
    config = AugmentationConfig(variants=1)

    added = [
        add_noise(tone(0.5), bank, config, seed=(seed, version, identity)).tobytes()
        for seed in (0, 1, 42)
        for version in (1, 2)
        for identity in (0, 1)
    ]

    assert len(set(added)) == len(added)


# --- features and networks


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_feature_gives_values(kind: str) -> None:
    """v2: mel and spectrogram transformers computed and returned nothing."""
    sizes = {"win_length": 640, "n_fft": 2048} if kind == "phonation" else {}
    settings = FeatureSettings.model_validate({"kind": kind, **sizes})

    made = prepare(tone(1.5), WindowSettings(window_s=1.0, step_s=0.5), settings)

    assert made.values.shape == (2, frames(settings, RATE), bins(settings))
    assert torch.isfinite(made.values).all()
    assert made.values.std() > 0


def test_loudness_is_invisible_once_recordings_are_levelled() -> None:
    """v1 and its successors let the network see how loud a recording was, which told the device."""
    settings = FeatureSettings(kind="mfcc", level="rms")
    windows = WindowSettings(window_s=1.0, step_s=1.0)

    loud, quiet = (prepare(tone(1.0, amplitude=a), windows, settings).values for a in (0.5, 0.005))

    assert torch.allclose(loud, quiet, atol=1e-2)


@pytest.mark.parametrize("architecture", ["spiraconv-v1", "spiraconv-v2"])
@pytest.mark.parametrize("seconds", [1.0, 4.0, 6.5])
def test_the_first_full_layer_fits_windows_of_any_length(architecture: str, seconds: float) -> None:
    """v1's first network sized it for padded recordings, whatever the windows were; v2 used an activation before it
    was there."""
    count = frames(FeatureSettings(), round(seconds * RATE))
    settings = NetworkSettings.model_validate({"architecture": architecture})

    network = build_network(settings, frames=count, bins=40)

    assert network(torch.zeros(2, count, 40), torch.ones(2, count, dtype=torch.bool)).shape == (2,)


def test_features_need_no_library_whose_words_change() -> None:
    """v1 called torchaudio with a keyword that later versions lack."""
    sources = [file.read_text(encoding="utf-8") for file in Path(spira.voice.__file__).parent.glob("*.py")]

    assert sources
    assert not any("import torchaudio" in text or "from torchaudio" in text for text in sources)


# --- mixing


@pytest.mark.parametrize("windows", [2, 3, 7])
def test_mixing_takes_any_number_of_windows_and_crosses_classes(windows: int) -> None:
    """v2 mixed neighbours within a class; an odd count stopped it."""
    values = torch.rand(windows, 10, 4)
    targets = torch.tensor([float(n % 2) for n in range(windows)])
    mask = torch.ones(windows, 10, dtype=torch.bool)
    config = OptimisationConfig(mixup_alpha=1.0)

    soft = torch.cat(
        [augmented(values, mask, targets, config=config, random=np.random.default_rng(seed))[1] for seed in range(10)]
    )

    assert len(soft) == 10 * windows
    assert ((soft > 0.05) & (soft < 0.95)).any()

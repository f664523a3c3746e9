"""The robust network and the descriptors of phonation, on signals with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spira.voice.decode import SAMPLE_RATE, FloatArray
from spira.voice.features import FeatureSettings, bins, extract, frames, prepare
from spira.voice.phonation import DESCRIPTORS, descriptors, power_spectra
from spira.voice.robust import STATISTICS, RobustNet, statistics
from spira.voice.segment import Windows, WindowSettings

PHONATION = FeatureSettings(kind="phonation", n_fft=2048, win_length=640, n_mels=40, n_mfcc=20, level="rms")
PITCH, HARMONICITY, CEPSTRAL_PEAK, FLATNESS = (DESCRIPTORS.index(name) for name in DESCRIPTORS[:4])


@pytest.mark.parametrize("hz", [80.0, 125.0, 220.0, 400.0])
def test_pitch_is_that_of_a_pulse_train(hz: float) -> None:
    found = _describe(_pulses(hz))

    assert 2.0 ** found[:, PITCH].median().item() == pytest.approx(hz, rel=0.02)


def test_noise_lowers_harmonicity_and_the_cepstral_peak_and_raises_flatness() -> None:
    voice = _pulses(120.0)
    breathy = voice + 0.3 * voice.std() * np.random.default_rng(0).standard_normal(len(voice)).astype(np.float32)

    clear, noisy = _describe(voice).mean(0), _describe(breathy).mean(0)

    assert noisy[HARMONICITY] < clear[HARMONICITY] - 3.0
    assert noisy[CEPSTRAL_PEAK] < clear[CEPSTRAL_PEAK]
    assert noisy[FLATNESS] > clear[FLATNESS]


def test_digital_silence_gives_finite_descriptors() -> None:
    assert torch.isfinite(_describe(np.zeros(16_000, np.float32))).all()


def test_only_frames_without_padding_are_masked_in() -> None:
    samples = np.zeros((1, 16_000), np.float32)

    found = extract(Windows(samples=samples, valid=np.array([8_000])), PHONATION)

    assert found.values.shape == (1, frames(PHONATION, 16_000), bins(PHONATION))
    assert found.mask.sum().item() == 1 + (8_000 - 640) // 160


def test_a_clip_shorter_than_a_frame_still_has_one_frame() -> None:
    found = prepare(_pulses(120.0)[:500], WindowSettings(window_s=1.0, step_s=0.5), PHONATION)

    assert found.mask.sum().item() == 1


@given(st.integers(5, 40), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_statistics_see_nothing_of_what_is_masked_out(held: int, padded: int) -> None:
    generator = torch.Generator().manual_seed(held)
    values = torch.randn(1, held, 3, generator=generator)
    longer = torch.cat((values, torch.full((1, padded, 3), 1e6)), dim=1)
    mask = torch.arange(held + padded).unsqueeze(0) < held

    torch.testing.assert_close(statistics(longer, mask), statistics(values, torch.ones(1, held, dtype=torch.bool)))


def test_statistics_agree_with_numpy() -> None:
    values = torch.randn(1, 50, 2, generator=torch.Generator().manual_seed(1))
    plain = values[0].numpy()
    change = np.diff(plain, axis=0)

    found = statistics(values, torch.ones(1, 50, dtype=torch.bool))[0].numpy()

    spreads = [plain.std(0), change.std(0), np.abs(change).mean(0)]
    expected = [
        plain.mean(0),
        *(np.log(spread + 1e-3) for spread in spreads),
        *np.quantile(plain, [0.1, 0.5, 0.9], axis=0),
    ]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)


def test_the_network_has_one_weight_per_statistic_and_learns_a_separable_rule() -> None:
    torch.manual_seed(0)
    network = RobustNet(bins=bins(PHONATION), dropout=0.2)
    values = torch.randn(64, 30, bins(PHONATION))
    labels = (torch.arange(64) % 2).float()
    values[labels == 1, :, 0] += 2.0
    mask = torch.ones(64, 30, dtype=torch.bool)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)

    for _ in range(60):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(values, mask), labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stub lacks the annotation
        optimiser.step()

    network.eval()
    assert sum(weight.numel() for weight in network.parameters()) == bins(PHONATION) * STATISTICS + 2
    assert ((network(values, mask) > 0) == labels.bool()).float().mean() == 1.0


def _describe(samples: FloatArray) -> torch.Tensor:
    return descriptors(power_spectra(torch.from_numpy(samples).unsqueeze(0), 160))[0]


def _pulses(hz: float) -> FloatArray:
    """One second of glottal-like pulses: harmonics that fall by 12 dB per octave."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    harmonics = range(1, int(SAMPLE_RATE / 2 / hz))
    signal: FloatArray = np.sum([np.cos(2 * np.pi * n * hz * time) / n**2 for n in harmonics], axis=0).astype(
        np.float32
    )
    return signal * np.float32(0.1)

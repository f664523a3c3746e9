"""Known answers on made-up signals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal

from spira.voice.decode import decode
from spira.voice.quality import QualityRules, active_rms, measure, problems

FloatArray = npt.NDArray[np.float32]
Voice = Callable[..., FloatArray]

RULES = QualityRules()


def noise(seconds: float, rms: float, seed: int = 0) -> FloatArray:
    return np.asarray(rms * np.random.default_rng(seed).standard_normal(round(seconds * 16_000)), np.float32)


def complaints(samples: FloatArray, rules: QualityRules = RULES) -> list[str]:
    return [str(problem) for problem in problems(measure(samples), rules, where="sustained")]


def test_a_sine_has_the_levels_that_a_sine_has() -> None:
    sine = np.asarray(0.5 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000), np.float32)

    report = measure(sine)

    assert report.duration_s == 1.0
    assert report.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert report.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert report.speech_ratio == 1.0
    assert report.snr_db is None
    assert report.periodicity == pytest.approx(1.0, abs=0.02)
    assert report.bandwidth_hz == pytest.approx(200.0, abs=100.0)


@pytest.mark.parametrize("snr_db", [15.0, 20.0, 40.0])
def test_the_snr_of_speech_with_pauses_is_found(voice: Voice, snr_db: float) -> None:
    speech = voice(4.0, noise=0.0) * (np.arange(64_000) // 16_000 % 2 == 0)
    loudness = float(np.sqrt(np.mean(speech[:16_000] ** 2)))
    noisy = speech + noise(4.0, loudness * 10 ** (-snr_db / 20))

    report = measure(np.asarray(noisy, np.float32))

    assert report.snr_db == pytest.approx(snr_db, abs=1.0)
    assert report.speech_ratio == pytest.approx(0.5, abs=0.03)


def test_pauses_do_not_count_for_the_level_of_speech(voice: Voice) -> None:
    held = voice(2.0)
    paused = np.concatenate([held, np.zeros(64_000, np.float32), held])

    assert active_rms(paused) == pytest.approx(active_rms(held), rel=0.02)


@pytest.mark.parametrize("cutoff_hz", [1_000.0, 3_400.0, 6_000.0])
def test_bandwidth_is_where_a_low_pass_filter_cuts(cutoff_hz: float) -> None:
    sharp = scipy.signal.firwin(2001, cutoff_hz, fs=16_000, window=("kaiser", 9.0))
    filtered = np.asarray(scipy.signal.fftconvolve(noise(3.0, 0.1), sharp, mode="same"), np.float32)

    assert measure(filtered[2_000:-2_000]).bandwidth_hz == pytest.approx(cutoff_hz, abs=100.0)


def test_clipping_and_digital_silence_are_counted(voice: Voice) -> None:
    clipped = np.clip(voice(1.0) * 20.0, -1.0, 1.0)
    gated = voice(1.0)
    gated[4_000:8_000] = 0.0

    assert measure(clipped).clipping_ratio == pytest.approx(np.mean(np.abs(clipped) == 1.0), abs=0.01)
    assert measure(gated).zero_ratio == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("length", [1, 50, 399, 400, 401])
def test_silence_and_shortest_clips_are_measured_too(length: int) -> None:
    for samples in (np.zeros(length, np.float32), np.full(length, 0.1, np.float32)):
        report = measure(samples)

        assert report.rms_dbfs == (-100.0 if not samples.any() else pytest.approx(-20.0))


def test_a_good_recording_breaks_no_rule(voice: Voice) -> None:
    assert complaints(voice(2.0)) == []


def test_each_rule_names_the_recording_and_the_way_out(voice: Voice) -> None:
    assert "lasts 0.20 s" in complaints(voice(0.2))[0]
    assert "at most 1 s" in complaints(voice(2.0), QualityRules(max_duration_s=1.0))[0]
    assert "almost silent" in complaints(np.zeros(32_000, np.float32))[0]
    assert "clipped" in complaints(np.clip(voice(1.0) * 50.0, -1.0, 1.0))[0]
    assert complaints(noise(2.0, 0.1)) == ["sustained: holds noise, no voice (record the voice from nearby)"]
    gated = np.pad(voice(0.5), (0, 16_000 * 9))
    assert "digital silence" in complaints(gated)[0]
    assert "reaches only" in complaints(voice(1.0), QualityRules(min_bandwidth_hz=9_000))[0]
    halved = voice(4.0) * (np.arange(64_000) < 32_000) + noise(4.0, 0.02)
    assert "is noisy" in complaints(np.asarray(halved, np.float32), QualityRules(min_snr_db=30.0))[0]


def test_no_real_voice_is_refused(real_recordings: list[Path]) -> None:
    refused = {path.name: complaints(decode(path.read_bytes())) for path in real_recordings[::4]}

    assert {name: found for name, found in refused.items() if found} == {}

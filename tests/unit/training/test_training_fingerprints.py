"""Copies of a recording are found by what they hold; different recordings are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from spira.training.core.fingerprints import COHERENT, coherence, peaks, proposals
from spira.voice.decode import FloatArray

Change = Callable[[FloatArray], FloatArray]


def voice(seed: int, *, seconds: float = 1.5, pitch: float = 130.0) -> FloatArray:
    """A hummed vowel whose pitch wavers, with breath."""
    random = np.random.default_rng(seed)
    size = round(seconds * 16_000)
    waver = np.cumsum(random.standard_normal(size)) * 0.02
    phase = 2 * np.pi * np.cumsum(pitch + waver) / 16_000
    tone = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 20))
    return np.asarray(0.08 * tone + 0.004 * random.standard_normal(size), np.float32)


def likeness(one: FloatArray, other: FloatArray) -> float:
    """The highest coherence at a proposed shift; 0 where none is proposed."""
    found = proposals([peaks(one), peaks(other)])
    return max((coherence(one, other, shift=each.shift)[0] for each in found), default=0.0)


def read(file: Path) -> FloatArray:
    return np.asarray(soundfile.read(file, dtype="float32")[0], np.float32)


def stored(samples: FloatArray) -> FloatArray:
    return np.asarray(np.round(samples * 32767) / 32767, np.float32)


COPIES: dict[str, Change] = {
    "quieter": lambda clip: stored(0.2 * clip),
    "louder and clipped": lambda clip: np.clip(3 * clip, -1, 1),
    "cut at both ends": lambda clip: clip[3001:-2500],
    "silence before and after": lambda clip: np.pad(clip, (4000, 900)),
    "turned over": lambda clip: -clip,
    "quieter and cut": lambda clip: stored(0.3 * clip[5000:]),
    "sent at 44.1 kHz": lambda clip: soxr.resample(soxr.resample(clip, 16_000, 44_100), 44_100, 16_000),
    "sent over the telephone": lambda clip: soxr.resample(soxr.resample(clip, 16_000, 8_000), 8_000, 16_000),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_copy_is_found(change: Change) -> None:
    for seed in range(3):
        clip = voice(seed)
        assert likeness(clip, np.ascontiguousarray(change(clip))) > COHERENT


def test_other_voices_of_one_pitch_are_not_copies() -> None:
    clips = [voice(seed) for seed in range(12)]

    assert max(likeness(one, other) for n, one in enumerate(clips) for other in clips[:n]) < COHERENT


def test_one_steady_tone_in_different_noise_is_no_copy() -> None:
    """Pure tones agree in their few harmonics, and in nothing between them."""
    tone = sum(np.sin(2 * np.pi * 120.0 * k * np.arange(24_000) / 16_000) / k for k in range(1, 30))
    one, other = (
        np.asarray(0.1 * tone + 0.003 * np.random.default_rng(seed).standard_normal(24_000), np.float32)
        for seed in (1, 2)
    )

    assert coherence(one, other, shift=0)[0] < COHERENT


def test_coherence_is_1_for_the_same_and_tells_the_seconds() -> None:
    clip = voice(1, seconds=2.0)

    likeness, seconds = coherence(clip, clip[8000:], shift=8000)

    assert likeness == pytest.approx(1.0, abs=1e-6)
    assert seconds == pytest.approx(1.5)


def test_an_overlap_of_less_than_a_quarter_of_a_second_proves_nothing() -> None:
    clip = voice(1)

    assert coherence(clip, clip[-3000:], shift=len(clip) - 3000)[0] == 0.0


def test_silence_and_clips_without_peaks_are_like_nothing() -> None:
    silence = np.zeros(16_000, np.float32)

    assert list(proposals([peaks(silence), peaks(silence), peaks(voice(1))])) == []
    assert coherence(silence, silence, shift=0)[0] == 0.0


def test_no_two_of_the_real_vowels_are_taken_for_one(real_recordings: list[Path]) -> None:
    clips = [read(file) for file in real_recordings]
    prints = [peaks(clip) for clip in clips]

    found = [coherence(clips[one.one], clips[one.other], shift=one.shift)[0] for one in proposals(prints)]

    assert len(clips) > 300
    assert max(found, default=0.0) < COHERENT / 2


def test_cut_and_quieter_copies_of_real_vowels_are_found(real_recordings: list[Path]) -> None:
    """All but the shortest, in which hardly a peak is left."""
    clips = [read(file) for file in real_recordings[::10]]

    missed = [
        clip for clip in clips if likeness(clip, stored(0.5 * clip[len(clip) // 5 : -len(clip) // 10])) < COHERENT
    ]

    assert len(clips) > 30
    assert len(missed) <= 1
    assert all(len(clip) < 16_000 for clip in missed)

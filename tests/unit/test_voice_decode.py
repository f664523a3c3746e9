"""Recordings of all kinds become mono samples at 16 kHz, or one line that says why not."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from spira.kernel.errors import InvalidInput
from spira.voice import decode as decoding
from spira.voice.decode import DecodeLimits, decode

FloatArray = npt.NDArray[np.float32]
Encode = Callable[..., bytes]
Voice = Callable[..., FloatArray]

LOSSLESS = [("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-22), ("WAV", "PCM_32", 2**-22), ("WAV", "FLOAT", 0.0)]
LOSSLESS += [("WAVEX", "PCM_24", 2**-22), ("FLAC", "PCM_16", 2**-15), ("FLAC", "PCM_24", 2**-22)]
LOSSY = [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
ALL = [(file, encoding) for file, encoding, _ in LOSSLESS] + LOSSY


def refusal(data: bytes, limits: DecodeLimits = decoding.DEFAULT_LIMITS) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode(data, name="sustained", limits=limits)
    (problem,) = caught.value.problems
    assert problem.where == "sustained"
    assert problem.hint
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("file", "encoding", "step"), LOSSLESS)
def test_a_lossless_file_gives_its_samples_back(
    encode: Encode, voice: Voice, file: str, encoding: str, step: float
) -> None:
    samples = voice(0.5)

    decoded = decode(encode(samples, file=file, encoding=encoding))

    assert decoded.dtype == np.float32
    assert decoded.shape == samples.shape
    assert np.abs(decoded - samples).max() <= step


@pytest.mark.parametrize(("file", "encoding"), LOSSY)
def test_a_lossy_file_keeps_its_length_and_sounds_alike(encode: Encode, voice: Voice, file: str, encoding: str) -> None:
    samples = voice(2.0)

    decoded = decode(encode(samples, file=file, encoding=encoding))

    assert decoded.shape == samples.shape
    assert np.corrcoef(decoded, samples)[0, 1] > 0.97


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_16_khz_at_its_exact_length(encode: Encode, rate: int) -> None:
    frames = rate + 137
    tone = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(frames) / rate)

    decoded = decode(encode(tone, rate=rate, encoding="FLOAT"))

    assert len(decoded) == round(frames * 16_000 / rate)
    expected = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(len(decoded)) / 16_000)
    assert np.abs(decoded - expected)[500:-500].max() < 1e-3


def test_channels_are_averaged(encode: Encode, voice: Voice) -> None:
    samples = voice(0.5)
    eight = samples[:, None] * np.linspace(0.2, 1.0, 8, dtype=np.float32)

    decoded = decode(encode(eight, rate=192_000, encoding="FLOAT"))

    expected = soxr.resample(eight.mean(axis=1), 192_000, 16_000)
    assert np.abs(decoded - expected).max() < 1e-6


@pytest.mark.parametrize(("file", "encoding"), ALL)
def test_blocks_make_no_difference(
    encode: Encode, voice: Voice, monkeypatch: pytest.MonkeyPatch, file: str, encoding: str
) -> None:
    data = encode(np.stack([voice(1.0), voice(1.0, seed=1)], axis=1), rate=48_000, file=file, encoding=encoding)
    whole = decode(data)

    monkeypatch.setattr(decoding, "_BLOCK", 5_000)

    assert np.array_equal(decode(data), whole)


@pytest.mark.parametrize(("file", "encoding"), ALL)
@pytest.mark.parametrize("kept", [0.5, 0.98, 1.0])
def test_a_truncated_file_is_refused(encode: Encode, voice: Voice, file: str, encoding: str, kept: float) -> None:
    data = encode(voice(3.0), file=file, encoding=encoding)
    cut = data[: min(round(len(data) * kept), len(data) - 1)]

    message = refusal(cut)

    assert "truncated" in message or "damaged" in message


@pytest.mark.parametrize(("file", "encoding"), [("WAV", "PCM_16"), *LOSSY])
def test_bytes_beyond_the_told_length_are_refused(encode: Encode, voice: Voice, file: str, encoding: str) -> None:
    data = encode(voice(1.0), file=file, encoding=encoding)

    assert "truncated or damaged" in refusal(data + b"x" * 5000)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3"])
def test_a_header_alone_is_refused(data: bytes) -> None:
    refusal(data)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n" + bytes(500), b"Good morning. " * 99, b"PK\3\4" + bytes(99)])
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    assert "is no sound file" in refusal(data)


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_refused(seed: int) -> None:
    noise = np.random.default_rng(seed).bytes(4000)

    for start in (b"", b"RIFF\xa0\x0f\0\0WAVE", b"fLaC\0\0\0\x22", b"OggS\0", b"\xff\xfb\x90\xc4"):
        refusal(start + noise)


def test_containers_beyond_the_list_are_refused(encode: Encode, voice: Voice) -> None:
    for file in ("AIFF", "W64", "CAF", "RF64"):
        assert "send WAV, FLAC" in refusal(encode(voice(0.2), file=file, encoding="PCM_16"))
    assert "IMA_ADPCM" in refusal(encode(voice(0.2), encoding="IMA_ADPCM"))


def test_a_file_without_samples_is_refused(encode: Encode) -> None:
    assert "no samples" in refusal(encode(np.zeros(0)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(encode: Encode, voice: Voice, bad: float) -> None:
    samples = voice(0.5)
    samples[4321] = bad

    assert "no finite numbers" in refusal(encode(samples, encoding="FLOAT"))


def test_floats_at_the_scale_of_integers_are_refused(encode: Encode, voice: Voice) -> None:
    assert "outside of [-1, 1]" in refusal(encode(voice(0.5) * 32_767, encoding="FLOAT"))


def test_limits_are_kept(encode: Encode, voice: Voice) -> None:
    data = encode(np.tile(voice(1.0)[:, None], 3), rate=8_000)

    assert "3 channels" in refusal(data, DecodeLimits(max_channels=2))
    assert "lasts 2 s" in refusal(data, DecodeLimits(max_duration_s=1.9))
    assert f"{len(data)} bytes" in refusal(data, DecodeLimits(max_bytes=len(data) - 1))
    assert "8000 samples per second" in refusal(data, DecodeLimits(min_rate_hz=8_001))
    assert "200000 samples per second" in refusal(encode(voice(0.1), rate=200_000))
    assert "9 channels" in refusal(encode(np.zeros((100, 9))))


def test_two_hours_of_silence_in_a_small_file_are_refused_by_the_header(encode: Encode) -> None:
    second = np.zeros(8_000, np.int16)
    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", 8_000, 1, format="FLAC", subtype="PCM_16") as sound:
        for _ in range(2 * 3600):
            sound.write(second)

    assert len(target.getvalue()) < 2**20
    assert "lasts 7200 s" in refusal(target.getvalue())


@pytest.mark.parametrize("told", [0, 1_000, 10**6, 2**36 - 1])
def test_a_flac_that_lies_about_its_length_is_refused(encode: Encode, voice: Voice, told: int) -> None:
    data = bytearray(encode(voice(1.0), file="FLAC", encoding="PCM_16"))
    data[21] = data[21] & 0xF0 | told >> 32  # STREAMINFO: the low 36 bits of bytes 21 to 25
    data[22:26] = struct.pack(">I", told & 0xFFFFFFFF)

    refusal(bytes(data))


@pytest.mark.parametrize("told", [1_000, 2**31, 2**32 - 1])
def test_a_wav_that_lies_about_its_length_is_refused(encode: Encode, voice: Voice, told: int) -> None:
    data = bytearray(encode(voice(1.0), encoding="PCM_16"))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", told)
    refusal(bytes(data))

    data[4:8] = struct.pack("<I", min(told + at - 4, 2**32 - 1))

    refusal(bytes(data))


def test_chunks_beside_the_samples_are_no_lie(encode: Encode, voice: Voice) -> None:
    data = encode(voice(0.5), encoding="PCM_16")
    tagged = data + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    tagged = tagged[:4] + struct.pack("<I", len(tagged) - 8) + tagged[8:]

    assert np.array_equal(decode(tagged), decode(data))


def test_a_missing_page_is_noticed(encode: Encode, voice: Voice) -> None:
    data = encode(voice(8.0), file="OGG", encoding="VORBIS")
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]

    refusal(data[: pages[3]] + data[pages[4] :])
    refusal(data[: pages[-1]])

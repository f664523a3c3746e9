"""Bytes of a recording to samples: mono, 16 kHz, float32. The content decides about the format, never a name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from pydantic import BaseModel, ConfigDict, Field

from spira.kernel.errors import InvalidInput, Problem
from spira.voice.containers import complaint, container

FloatArray = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Samples per second (Hz) of everything behind this module."""

_PLAIN = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_ENCODINGS = frozenset((*_PLAIN, "VORBIS", "OPUS", "MPEG_LAYER_III"))
_FORMATS = "WAV, FLAC, OGG (Vorbis, Opus) or MP3"
_BLOCK = 2**22
"""Values decoded at a time: a few seconds to minutes of sound, 16 MiB."""
_LOUDEST = 2.0
"""A lossy codec overshoots full scale a little; a float file beyond this was never scaled to [-1, 1]."""


class DecodeLimits(BaseModel):
    """What a recording may ask of this machine; the rates are in Hz."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_bytes: int = Field(default=64 * 2**20, gt=0)
    max_duration_s: float = Field(default=1800.0, gt=0.0)
    max_channels: int = Field(default=8, ge=1)
    min_rate_hz: int = Field(default=4_000, ge=1)
    max_rate_hz: int = Field(default=192_000, ge=1)


DEFAULT_LIMITS = DecodeLimits()


def decode(data: bytes, *, name: str = "recording", limits: DecodeLimits = DEFAULT_LIMITS) -> FloatArray:
    """The recording's samples: float32 [round(frames * 16000 / rate)], the mean of its channels, within [-1, 1].

    Raises InvalidInput with one problem, whose `where` is `name`: nothing in it, not one of the formats, cut or
    otherwise not as long as it says, over a limit, or samples that are no numbers.
    """
    try:
        _refuse_bytes(data, limits)
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            _refuse_header(sound, limits)
            mono = _resampled(_mono_blocks(sound, _flac_digest(data)), rate=sound.samplerate, frames=sound.frames)
    except _RefusedError as refused:
        raise InvalidInput.of([Problem(where=name, what=refused.what, hint=refused.hint)]) from refused
    except soundfile.LibsndfileError as error:
        problem = Problem(where=name, what="is damaged and can't be decoded", hint="record or export it again")
        raise InvalidInput.of([problem]) from error
    return mono


class _RefusedError(Exception):
    """Why a recording is refused; `decode` adds its name."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


def _refuse_bytes(data: bytes, limits: DecodeLimits) -> None:
    if not data:
        raise _RefusedError("is empty (0 bytes)", "record it again")
    if len(data) > limits.max_bytes:
        raise _RefusedError(f"has {len(data)} bytes, at most {limits.max_bytes} are taken", "send a shorter recording")
    kind = container(data)
    if kind is None:
        raise _RefusedError("is no sound file that can be read", f"send {_FORMATS}")
    contradiction = complaint(data, kind)
    if contradiction:
        raise _RefusedError(f"is truncated or damaged: {contradiction}", "send the whole file, or export it again")


def _refuse_header(sound: soundfile.SoundFile, limits: DecodeLimits) -> None:
    rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    if sound.subtype not in _ENCODINGS:
        raise _RefusedError(f"is encoded as {sound.subtype}, which is not taken", f"send {_FORMATS}")
    if not limits.min_rate_hz <= rate <= limits.max_rate_hz:
        bounds = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise _RefusedError(f"has {rate} samples per second, {bounds} are taken", "record at 16000 or 48000 Hz")
    if channels > limits.max_channels:
        raise _RefusedError(f"has {channels} channels, at most {limits.max_channels} are taken", "record in mono")
    if frames > 2**48:
        raise _RefusedError("does not say how long it is", "save it to a file rather than to a stream")
    if frames > limits.max_duration_s * rate:
        seconds = f"{frames / rate:.0f} s"
        raise _RefusedError(
            f"lasts {seconds}, at most {limits.max_duration_s:g} s are taken", "send a shorter recording"
        )


def _mono_blocks(sound: soundfile.SoundFile, digest: bytes | None) -> Iterator[FloatArray]:
    """Mean of the channels, a block at a time; never reads more than the header told."""
    heard = hashlib.md5(usedforsecurity=False)
    done = 0
    while done < sound.frames:
        block = _read(sound, heard if digest else None)
        if len(block) == 0:
            raise _RefusedError(
                f"is truncated: its header says {sound.frames} samples, there are {done}", "send the whole file"
            )
        if not np.isfinite(block).all():
            raise _RefusedError("has samples that are no finite numbers", "export it again as 16-bit WAV")
        if np.abs(block).max() > _LOUDEST:
            raise _RefusedError("has samples far outside of [-1, 1]", "scale it, or export it as 16-bit WAV")
        done += len(block)
        yield block[:, 0] if sound.channels == 1 else block.mean(axis=1, dtype=np.float32)
    if digest and heard.digest() != digest:
        raise _RefusedError("is damaged or not as long as its header says: the digest differs", "export it again")


def _read(sound: soundfile.SoundFile, heard: hashlib._Hash | None) -> FloatArray:
    """The next block, float32 [frames, channels]; `heard` takes in the samples as FLAC's digest wants them."""
    frames = max(1, _BLOCK // sound.channels)
    if heard is None:
        return np.asarray(sound.read(frames, dtype="float32", always_2d=True), np.float32)
    width = {"PCM_S8": 1, "PCM_16": 2, "PCM_24": 3}[sound.subtype]
    exact = np.ascontiguousarray(sound.read(frames, dtype="int32", always_2d=True), "<i4")
    heard.update(exact.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes())
    return exact.astype(np.float32) * np.float32(2.0**-31)


def _flac_digest(data: bytes) -> bytes | None:
    """MD5 over all samples from a FLAC file's STREAMINFO (RFC 9639, 8.2); None elsewhere, where it was left out, and
    for depths that are no whole bytes (libsndfile shifts those)."""
    if container(data) != "flac" or len(data) < 42:
        return None
    depth = ((data[20] & 1) << 4 | data[21] >> 4) + 1
    digest = data[26:42]
    return digest if any(digest) and depth in {8, 16, 24} else None


def _resampled(blocks: Iterator[FloatArray], *, rate: int, frames: int) -> FloatArray:
    length = round(frames * SAMPLE_RATE / rate)
    if length == 0:
        raise _RefusedError("has no samples", "record it again")
    if rate == SAMPLE_RATE:
        parts = list(blocks)
    else:
        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        parts = [stream.resample_chunk(block) for block in blocks]
        parts.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    samples = np.zeros(length, np.float32)
    heard = np.concatenate(parts)[:length]
    samples[: len(heard)] = heard
    return np.clip(samples, -1.0, 1.0, out=samples)

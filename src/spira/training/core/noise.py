"""Noise for training: how much and where, decided without ever seeing a label."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spira.voice.decode import FloatArray

_QUIET = 1e-4
"""A noise excerpt whose peak lies below this (-80 dBFS) is silence and is drawn again."""
_DRAWS = 8
_EVALUATION_SHARE = 0.33
"""Of the groups of noise, how many the fit never hears."""


class Grouped(Protocol):
    """A noise recording, as its manifest tells it."""

    @property
    def group(self) -> str:
        """Clips of one source share it; empty where nothing is known."""
        ...

    @property
    def sha256(self) -> str: ...


_Clip = TypeVar("_Clip", bound=Grouped)


class AugmentationConfig(BaseModel):
    """Noisy copies of the training recordings; evaluation and serving never see one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clean: bool = True
    """Whether the recordings as they are take part in the fit."""
    variants: int = Field(default=0, ge=0, le=64)
    """Noisy copies of each recording; an epoch takes one version of each at random."""
    insertions: int = Field(default=1, ge=1, le=16)
    """Noise excerpts added to a copy."""
    level: Literal["peak", "snr"] = "peak"
    peak_low: float = Field(default=0.033474047, gt=0.0, le=1.0)
    peak_high: float = Field(default=0.19233719, gt=0.0, le=1.0)
    """`peak`: an excerpt's highest sample is drawn from these bounds, which are the published recipe's."""
    snr_low_db: float = 5.0
    snr_high_db: float = 30.0
    """`snr`: ratio of the clip's to the excerpt's mean power, drawn evenly in dB."""
    generated: bool = True
    """Whether coloured noise stands in where there are no noise recordings; else there are no noisy copies then."""
    kinds: tuple[str, ...] = ()
    """Kinds of the noise manifest that are used; empty: all."""

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for low, high in (("peak_low", "peak_high"), ("snr_low_db", "snr_high_db")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} is above {high}")
        return self


def add_noise(
    clip: FloatArray, bank: Sequence[FloatArray], config: AugmentationConfig, *, seed: Sequence[int]
) -> FloatArray:
    """A copy of `clip` (float32 [samples]) with excerpts of `bank` added, within [-1, 1].

    What is added depends on the clip's length, its level with `snr`, and `seed` alone: on no label.
    """
    random = np.random.default_rng(list(seed))
    noisy = clip.astype(np.float64)
    for _ in range(config.insertions):
        excerpt = _excerpt(bank, len(clip), random)
        noisy += excerpt * _gain(clip, excerpt, config, random)
    return np.clip(noisy, -1.0, 1.0).astype(np.float32)


def noise_sides(clips: Sequence[_Clip]) -> tuple[tuple[_Clip, ...], tuple[_Clip, ...]]:
    """The clips that the fit may use, and those that only the evaluation hears: no group is on both sides.

    A group's side is a hash of its name (of the clip's bytes where it has none), so that it stays there when clips
    come and go; where all fall on one side, the group next to the other side moves. Fewer than two groups are all the
    fit's.
    """
    places = {_group(one): _place(_group(one)) for one in clips}
    held = {name for name, place in places.items() if place < _EVALUATION_SHARE}
    if len(places) < 2:
        held = set()
    elif not held:
        held = {min(places, key=places.__getitem__)}
    elif len(held) == len(places):
        held.remove(max(places, key=places.__getitem__))
    training = tuple(one for one in clips if _group(one) not in held)
    return training, tuple(one for one in clips if _group(one) in held)


def _group(clip: Grouped) -> str:
    return f"group {clip.group}" if clip.group else f"clip {clip.sha256}"


def _place(name: str) -> float:
    """Even over [0, 1)."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def generated_bank(*, seed: int, clips: int = 8, samples: int = 80_000) -> list[FloatArray]:
    """Noise for those who have no recordings of it: power falling with frequency by 0 to 6 dB per octave."""
    random = np.random.default_rng([seed, clips, samples])
    bank = []
    for slope in np.linspace(0.0, 1.0, clips):
        spectrum = np.fft.rfft(random.standard_normal(samples))
        spectrum *= np.maximum(1.0, np.arange(len(spectrum))) ** -slope
        noise = np.fft.irfft(spectrum, samples)
        bank.append((0.5 * noise / np.abs(noise).max()).astype(np.float32))
    return bank


def _excerpt(bank: Sequence[FloatArray], length: int, random: np.random.Generator) -> FloatArray:
    for _ in range(_DRAWS):
        noise = bank[int(random.integers(len(bank)))]
        repeated = np.tile(noise, -(-length // len(noise)) + 1)
        start = random.integers(len(noise))
        excerpt = repeated[start : start + length]
        if np.abs(excerpt).max(initial=0.0) >= _QUIET:
            break
    return excerpt


def _gain(clip: FloatArray, excerpt: FloatArray, config: AugmentationConfig, random: np.random.Generator) -> float:
    peak = float(np.abs(excerpt).max(initial=0.0))
    if peak < _QUIET:
        return 0.0
    if config.level == "peak":
        return float(random.uniform(config.peak_low, config.peak_high)) / peak
    ratio = 10.0 ** (random.uniform(config.snr_low_db, config.snr_high_db) / 10.0)
    signal = float(np.mean(np.square(clip, dtype=np.float64)))
    noise = float(np.mean(np.square(excerpt, dtype=np.float64)))
    return float(np.sqrt(signal / (ratio * noise)))

"""Noise for training: how much and where. No label decides it, unless somebody says in so many words that it may."""

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
    """Noisy copies of the training recordings; evaluation and serving never see one.

    A copy is drawn once, from the seed, the version's number and the recording's bytes, and kept with the features;
    with 8 or more `variants` an epoch rarely hears the same mixture again. Voices are never mixed here: a sum of two
    people's recordings would belong to two people, and features are made before people are divided into those that
    are fitted on and those that judge. Mixing is for `training.mixup_alpha`, within a batch of fitted people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clean: bool = True
    """Whether the recordings as they are take part in the fit."""
    variants: int = Field(default=0, ge=0, le=64)
    """Noisy copies of each recording; an epoch takes one version of each at random."""
    insertions: int = Field(default=1, ge=1, le=16)
    """Noise excerpts added to a copy."""
    insertions_control: int | None = Field(default=None, ge=0, le=16)
    insertions_patient: int | None = Field(default=None, ge=0, le=16)
    """Excerpts added to a copy of a control's and of a patient's recording; null: `insertions`; 0: the copy is the
    recording as it is. Different numbers make noise a sign of the label, which the bias battery must find."""
    allow_label_dependent: bool = False
    """Whether the two may differ: for repeating published experiments, and for seeing the gate catch it."""
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

    def insertions_of(self, label: int) -> int:
        """Excerpts for a copy of a control's (0) or a patient's (1) recording."""
        own = self.insertions_patient if label else self.insertions_control
        return self.insertions if own is None else own

    @model_validator(mode="after")
    def _noise_tells_no_label(self) -> Self:
        control, patient = self.insertions_of(0), self.insertions_of(1)
        if control != patient and not self.allow_label_dependent:
            raise ValueError(
                f"insertions_control {control} and insertions_patient {patient} differ, so that noise tells the label; "
                "make them equal, or set augmentation.allow_label_dependent (--allow-label-dependent-noise)"
            )
        return self

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        for low, high in (("peak_low", "peak_high"), ("snr_low_db", "snr_high_db")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} is above {high}")
        return self


def add_noise(
    clip: FloatArray,
    bank: Sequence[FloatArray],
    config: AugmentationConfig,
    *,
    seed: Sequence[int],
    insertions: int | None = None,
) -> FloatArray:
    """A copy of `clip` (float32 [samples]) with excerpts of `bank` added, within [-1, 1].

    What is added depends on the clip's length, its level with `snr`, `seed` and the number of `insertions` (that of
    `config` where none is given) alone.
    """
    random = np.random.default_rng(list(seed))
    noisy = clip.astype(np.float64)
    for _ in range(config.insertions if insertions is None else insertions):
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
        excerpt = _from(noise, int(random.integers(len(noise))), length)
        if np.abs(excerpt).max(initial=0.0) >= _QUIET:
            break
    return excerpt


def _from(noise: FloatArray, start: int, length: int) -> FloatArray:
    """`length` samples from `start` on, over and over where the noise is shorter."""
    if start + length <= len(noise):
        return noise[start : start + length]
    return np.resize(np.concatenate((noise[start:], noise[:start])), length)


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

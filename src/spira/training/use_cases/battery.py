"""Scores of people the model never saw, as they are and changed in ways that must not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spira.kernel.errors import Conflict
from spira.kernel.ids import sha256_hex
from spira.training.core.battery import BatteryConfig
from spira.training.core.battery_gates import battery_gates
from spira.training.core.cohort import Cohort
from spira.training.core.noise import generated_bank, noise_sides
from spira.training.core.perturb import CLEAN, NOISE, changes, noisy
from spira.training.core.shifts import BatteryScores, NoiseOnly, battery_rows, has_noise, noise_auc, people_of
from spira.training.core.verdicts import Gate
from spira.training.ports import Recordings, Tell
from spira.voice.decode import FloatArray, decode
from spira.voice.quality import measure, problems
from spira.voice.score import ScreeningModel

_SEED = 7_919
"""Sets the noise of the battery apart from what the fit may have drawn with the same seed."""


@dataclass(frozen=True, kw_only=True)
class BatteryFindings:
    """What a battery gives an evaluation."""

    rows: list[dict[str, Any]]
    """Table of JSON values, see `battery_rows`."""
    figures: dict[str, float]
    """`auc_noise` with its interval: of everybody with noise; empty where there was no noise or one class."""
    gates: list[Gate]


def findings(
    recordings: Sequence[BatteryScores], noise_only: Sequence[NoiseOnly], *, config: BatteryConfig, seed: int
) -> BatteryFindings:
    """By person. Scores of several folds' models may be joined, each person being scored by one of them."""
    people = people_of(recordings)
    is_judgeable = has_noise(people) and {one.label for one in people} == {0, 1}
    return BatteryFindings(
        rows=battery_rows(people, seed=seed),
        figures=noise_auc(people, seed=seed).named("auc_noise") if is_judgeable else {},
        gates=battery_gates(people, noise_only, config, seed=seed),
    )


def run_battery(
    model: ScreeningModel,
    cohort: Cohort,
    indexes: Sequence[int],
    *,
    recordings: Recordings,
    config: BatteryConfig,
    seed: int,
    tell: Tell,
    generated: bool = False,
) -> list[BatteryScores]:
    """One entry per recording of `indexes`, in their order, under every condition.

    The noise is the evaluation's side of the cohort's; where there is none, generated noise if `generated`, else
    there are no scores with noise. What is added depends on `seed` and the recording, never on its label. Raises
    Conflict when a recording changed since it was checked.
    """
    bank = _evaluation_noise(cohort, recordings)
    if not bank and generated:
        bank = generated_bank(seed=seed + _SEED)
    variations = changes(gain_db=config.gain_db, windows=model.settings.windows)
    found = []
    for done, index in enumerate(indexes, start=1):
        one = cohort.recordings[index]
        clip = _clip(one.location, one.sha256, recordings)
        clips: dict[str, tuple[FloatArray, ...]] = {CLEAN: (clip,)}
        clips |= {name: (change(clip),) for name, change in variations.items()}
        if bank:
            draws = range(config.noise_draws)
            seeds = [(seed + _SEED, draw, int(one.sha256[:15], 16)) for draw in draws]
            clips[NOISE] = tuple(noisy(clip, bank, snr_db=config.noise_snr_db, seed=own) for own in seeds)
        scores = {name: tuple(model.score_samples(each) for each in several) for name, several in clips.items()}
        found.append(
            BatteryScores(
                participant=one.participant,
                label=one.label,
                threshold=model.settings.threshold,
                band=model.settings.inconclusive,
                scores=scores,
            )
        )
        tell(done, len(indexes), "bias battery")
    return found


def run_noise_only(model: ScreeningModel, cohort: Cohort, *, recordings: Recordings) -> list[NoiseOnly]:
    """What the model says to the evaluation's noise alone. Like a request, a clip is first judged by its quality."""
    _, held = noise_sides(cohort.noise)
    return [_alone(model, _clip(one.location, one.sha256, recordings), one.sha256) for one in held]


def _alone(model: ScreeningModel, clip: FloatArray, sha256: str) -> NoiseOnly:
    windows = model.settings.windows
    clip = clip[: windows.window] if windows.kind == "pad" else clip
    if problems(measure(clip), model.settings.quality, where="noise"):
        return NoiseOnly(sha256=sha256, refused=True, score=None, diagnosis="refused")
    score, diagnosis = model.answer(clip)
    return NoiseOnly(sha256=sha256, refused=False, score=score, diagnosis=diagnosis)


def _evaluation_noise(cohort: Cohort, recordings: Recordings) -> list[FloatArray]:
    _, held = noise_sides(cohort.noise)
    return [_clip(one.location, one.sha256, recordings) for one in held]


def _clip(location: str, sha256: str, recordings: Recordings) -> FloatArray:
    data = recordings.read(location)
    if sha256_hex(data) != sha256:
        raise Conflict(f"{location} changed since it was checked; run again from step validate")
    return decode(data, name=location)

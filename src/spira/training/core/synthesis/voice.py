"""What a person's voice is like: drawn from sex, age and severity, with as much spread between people as by illness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spira.training.core.synthesis.people import CONTROL_SEVERITY, PATIENT_SEVERITY, Person


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How somebody sounds; the same in each of their recordings.

    `f0`: mean fundamental frequency (Hz); `liveliness`: its standard deviation in speech (semitones); `drift`: the
    same in a held vowel; `jitter` (fraction), `shimmer` and `breath_db` (dB), `rd`: see `glottis`; `tract`: how much
    shorter than 17.5 cm; `rate`: syllables per second; `breathlessness`: 0 at ease, 1 the average patient.
    """

    f0: float
    liveliness: float
    drift: float
    jitter: float
    shimmer: float
    breath_db: float
    rd: float
    tract: float
    rate: float
    tilt: float
    breathlessness: float


def draw_voice(person: Person, rng: np.random.Generator) -> Voice:
    """Patients: higher and less steady f0, more so in women and after 60 (Berti et al., JASA 2023); more jitter,
    shimmer and breathiness; slower speech. The sizes of the last four are ours, set for overlapping classes."""
    ill = person.severity
    woman, old = person.sex == "f", person.age >= 60
    normal = rng.standard_normal(9)
    return Voice(
        f0=_usual_f0(person) * 2 ** ((1.9 * normal[0] + ill * (0.7 + 0.6 * woman + 0.4 * old)) / 12),
        liveliness=float(np.exp(np.log(1.7) + 0.22 * normal[1]) + ill * (0.35 + 0.25 * woman + 0.2 * old)),
        drift=float(0.22 * np.exp(0.30 * normal[2] + 0.50 * ill)),
        jitter=float(0.005 * np.exp(0.40 * normal[3] + 0.75 * ill)),
        shimmer=float(0.30 * np.exp(0.40 * normal[4] + 0.75 * ill)),
        breath_db=float(-31 + 2.5 * normal[5] + 12.0 * ill),
        rd=float(np.clip(0.85 + 0.16 * normal[6] + 0.55 * ill, 0.5, 2.4)),
        tract=float((1.17 if woman else 1.0) * (1 + 0.04 * normal[7])),
        rate=float(np.clip(6.3 + 0.5 * normal[8] - 0.2 * ill, 4.9, 7.6)),
        tilt=float(rng.normal(0.0, 1.2)),
        breathlessness=ill,
    )


def expected_pauses(severity: float) -> float:
    """Pauses in the 31-syllable sentence: 0.85 of controls, 3.16 of patients (Fernandes-Svartman et al., 2022)."""
    return max(0.0, _between(0.85, 3.16, severity))


def expected_pause_s(severity: float) -> float:
    """Mean length of a pause (s), set so that people's mean pause (0 of those who make none) is 0.13 among controls and
    0.53 among patients (Fernandes-Svartman et al., 2022)."""
    return max(0.07, _between(0.21, 0.56, severity))


def _between(control: float, patient: float, severity: float) -> float:
    return control + (patient - control) * (severity - CONTROL_SEVERITY) / (PATIENT_SEVERITY - CONTROL_SEVERITY)


def _usual_f0(person: Person) -> float:
    """Hz: women's voices sink with age, men's rise a little after 60."""
    if person.sex == "f":
        return 208.0 - 0.5 * max(0, person.age - 40)
    return 118.0 + 0.4 * max(0, person.age - 60)

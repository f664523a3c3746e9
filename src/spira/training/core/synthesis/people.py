"""Who is in a synthetic cohort: sex, age and place drawn first, the label afterwards, so that they can't tell it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Label = Literal["control", "patient"]
Sex = Literal["f", "m"]

# Means of the latent severity; the published class means of `speech` are placed on these two points.
CONTROL_SEVERITY = 0.22
PATIENT_SEVERITY = 1.0
_CONTROL_SPREAD = CONTROL_SEVERITY / math.sqrt(2 / math.pi)  # mean of a half-normal
_PATIENT_SPREAD = 0.4

FOLDS = 5
SITES = ("hospital-a", "hospital-b", "hospital-c")
MASKS = ("none", "thin", "thick")
_MASK_SHARES = (0.5, 0.35, 0.15)
_CAUSES = ("pneumonia", "copd", "asthma", "heart-failure", "covid-19")
_PAIR_YEARS = 3


@dataclass(frozen=True, kw_only=True)
class Person:
    """One made-up participant.

    `severity` is latent: 0 breathes at ease, 1 is the average patient. The classes overlap in it (a healthy person
    may be short of breath, a patient may sound well), so no model can reach a perfect score.
    """

    index: int
    participant_id: str
    label: Label
    sex: Sex
    age: int
    site: str
    mask: str
    cause: str
    collected_at: str
    severity: float
    fold: int = -1
    matched_pair: int | None = None

    def __post_init__(self) -> None:
        if self.severity < 0 or not 0 < self.age < 120:
            raise ValueError(f"person {self.index}: severity {self.severity} or age {self.age} is out of range")

    @property
    def is_patient(self) -> bool:
        return self.label == "patient"


def draw_people(count: int, *, seed: int) -> tuple[Person, ...]:
    """`count` people, half of them patients, with participant-disjoint folds and some matched pairs.

    Age: normal, 53.3 ± 14.4 years within 17–90, and 53 % men, as published for the patients of SPIRA P1; the controls
    are drawn alike, so that age and sex say nothing about the label.
    """
    rng = np.random.default_rng([seed, 0])
    sexes: list[Sex] = ["m" if chance < 116 / 218 else "f" for chance in rng.random(count)]
    ages = [int(age) for age in np.clip(np.round(rng.normal(53.3, 14.4, count)), 17, 90)]
    patients = _choose_patients(sexes, ages, rng)
    people = [
        _draw_person(index, sexes[index], ages[index], is_patient=index in patients, seed=seed)
        for index in range(count)
    ]
    return _with_pairs(_with_folds(people, rng))


def _choose_patients(sexes: Sequence[Sex], ages: Sequence[int], rng: np.random.Generator) -> set[int]:
    """One of each two neighbours in sex and age, by a coin: even in a small cohort age and sex tell nothing."""
    order = sorted(range(len(ages)), key=lambda index: (sexes[index], ages[index], index))
    return {int(rng.choice(two)) for two in zip(order[::2], order[1::2], strict=False)}


def _draw_person(index: int, sex: Sex, age: int, *, is_patient: bool, seed: int) -> Person:
    rng = np.random.default_rng([seed, 1, index])
    day = np.datetime64("2024-01-01") + int(rng.integers(0, 730))
    site, mask, cause = (str(rng.choice(SITES)), str(rng.choice(MASKS, p=_MASK_SHARES)), str(rng.choice(_CAUSES)))
    ill, well = abs(rng.normal(PATIENT_SEVERITY, _PATIENT_SPREAD)), abs(rng.normal(0.0, _CONTROL_SPREAD))
    return Person(
        index=index,
        participant_id="p-" + hashlib.sha256(f"synthetic:{seed}:{index}".encode()).hexdigest()[:24],
        label="patient" if is_patient else "control",
        sex=sex,
        age=age,
        site=site,
        mask=mask,
        cause=cause if is_patient else "",
        collected_at=str(day),
        severity=float(ill if is_patient else well),
    )


def _with_folds(people: Sequence[Person], rng: np.random.Generator) -> list[Person]:
    """Deal each class and sex out to the folds in order of age, starting anywhere."""
    strata: dict[tuple[Label, Sex], list[Person]] = defaultdict(list)
    for person in people:
        strata[person.label, person.sex].append(person)
    folds: dict[int, int] = {}
    dealt = {"control": int(rng.integers(FOLDS)), "patient": int(rng.integers(FOLDS))}
    for (label, _), members in sorted(strata.items()):
        for person in sorted(members, key=lambda one: (one.age, one.index)):
            folds[person.index] = dealt[label] % FOLDS
            dealt[label] += 1
    return [replace(person, fold=folds[person.index]) for person in people]


def _with_pairs(people: Sequence[Person]) -> tuple[Person, ...]:
    """Join a patient and a control of the same sex and of nearly the same age, youngest patients first."""
    free = sorted((one for one in people if not one.is_patient), key=lambda one: (one.age, one.index))
    pairs: dict[int, int] = {}
    for patient in sorted((one for one in people if one.is_patient), key=lambda one: (one.age, one.index)):
        alike = [one for one in free if one.sex == patient.sex and abs(one.age - patient.age) <= _PAIR_YEARS]
        if alike:
            partner = min(alike, key=lambda one: (abs(one.age - patient.age), one.index))
            free.remove(partner)
            pairs[patient.index] = pairs[partner.index] = len(pairs) // 2
    return tuple(replace(person, matched_pair=pairs.get(person.index)) for person in people)

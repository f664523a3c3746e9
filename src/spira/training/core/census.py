"""Who and what is in a data set, as counts and percentiles: for its report, and for comparing it with a later one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from spira.kernel.ids import sha256_hex
from spira.training.core.dataset import CLASS_NAMES, Label
from spira.training.core.drift import Numbers, Summary, Words
from spira.voice.quality import QualityReport

FACETS = ("sex", "age_band", "site", "device", "mask", "cause")
_COMPARED = ("sex", "site", "device")
MEASURES = {
    "duration_s": "length (s)",
    "rms_dbfs": "level (dBFS)",
    "snr_db": "signal to noise (dB)",
    "bandwidth_hz": "bandwidth (Hz)",
    "clipping_ratio": "share clipped",
    "zero_ratio": "share of zeros",
    "speech_ratio": "share of speech",
    "periodicity": "periodicity",
}
"""Of a recording's quality, what is told, and what it is called."""
_TOLD = (0, 5, 25, 50, 75, 95, 100)
_NOT_TOLD = "not told"


@dataclass(frozen=True, kw_only=True)
class Take:
    """One usable recording as a census sees it."""

    participant: str
    label: Label
    age: float | None
    facets: Mapping[str, str]
    quality: QualityReport
    sha256: str


def summary_of(takes: Sequence[Take]) -> Summary:
    """Distributions over people; of several recordings the median counts."""
    people = list(_by_person(takes).values())
    return Summary(
        people=len(people),
        recordings=len(takes),
        numbers={
            "age": Numbers.of(own[0].age for own in people),
            "duration": Numbers.of(_median(one.quality.duration_s for one in own) for own in people),
            "level": Numbers.of(_median(one.quality.rms_dbfs for one in own) for own in people),
            "snr": Numbers.of(_median(one.quality.snr_db for one in own) for own in people),
        },
        words={"class": Words.of(CLASS_NAMES[own[0].label] for own in people)}
        | {name: Words.of(own[0].facets.get(name, "") for own in people) for name in _COMPARED},
    )


def counts_of(takes: Sequence[Take]) -> dict[str, Any]:
    """People by class, and by class within each facet that is told for anybody."""
    people = [own[0] for own in _by_person(takes).values()]
    by_facet = {}
    for name in FACETS:
        if any(name in one.facets for one in people):
            counted = Counter((one.facets.get(name, _NOT_TOLD), one.label) for one in people)
            values = sorted({value for value, _ in counted}, key=lambda value: (not value.startswith("<"), value))
            by_facet[name] = {value: [counted[value, 0], counted[value, 1]] for value in values}
    return {
        "recordings": len(takes),
        "people": {CLASS_NAMES[label]: sum(one.label == label for one in people) for label in (0, 1)},
        "by": by_facet,
    }


def qualities_of(takes: Sequence[Take]) -> dict[str, dict[str, list[float]]]:
    """For each measure and class the percentiles 0, 5, 25, 50, 75, 95 and 100 over recordings, where there are any."""
    found: dict[str, dict[str, list[float]]] = {}
    for measure in MEASURES:
        for label, name in enumerate(CLASS_NAMES):
            values = [getattr(one.quality, measure) for one in takes if one.label == label]
            known = [value for value in values if value is not None]
            if known:
                told = np.percentile(known, _TOLD).round(4).tolist()
                found.setdefault(measure, {})[name] = told
    return found


def content_digest(takes: Iterable[Take]) -> str:
    """SHA-256 over who said what with which label: the same wherever the files lie and however rows are ordered."""
    lines = sorted(f"{one.sha256} {one.label} {one.participant}" for one in takes)
    return sha256_hex("\n".join(lines).encode())


def _by_person(takes: Iterable[Take]) -> dict[str, list[Take]]:
    people: dict[str, list[Take]] = {}
    for one in takes:
        people.setdefault(one.participant, []).append(one)
    return people


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None

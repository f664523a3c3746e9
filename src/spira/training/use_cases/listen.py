"""Recordings heard once each: digests, quality, what tells the channel, and the peaks that give copies away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.kernel.ids import sha256_hex
from spira.training.core.fingerprints import IntArray, peaks
from spira.training.core.probes import shortcuts_of
from spira.training.ports import Recordings
from spira.voice.decode import SAMPLE_RATE, FloatArray, decode
from spira.voice.quality import QualityReport, QualityRules, measure
from spira.voice.quality import problems as quality_problems

_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard in one file, or why it can't be used."""

    sha256: str = ""
    """Of the file's bytes."""
    samples_sha256: str = ""
    duration_s: float = 0.0
    quality: QualityReport | None = None
    peaks: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    shortcuts: Mapping[str, float | list[float]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def listen(locations: Sequence[str], *, recordings: Recordings, rules: QualityRules) -> Iterator[Heard]:
    """What is heard at each location, in their order."""
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(lambda location: _listen(location, recordings, rules), locations)


def samples_at(location: str, recordings: Recordings) -> FloatArray:
    """Raises NotFound, and InvalidInput when the file holds no sound."""
    return decode(recordings.read(location), name="path")


def locate(base: str, path: str) -> str:
    """Where a manifest's path lies: as it is when it names a scheme or starts at the root, else below `base`."""
    return path if path.startswith(("file:", "s3:", "/")) else f"{base.rstrip('/')}/{path}"


def _listen(location: str, recordings: Recordings, rules: QualityRules) -> Heard:
    try:
        data = recordings.read(location)
        samples = decode(data, name="path")
    except NotFound:
        return Heard(problems=(Problem(where="path", what="the file does not exist"),))
    except InvalidInput as error:
        return Heard(problems=error.problems)
    quality = measure(samples)
    return Heard(
        sha256=sha256_hex(data),
        samples_sha256=sha256_hex(samples.tobytes()),
        duration_s=len(samples) / SAMPLE_RATE,
        quality=quality,
        peaks=peaks(samples),
        shortcuts=shortcuts_of(samples),
        problems=tuple(quality_problems(quality, rules, where="path")),
    )

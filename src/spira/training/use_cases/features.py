"""Recordings to features, kept as shards: decode, level, windows, spectra; once clean and `variants` times with noise.

clip = decode(bytes)
version 0       prepare(clip)                   levels, cuts, extracts: the path that serving takes
version 1 …     prepare(clip + noise)           the noise is added to the whole clip, before it is cut
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from safetensors.torch import load, save

from spira.kernel.errors import Conflict, InvalidInput, Problem
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.noise import AugmentationConfig, add_noise, generated_bank, noise_sides
from spira.training.ports import Recordings, Tell
from spira.voice.decode import SAMPLE_RATE, FloatArray, decode
from spira.voice.features import Features, FeatureSettings, bins, frames, prepare
from spira.voice.segment import WindowSettings, count

CLEAN = 0
"""Version 0 of a recording is the recording; versions from 1 on carry noise."""
_SHARD_RECORDINGS = 512
_HELD_BYTES = 2**28
"""Features, of all versions together, that are held before they are handed on."""


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """What decides the features of a cohort."""

    windows: WindowSettings
    features: FeatureSettings
    augmentation: AugmentationConfig
    seed: int


def compute_shards(
    cohort: Cohort,
    request: FeatureRequest,
    *,
    recordings: Recordings,
    tell: Tell,
    threads: int = 2,
    piece: int = 0,
    pieces: int = 1,
) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the shards, each with one version of up to 512 recordings, of one of `pieces` of the cohort.

    A shard is a safetensors file: `values` float32 [w, T, F], `mask` bool [w, T], `recording` int64 [w] (index into
    the cohort). The clean version is always there: validation needs it. Names are unique over all pieces; a piece
    of more pieces than recordings may be empty. Raises Conflict when a recording changed since it was checked.
    The bits of a recording's windows depend neither on pieces and threads nor on the order of the manifest.
    """
    torch.set_num_threads(1)
    mine = piece_of(len(cohort.recordings), piece, pieces)
    bank = _noise_bank(cohort, request, recordings=recordings) if mine else []
    size = _recordings_at_once(cohort, request)
    for start in range(mine.start, mine.stop, size):
        indexes = range(start, min(start + size, mine.stop))
        by_recording = []
        with ThreadPoolExecutor(threads) as pool:
            for one in pool.map(
                lambda index: _all_versions(cohort.recordings[index], request, bank, recordings), indexes
            ):
                by_recording.append(one)
                tell(start - mine.start + len(by_recording), len(mine))
        for version in range(len(by_recording[0])):
            shard = _shard(indexes, [versions[version] for versions in by_recording])
            yield f"version-{version:02d}-{start:07d}.safetensors", shard


def piece_of(count: int, piece: int, pieces: int) -> range:
    """Indexes of one of `pieces` pieces of `count` recordings: neighbours, and as many in each, give or take one."""
    return range(count * piece // pieces, count * (piece + 1) // pieces)


def assemble(shards: Sequence[bytes]) -> dict[str, torch.Tensor]:
    """Shards of one version, joined: `values`, `mask`, `recording`."""
    parts = [load(shard) for shard in shards]
    return {name: torch.cat([part[name] for part in parts]) for name in ("values", "mask", "recording")}


def version_of(name: str) -> int:
    """The version that a shard's name tells."""
    return int(name.split("-")[1])


def _noise_bank(cohort: Cohort, request: FeatureRequest, *, recordings: Recordings) -> list[FloatArray]:
    if request.augmentation.variants == 0:
        return []
    if not cohort.noise:
        return generated_bank(seed=request.seed) if request.augmentation.generated else []
    kinds = request.augmentation.kinds
    training, _ = noise_sides(cohort.noise)  # the other side is what the evaluation adds
    clips = [one for one in training if not kinds or one.kind in kinds]
    if not clips:
        there = ", ".join(sorted({one.kind for one in training}))
        what = f"leaves no noise for training of kind {', '.join(kinds)}"
        raise InvalidInput.of([Problem(where="augmentation.kinds", what=what, hint=f"there is {there}")])
    return [_clip(one.location, one.sha256, recordings) for one in clips]


def _recordings_at_once(cohort: Cohort, request: FeatureRequest) -> int:
    longest = max((one.duration_s for one in cohort.recordings), default=0.0)
    windows = count(max(1, round(longest * SAMPLE_RATE)), request.windows)
    values = windows * frames(request.features, request.windows.window) * bins(request.features)
    held = values * torch.float32.itemsize * (1 + request.augmentation.variants)
    return max(1, min(_SHARD_RECORDINGS, _HELD_BYTES // held))


def _clip(location: str, sha256: str, recordings: Recordings) -> FloatArray:
    data = recordings.read(location)
    if sha256_hex(data) != sha256:
        raise Conflict(f"{location} changed since it was checked; run again from step validate")
    return decode(data, name=location)


def _all_versions(
    one: Recording, request: FeatureRequest, bank: Sequence[FloatArray], recordings: Recordings
) -> list[Features]:
    clip = _clip(one.location, one.sha256, recordings)
    insertions = request.augmentation.insertions_of(one.label)
    identity = int(one.sha256[:15], 16)
    noisy = (
        add_noise(clip, bank, request.augmentation, seed=(request.seed, version, identity), insertions=insertions)
        for version in range(1, 1 + request.augmentation.variants)
    )
    try:
        clean = prepare(clip, request.windows, request.features)
        if not bank:
            return [clean]
        if insertions == 0:
            return [clean] * (1 + request.augmentation.variants)
        return [clean, *(prepare(samples, request.windows, request.features) for samples in noisy)]
    except InvalidInput as error:
        where = f"row {one.row} of the data set"
        raise InvalidInput(f"{where} does not fit windows and features: {error}", problems=error.problems) from error


def _shard(indexes: Sequence[int], features: Sequence[Features]) -> bytes:
    counts = torch.tensor([len(one) for one in features])
    return save(
        {
            "values": torch.cat([one.values for one in features]).contiguous(),
            "mask": torch.cat([one.mask for one in features]).contiguous(),
            "recording": torch.repeat_interleave(torch.tensor(list(indexes)), counts),
        }
    )

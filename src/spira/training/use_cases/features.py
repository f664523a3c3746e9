"""Recordings to features: once clean, and `variants` times with noise that no label decides. Kept as shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from safetensors.torch import load, save

from spira.kernel.errors import Conflict, InvalidInput
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.noise import AugmentationConfig, add_noise, generated_bank
from spira.training.ports import Recordings, Tell
from spira.voice.decode import FloatArray, decode
from spira.voice.features import Features, FeatureSettings, prepare
from spira.voice.segment import WindowSettings

CLEAN = 0
"""Version 0 of a recording is the recording; versions from 1 on carry noise."""
_SHARD_RECORDINGS = 512


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """What decides the features of a cohort."""

    windows: WindowSettings
    features: FeatureSettings
    augmentation: AugmentationConfig
    seed: int


def compute_shards(
    cohort: Cohort, request: FeatureRequest, *, recordings: Recordings, tell: Tell, threads: int = 2
) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the shards, each with one version of up to 512 recordings.

    A shard is a safetensors file: `values` float32 [w, T, F], `mask` bool [w, T], `recording` int64 [w] (index into
    the cohort). The clean version is always there: validation needs it. Raises Conflict when a recording changed
    since it was checked. Bits depend neither on the number of threads nor on the order of the manifest.
    """
    torch.set_num_threads(1)
    bank = _noise_bank(cohort, request, recordings=recordings)
    for start in range(0, len(cohort.recordings), _SHARD_RECORDINGS):
        indexes = range(start, min(start + _SHARD_RECORDINGS, len(cohort.recordings)))
        by_recording = []
        with ThreadPoolExecutor(threads) as pool:
            for one in pool.map(
                lambda index: _all_versions(cohort.recordings[index], request, bank, recordings), indexes
            ):
                by_recording.append(one)
                tell(start + len(by_recording), len(cohort.recordings))
        for version in range(len(by_recording[0])):
            shard = _shard(indexes, [versions[version] for versions in by_recording])
            yield f"version-{version:02d}-{start:07d}.safetensors", shard


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
    kinds = request.augmentation.kinds
    clips = [one for one in cohort.noise if not kinds or one.kind in kinds]
    bank = [_clip(one.location, one.sha256, recordings) for one in clips]
    return bank or (generated_bank(seed=request.seed) if request.augmentation.generated else [])


def _clip(location: str, sha256: str, recordings: Recordings) -> FloatArray:
    data = recordings.read(location)
    if sha256_hex(data) != sha256:
        raise Conflict(f"{location} changed since it was checked; run again from step validate")
    return decode(data, name=location)


def _all_versions(
    one: Recording, request: FeatureRequest, bank: Sequence[FloatArray], recordings: Recordings
) -> list[Features]:
    clip = _clip(one.location, one.sha256, recordings)
    identity = int(one.sha256[:15], 16)
    noisy = (
        add_noise(clip, bank, request.augmentation, seed=(request.seed, version, identity))
        for version in range(1, 1 + request.augmentation.variants)
        if bank
    )
    try:
        return [prepare(samples, request.windows, request.features) for samples in (clip, *noisy)]
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

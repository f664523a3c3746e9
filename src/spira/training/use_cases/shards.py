"""Features as a fit reads them: out of files on this machine, one recording at a time, whatever the data set's size.

A shard is a safetensors file (https://huggingface.co/docs/safetensors, "Format"): eight bytes with the length of a
JSON header, the header, then the tensors' bytes. It is mapped into memory, the rows that are asked for are copied
out, and their pages are given back, so that what a process holds is its batch and not what it has ever seen.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from spira.kernel.errors import InvalidInput, NotFound, Problem

_TYPES: Mapping[str, tuple[str, type[np.generic]]] = {
    "values": ("F32", np.float32),
    "mask": ("BOOL", np.bool_),
    "recording": ("I64", np.int64),
}


class Shards:
    """All versions of all recordings' features; version 0 is clean, see `spira.training.use_cases.features`.

    Opens each file once, when made; of the features only `recording` is read then. Raises InvalidInput when a file is
    no shard, when files hold windows of different shape, or when a recording of a version is in two places.
    """

    def __init__(self, files: Mapping[int, Sequence[Path]]) -> None:
        self._shards: list[_Shard] = []
        self._places: dict[tuple[int, int], _Place] = {}
        try:
            for version, paths in sorted(files.items()):
                for path in paths:
                    self._add(version, path)
            self.frames, self.bins = self._shape()
        except BaseException:
            self.close()
            raise
        self.versions = tuple(sorted({version for version, _ in self._places}))
        self.recordings = tuple(sorted({recording for _, recording in self._places}))

    def windows(self, recording: int, version: int) -> tuple[Tensor, Tensor]:
        """Copies of one recording's windows: `values` float32 [w, T, F], `mask` bool [w, T]. Raises NotFound."""
        place = self._place(recording, version)
        return place.shard.rows(place.start, place.count)

    def count(self, recording: int, version: int = 0) -> int:
        """How many windows `windows` gives; reads nothing. Raises NotFound."""
        return self._place(recording, version).count

    def close(self) -> None:
        """Lets the files go; what was copied out stays."""
        for shard in self._shards:
            shard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _add(self, version: int, path: Path) -> None:
        shard = _Shard(path)
        self._shards.append(shard)
        for recording, start, count in _runs(shard.recordings()):
            if (version, recording) in self._places:
                what = f"holds recording {recording} of version {version}, which is in another place too"
                raise InvalidInput.of([Problem(where=path.name, what=what, hint="compute the features again")])
            self._places[version, recording] = _Place(shard=shard, start=start, count=count)

    def _shape(self) -> tuple[int, int]:
        shapes = {shard.shape for shard in self._shards}
        if len(shapes) != 1:
            what = "there are none" if not shapes else f"windows of different shape: {sorted(shapes)}"
            raise InvalidInput.of([Problem(where="features", what=what, hint="compute the features again")])
        return shapes.pop()

    def _place(self, recording: int, version: int) -> _Place:
        try:
            return self._places[version, recording]
        except KeyError:
            raise NotFound(f"no features of recording {recording} in version {version}") from None


@dataclass(frozen=True, kw_only=True)
class _Place:
    shard: _Shard
    start: int
    count: int


class _Shard:
    """One mapped file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise NotFound(f"shard {path.name} does not exist") from error
        except ValueError as error:  # what an empty file raises
            raise self._damaged("is empty") from error
        try:
            self._offsets, self._shapes = self._header()
        except BaseException:
            self._map.close()
            raise

    @property
    def shape(self) -> tuple[int, int]:
        """Frames and bins of a window."""
        return self._shapes["values"][1], self._shapes["values"][2]

    def recordings(self) -> npt.NDArray[np.int64]:
        """Which recording each window is of."""
        return self._copied("recording", 0, self._shapes["recording"][0]).astype(np.int64, copy=False)

    def rows(self, start: int, count: int) -> tuple[Tensor, Tensor]:
        values, mask = (torch.from_numpy(self._copied(name, start, count)) for name in ("values", "mask"))
        return values, mask

    def close(self) -> None:
        self._map.close()

    def _copied(self, name: str, start: int, count: int) -> npt.NDArray[Any]:
        kind, rest = np.dtype(_TYPES[name][1]), self._shapes[name][1:]
        width = int(np.prod(rest, dtype=np.int64))
        offset = self._offsets[name] + start * width * kind.itemsize
        flat = np.frombuffer(self._map, kind, count=count * width, offset=offset).copy()
        self._map.madvise(mmap.MADV_DONTNEED)  # all of it: a fault maps pages far around the one it was for
        return flat.reshape(count, *rest)

    def _header(self) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
        """Where each tensor begins in the file, and its shape."""
        try:
            body = 8 + int.from_bytes(self._map[:8], "little")
            entries = {name: json.loads(self._map[8:body])[name] for name in _TYPES}
            ends = {name: body + entry["data_offsets"][1] for name, entry in entries.items()}
            shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
            offsets = {name: body + entry["data_offsets"][0] for name, entry in entries.items()}
            types = {name: entry["dtype"] for name, entry in entries.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged("is no file of features") from error
        if types != {name: kind for name, (kind, _) in _TYPES.items()} or [len(shapes[n]) for n in _TYPES] != [3, 2, 1]:
            raise self._damaged("holds other tensors than features")
        if max(ends.values()) > len(self._map) or len({shape[0] for shape in shapes.values()}) != 1:
            raise self._damaged("is cut off")
        return offsets, shapes

    def _damaged(self, what: str) -> InvalidInput:
        return InvalidInput.of([Problem(where=self._path.name, what=what, hint="compute the features again")])


def _runs(recordings: npt.NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Recording, first row and number of rows of each stretch of equal numbers."""
    starts = np.flatnonzero(np.diff(recordings, prepend=-1))
    counts = np.diff(starts, append=len(recordings))
    return [
        (int(recording), int(start), int(count))
        for recording, start, count in zip(recordings[starts], starts, counts, strict=True)
    ]

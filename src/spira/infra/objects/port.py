"""The role of the object store, its keys and its references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from spira.kernel.errors import InvalidInput, Problem

_SEGMENT = re.compile(r"[A-Za-z0-9_=@+-][A-Za-z0-9._=@+-]*")
MAX_KEY_BYTES = 512


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """What is known of a stored object without reading it."""

    key: str
    size: int


@dataclass(frozen=True, kw_only=True)
class StoredObject(ObjectInfo):
    """What a put tells: the digest was computed from the bytes that were sent."""

    sha256: str


class Objects(Protocol):
    """Whole blobs by key.

    An object appears completely or not at all: a writer that dies at any point leaves nothing visible under
    the key, and readers see either the old bytes or the new ones. Keys are `/`-separated segments of
    letters, digits and `._=@+-`, no segment starts with a dot; where `a` is an object, `a/b` can't be one in every
    store, so don't (Conflict where the store can tell). Puts are durable when they return.
    Every method may raise Unavailable; a full disk or bucket is Unavailable too.
    """

    def put(self, key: str, data: bytes | BinaryIO | Path, *, if_absent: bool = False) -> StoredObject:
        """Store bytes, a readable stream or a file's content under `key`.

        With `if_absent` raises Conflict when the key exists; of several contenders exactly one succeeds.
        """
        ...

    def get(self, key: str) -> bytes:
        """All bytes; raises NotFound."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream to read and close; raises NotFound at once, not at the first read."""
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Raises NotFound."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix`, in the order of their keys."""
        ...

    def delete(self, key: str) -> None:
        """After this the key does not exist; deleting nothing is no error."""
        ...


@runtime_checkable
class ObjectsAsFiles(Protocol):
    """What a store has besides when its objects are files of this machine."""

    def path(self, key: str) -> Path:
        """Where the object lies, or would lie; the file is the store's, to be read only."""
        ...


def check_key(key: str) -> str:
    """Gives `key` back; raises InvalidInput when it could escape, hide or collide in some store."""
    if len(key.encode()) > MAX_KEY_BYTES or not all(_SEGMENT.fullmatch(part) for part in key.split("/")):
        raise InvalidInput.of([Problem(where="key", what=f"{key[:80]!r} is not a valid object key")])
    return key

"""Objects as files of one folder; the path below the folder is the key."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from spira.infra.objects.port import ObjectInfo, StoredObject, check_key
from spira.infra.objects.sources import reading
from spira.kernel.errors import Conflict, NotFound, Unavailable
from spira.kernel.ids import new_id

CHUNK_BYTES = 1 << 20
LEFTOVER_AGE_S = 24 * 3600.0
"""A temporary file that nobody has written to for so long belongs to a writer that died."""


class FileObjects:
    """Writes go to a hidden folder of the same filesystem, are synchronised, and then get their name in one step.

    A key can't be both an object and the parent of another one (`a` and `a/b`): Conflict.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / ".incoming"
        self._swept = False

    def put(self, key: str, data: bytes | BinaryIO | Path, *, if_absent: bool = False) -> StoredObject:
        target = self._path(key)
        self._sweep_once()
        with reading(data) as source, self._staged() as (temporary, sink):
            size, sha256 = _copy(source, sink)
            with _told_as_unavailable(key):
                sink.flush()
                os.fsync(sink.fileno())
                self._name(temporary, target, key=key, if_absent=if_absent)
        return StoredObject(key=key, size=size, sha256=sha256)

    def get(self, key: str) -> bytes:
        with self.open(key) as stream, _told_as_unavailable(key):
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        with _told_as_unavailable(key):
            return self._path(key).open("rb")

    def stat(self, key: str) -> ObjectInfo:
        path = self._path(key)
        with _told_as_unavailable(key):
            if path.is_dir():
                raise NotFound(f"object {key!r} does not exist")
            return ObjectInfo(key=key, size=path.stat().st_size)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        parent = prefix.rpartition("/")[0]
        if any(part.startswith(".") or not part for part in parent.split("/") if parent):
            return
        yield from _walk(self._root / parent, f"{parent}/" if parent else "", prefix)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with suppress(NotFound), _told_as_unavailable(key):
            path.unlink()
            _sync_folder(path.parent)
        with suppress(OSError):  # folders that still hold something stay
            for folder in path.parents:
                if folder == self._root:
                    break
                folder.rmdir()

    def path(self, key: str) -> Path:
        return self._path(key)

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    @contextmanager
    def _staged(self) -> Iterator[tuple[Path, BinaryIO]]:
        temporary = self._staging / new_id()
        with _told_as_unavailable("a temporary file"):
            _make_folder(self._staging)
            sink = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        try:
            yield temporary, sink
        finally:
            with suppress(OSError):  # a full disk fails here again; it has been told already
                sink.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @staticmethod
    def _name(temporary: Path, target: Path, *, key: str, if_absent: bool) -> None:
        while True:
            try:
                _make_folder(target.parent)
                if if_absent:
                    os.link(temporary, target)  # unlike a rename it fails when the name is taken
                else:
                    temporary.replace(target)
                return _sync_folder(target.parent)
            except FileNotFoundError:
                continue  # a delete removed the empty folder between the two steps
            except FileExistsError as error:
                raise Conflict(f"object {key!r} exists already") from error
            except (IsADirectoryError, NotADirectoryError) as error:
                message = f"object {key!r} collides with another: a key can't be an object and a parent of objects"
                raise Conflict(message) from error

    def _sweep_once(self) -> None:
        if self._swept:
            return
        self._swept = True
        oldest = time.time() - LEFTOVER_AGE_S
        with suppress(OSError):  # tidying is no reason to refuse a put
            for leftover in self._staging.iterdir():
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink(missing_ok=True)


def _copy(source: BinaryIO, sink: BinaryIO) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        with _told_as_unavailable("a temporary file"):
            sink.write(chunk)
        size += len(chunk)
        digest.update(chunk)
    return size, digest.hexdigest()


def _walk(folder: Path, above: str, prefix: str) -> Iterator[ObjectInfo]:
    try:
        with os.scandir(folder) as found:
            entries = [(f"{above}{e.name}/" if e.is_dir() else f"{above}{e.name}", e) for e in found]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Unavailable(f"objects below {above!r} can't be listed: {error.strerror}") from error
    for key, entry in sorted(entries, key=lambda pair: pair[0]):
        if entry.name.startswith(".") or not (key.startswith(prefix) or prefix.startswith(key)):
            continue
        if key.endswith("/"):
            yield from _walk(folder / entry.name, key, prefix)
        elif key.startswith(prefix):
            with suppress(FileNotFoundError):  # deleted meanwhile
                yield ObjectInfo(key=key, size=entry.stat().st_size)


def _make_folder(folder: Path) -> None:
    """With its parents, each durable in its own parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told_as_unavailable(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFound(f"object {key!r} does not exist") from error
    except OSError as error:
        raise Unavailable(f"object store failed on {key!r}: {error.strerror}; nothing was changed") from error

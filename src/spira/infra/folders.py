"""Folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spira.kernel.errors import Conflict, Unavailable
from spira.kernel.ids import new_id


@contextmanager
def appearing_whole(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder next to `target`; when the block ends well it becomes `target`, else it goes away.

    A killed process leaves at most a `.NAME.….part` folder, never a half-filled `target`. Raises Conflict when
    `target` exists and holds something (unless `replace`), Unavailable when the disk is full or refuses.
    """
    target = target.absolute()
    if not replace and _holds_something(target):
        raise Conflict(f"{target} exists already; choose another folder or remove it")
    part = target.with_name(f".{target.name}.{new_id()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        _become(part, target, replace=replace)
    except OSError as error:
        raise Unavailable(f"{target} could not be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _become(part: Path, target: Path, *, replace: bool) -> None:
    for file in part.rglob("*"):
        if file.is_file():
            _flush(file)
    old = part.with_suffix(".old")
    if replace and target.exists():
        target.rename(old)
    try:
        part.rename(target)  # over an empty folder is allowed, over a full one is not
    except OSError:
        if old.exists():
            old.rename(target)
        if _holds_something(target):
            raise Conflict(f"{target} was made by somebody else meanwhile; look at it, then run again") from None
        raise
    shutil.rmtree(old, ignore_errors=True)


def _holds_something(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

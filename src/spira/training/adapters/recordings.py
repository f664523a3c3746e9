"""Recordings by location: files of this machine, and objects of an S3 bucket."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import NotFound, Unavailable


class LocatedRecordings:
    """`/absolute/path`, `file:/path` or `s3://BUCKET/KEY`; implements the port `Recordings`."""

    def read(self, location: str) -> bytes:
        if location.startswith("s3:"):
            bucket, _, key = location.removeprefix("s3://").partition("/")
            return _bucket(bucket).get(key)
        try:
            return existing(location).read_bytes()
        except OSError as error:
            raise Unavailable(f"{location} can't be read: {error.strerror}") from error

    def fingerprint(self, location: str) -> str:
        """Something that changes when the bytes do, without reading them; empty when there is nothing."""
        try:
            if location.startswith("s3:"):
                bucket, _, key = location.removeprefix("s3://").partition("/")
                return str(_bucket(bucket).stat(key).size)
            status = existing(location).stat()
        except NotFound:
            return ""
        return f"{status.st_size}.{status.st_mtime_ns}"


def existing(location: str) -> Path:
    """The file at `location`; a name that an old system wrote in Latin-1 is found too. Raises NotFound."""
    path = Path(location.removeprefix("file://").removeprefix("file:"))
    if path.is_file():
        return path
    try:
        old = Path(os.fsdecode(str(path).encode("latin-1")))
    except UnicodeEncodeError:
        old = path
    if old.is_file():
        return old
    raise NotFound(f"{location} does not exist")


@lru_cache(maxsize=8)
def _bucket(name: str) -> Objects:
    return open_objects(f"s3://{name}")

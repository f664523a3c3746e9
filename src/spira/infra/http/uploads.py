"""Multipart parts that are hashed and limited while they stream in; a big one waits on disk, not in memory."""

from __future__ import annotations

import hashlib
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from flask import Flask, Request
from werkzeug.datastructures import FileStorage

IN_MEMORY_BYTES = 256 * 1024


class HashedPart(SpooledTemporaryFile[bytes]):
    """The bytes of one part. Past `limit` it only counts, so that the caller can still name the field at fault."""

    def __init__(self, *, limit: int) -> None:
        super().__init__(max_size=IN_MEMORY_BYTES)
        self.limit = limit
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def too_large(self) -> bool:
        return self.size > self.limit

    @property
    def sha256(self) -> str:
        """Of everything that was written."""
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        self.size += len(data)
        if not self.too_large:
            self._digest.update(data)
            super().write(data)
        return len(data)


def install(app: Flask, *, max_part_bytes: int) -> None:
    """Every file part that `app` receives becomes a `HashedPart`."""

    class StreamingRequest(Request):
        def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
            part = HashedPart(limit=max_part_bytes)
            self.__dict__.setdefault("parts", []).append(part)
            return part

        def close(self) -> None:  # Flask calls it when the request ends, also one that was cut off in a part
            for part in self.__dict__.pop("parts", []):
                part.close()
            super().close()

    app.request_class = StreamingRequest


def part_of(file: FileStorage) -> HashedPart:
    """The part behind a file of `request.files`."""
    return cast(HashedPart, file.stream)

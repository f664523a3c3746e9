"""What a put takes, as one readable stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from spira.kernel.errors import InvalidInput, Problem


@contextmanager
def reading(data: bytes | BinaryIO | Path) -> Iterator[BinaryIO]:
    """A caller's stream stays open; a file is opened and closed. Raises InvalidInput when a file can't be read."""
    if isinstance(data, bytes):
        yield BytesIO(data)
    elif isinstance(data, Path):
        try:
            stream = data.open("rb")
        except OSError as error:
            raise InvalidInput.of([Problem(where=str(data), what=f"can't be read: {error.strerror}")]) from error
        with stream:
            yield stream
    else:
        yield data

"""Identifiers and digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import uuid_utils

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """A UUIDv7 (RFC 9562): unique without coordination, and sorted by the time it was made."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Whether `text` has the form that `new_id` gives."""
    return _ID.fullmatch(text) is not None


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_stream(chunks: Iterable[bytes]) -> str:
    """SHA-256 over `chunks` in order, without holding them together."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()

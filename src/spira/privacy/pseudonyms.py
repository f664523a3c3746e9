"""Pseudonyms: what stands for a participant in every manifest, message, log and object name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from spira.kernel.errors import InvalidInput, Problem

MIN_KEY_BYTES = 16
_PSEUDONYM = re.compile(r"p-[a-z2-7]{26}")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Pseudonyms:
    """Keyed pseudonyms: HMAC-SHA256 (RFC 2104) cut to 128 bits.

    One person has one pseudonym per key and project; without the key nobody can tell which, not even by trying
    all identifiers. Different projects can't be joined on them.
    """

    def __init__(self, key: bytes, project: str) -> None:
        """Raises InvalidInput when the key is shorter than 16 bytes or the project's name is malformed."""
        problems = []
        if len(key) < MIN_KEY_BYTES:
            problems.append(Problem(where="key", what=f"has {len(key)} bytes", hint=f"at least {MIN_KEY_BYTES}"))
        if _PROJECT.fullmatch(project) is None:
            problems.append(Problem(where="project", what=f"{project[:80]!r} must match {_PROJECT.pattern}"))
        if problems:
            raise InvalidInput.of(problems)
        self._key = hmac.digest(key, b"spira pseudonyms\0" + project.encode(), hashlib.sha256)

    def participant(self, raw: str) -> str:
        """`p-` and 26 characters of a–z and 2–7, the same for the same `raw` (blanks around it don't count).

        Raises InvalidInput when `raw` is empty.
        """
        identifier = raw.strip()
        if not identifier:
            raise InvalidInput.of([Problem(where="participant_id", what="is empty")])
        digest = hmac.digest(self._key, identifier.encode(), hashlib.sha256)[:16]
        return "p-" + base64.b32encode(digest).decode().rstrip("=").lower()

    def __repr__(self) -> str:
        return "Pseudonyms(key hidden)"


def is_pseudonym(text: str) -> bool:
    """Whether `text` has the form of a pseudonym; says nothing about its key."""
    return _PSEUDONYM.fullmatch(text) is not None

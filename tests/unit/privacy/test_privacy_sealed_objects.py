"""Sealed objects: what reaches the store went through the cipher."""

from __future__ import annotations

from pathlib import Path

import pytest

from spira.infra.stores import open_objects
from spira.kernel.errors import Conflict, NotFound
from spira.privacy.sealed_objects import IdentityCipher, SealedObjects


class Reversing:
    """A cipher that can be seen to have worked."""

    def encrypt(self, subject: str, data: bytes) -> bytes:
        return subject.encode() + b":" + data[::-1]

    def decrypt(self, subject: str, data: bytes) -> bytes:
        return data.removeprefix(subject.encode() + b":")[::-1]


def test_the_store_holds_what_the_cipher_gave(tmp_path: Path) -> None:
    plain = open_objects(f"file:{tmp_path}")
    sealed = SealedObjects(plain, Reversing())

    stored = sealed.put("a/b", b"voice", subject="p-1")

    assert plain.get("a/b") == b"p-1:eciov"
    assert sealed.get("a/b", subject="p-1") == b"voice"
    assert stored.size == sealed.stat("a/b").size == 9
    assert [found.key for found in sealed.list("a/")] == ["a/b"]


def test_the_rules_of_the_store_hold(tmp_path: Path) -> None:
    sealed = SealedObjects(open_objects(f"file:{tmp_path}"), IdentityCipher())
    sealed.put("a", b"x", subject="p-1", if_absent=True)

    with pytest.raises(Conflict):
        sealed.put("a", b"y", subject="p-1", if_absent=True)
    sealed.delete("a")

    with pytest.raises(NotFound):
        sealed.get("a", subject="p-1")

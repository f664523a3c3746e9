"""Encryption at the objects' edge: what is stored about a person is sealed under that person's key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from spira.infra.objects.port import ObjectInfo, Objects, StoredObject


class ObjectCipher(Protocol):
    """Seals and opens whole blobs under the key of a subject (a pseudonym, an inference id).

    `decrypt(subject, encrypt(subject, data)) == data`. With an erased key `decrypt` raises NotFound; what was
    changed or sealed for another subject raises InvalidInput.
    """

    def encrypt(self, subject: str, data: bytes) -> bytes: ...

    def decrypt(self, subject: str, data: bytes) -> bytes: ...


class IdentityCipher:
    """Leaves the bytes as they are: for stores without personal data, and until keys are configured."""

    def encrypt(self, subject: str, data: bytes) -> bytes:  # noqa: ARG002  # the role's signature
        return data

    def decrypt(self, subject: str, data: bytes) -> bytes:  # noqa: ARG002  # the role's signature
        return data


class SealedObjects:
    """Objects of subjects. Sizes and digests that it gives are those of the stored, sealed bytes."""

    def __init__(self, objects: Objects, cipher: ObjectCipher) -> None:
        self._objects = objects
        self._cipher = cipher

    def put(self, key: str, data: bytes, *, subject: str, if_absent: bool = False) -> StoredObject:
        """Raises Conflict as `Objects.put` does."""
        return self._objects.put(key, self._cipher.encrypt(subject, data), if_absent=if_absent)

    def get(self, key: str, *, subject: str) -> bytes:
        """Raises NotFound when there is no object, or no key any more."""
        return self._cipher.decrypt(subject, self._objects.get(key))

    def stat(self, key: str) -> ObjectInfo:
        """Raises NotFound."""
        return self._objects.stat(key)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """In the order of keys."""
        return self._objects.list(prefix)

    def delete(self, key: str) -> None:
        """Deleting nothing is no error."""
        self._objects.delete(key)

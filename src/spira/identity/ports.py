"""Roles that identity needs from outside, and the collections it keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from spira.identity.core import AccessToken, User
from spira.infra.documents.port import Collection

USERS = Collection(name="users", unique=(("username",), ("email",)), indexed=("hospital_id",))
HOSPITALS = Collection(name="hospitals", unique=(("name",),))
ATTEMPTS = Collection(name="sign_in_attempts")
COLLECTIONS = (USERS, HOSPITALS, ATTEMPTS)


class Passwords(Protocol):
    """One-way hashes of passwords."""

    def hash(self, password: str) -> str:
        """A salted hash with its parameters; different at each call."""
        ...

    def matches(self, password: str, hashed: str | None) -> bool:
        """Whether `hashed` was made from `password`. None (no such user) costs the same time and is False."""
        ...


TokenIssuer = Callable[[User], AccessToken]
"""Makes a short-lived signed token that names the user's id, role and hospital."""

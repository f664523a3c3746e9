"""Signing in: the same answer in the same time for a wrong password and for nobody, and not too often."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from spira.identity.core import AccessToken, Credentials, User
from spira.identity.ports import ATTEMPTS, USERS, Passwords, TokenIssuer
from spira.infra.documents.port import Document, Documents, update
from spira.kernel.clock import Clock, from_text, to_text
from spira.kernel.errors import Conflict, NotFound, Throttled, Unauthenticated
from spira.kernel.ids import sha256_hex


@dataclass(frozen=True, kw_only=True)
class ThrottleRules:
    """How many failures within `window` are taken before the door stays shut until the window ends."""

    per_user_and_address: int = 5
    per_address: int = 100
    window: timedelta = timedelta(minutes=15)


def sign_in(
    credentials: Credentials,
    *,
    address: str,
    documents: Documents,
    passwords: Passwords,
    issue: TokenIssuer,
    clock: Clock,
    rules: ThrottleRules = ThrottleRules(),
) -> tuple[User, AccessToken]:
    """The user and a token. Raises Unauthenticated, or Throttled after too many failures.

    Failures count per user name and network address, known user or not, and per address.
    """
    keys = {
        _key(credentials.username, address): rules.per_user_and_address,
        _key("", address): rules.per_address,
    }
    now = clock()
    for key, limit in keys.items():
        _refuse_when_over(key, limit, documents=documents, now=now, window=rules.window)
    user = _find(credentials.username, documents=documents)
    if not passwords.matches(credentials.password, user.password_hash if user else None) or user is None:
        for key in keys:
            _count_failure(key, documents=documents, now=now, window=rules.window)
        raise Unauthenticated("username or password is wrong")
    documents.delete(ATTEMPTS.name, _key(credentials.username, address))
    return user, issue(user)


def _find(username: str, *, documents: Documents) -> User | None:
    found = documents.find(USERS.name, {"username": username, "active": True}, limit=1)
    return User.model_validate(found[0]) if found else None


def _key(username: str, address: str) -> str:
    """Counters carry no names: whoever reads the store learns nobody's attempts."""
    return sha256_hex(f"{username}\0{address}".encode())


def _refuse_when_over(key: str, limit: int, *, documents: Documents, now: datetime, window: timedelta) -> None:
    try:
        counter = documents.get(ATTEMPTS.name, key)
    except NotFound:
        return
    left = from_text(counter["since"]) + window - now
    if counter["failures"] >= limit and left > timedelta(0):
        raise Throttled("too many failed sign-ins; wait, then try again", retry_after_s=left.total_seconds())


def _count_failure(key: str, *, documents: Documents, now: datetime, window: timedelta) -> None:
    def count(counter: Document) -> dict[str, Any]:
        over = from_text(counter["since"]) + window <= now
        return (
            {**counter, "failures": 1, "since": to_text(now)}
            if over
            else {**counter, "failures": counter["failures"] + 1}
        )

    try:
        documents.insert(ATTEMPTS.name, {"id": key, "failures": 1, "since": to_text(now)})
    except Conflict:
        update(documents, ATTEMPTS.name, key, count)

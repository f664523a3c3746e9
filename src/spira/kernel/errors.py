"""One tree of errors, by what the caller can do about them.

    SpiraError
    ├── InvalidInput        mend what you sent; `problems` names each field, row or file
    ├── NotFound            ask for something that exists
    ├── Conflict            somebody was faster, or it exists already: read again, then decide
    ├── Forbidden           ask somebody who may
    │   └── Unauthenticated say who you are first
    └── Unavailable         try again later; nothing was half done
        └── Throttled       too much at once; `retry_after_s` says when

One table per entry point turns a branch into an HTTP status, an exit code, a retry or a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with an input: `where` (a field, row or file), `what`, and the way out."""

    where: str
    what: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f" ({self.hint})" if self.hint else "")


class SpiraError(Exception):
    """Every error that a caller is expected to handle."""


class InvalidInput(SpiraError):
    """The caller sent something that can't be accepted; all known problems are told at once."""

    def __init__(self, message: str, *, problems: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(message)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> InvalidInput:
        found = tuple(problems)
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return cls(f"{found[0]}{more}", problems=found)


class NotFound(SpiraError):
    """What was asked for does not exist."""


class Conflict(SpiraError):
    """The state is not the one that the caller saw, or a unique key is taken."""


class Forbidden(SpiraError):
    """The caller is known and may not do this."""


class Unauthenticated(Forbidden):
    """The caller's identity is missing, expired or wrong."""


class Unavailable(SpiraError):
    """A store, broker or registry did not answer; the same call may work later."""


class Throttled(Unavailable):
    """The caller asked too often; the same call works after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)

"""Clients of servers, made at their first use and made anew after a fork: sockets and threads don't cross one."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Gives what `make` gave, once per process, to any number of threads.

    It is closed by `close`, when nothing refers to this any more, or when the process ends.
    """

    def __init__(self, make: Callable[[], T], *, close: Callable[[T], object]) -> None:
        self._make = make
        self._close = close
        self._lock = threading.Lock()
        self._made: tuple[int, T] | None = None
        self._end: weakref.finalize[..., PerProcess[T]] | None = None

    def get(self) -> T:
        made = self._made
        if made is not None and made[0] == os.getpid():
            return made[1]
        with self._lock:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._make())
                self._end = weakref.finalize(self, _end, *self._made, self._close)
            return self._made[1]

    def close(self) -> None:
        """The next `get` makes another."""
        with self._lock:
            end, self._made, self._end = self._end, None, None
        if end is not None:
            end()


def _end(pid: int, made: T, close: Callable[[T], object]) -> None:
    if pid == os.getpid():
        close(made)

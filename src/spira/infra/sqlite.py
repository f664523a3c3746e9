"""Connections to one SQLite file, shared by the embedded stores: safe across threads, processes and forks."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spira.kernel.errors import Unavailable

BUSY_S = 30.0
"""How long a writer waits for its turn before it tells that the store is unavailable."""


class SqliteFile:
    """A database file in write-ahead mode with full synchronisation: what was committed survives a power cut.

    Each thread has its own connection. After a fork the child opens new ones: a connection that crosses a fork
    loses its locks and can corrupt the file.
    """

    def __init__(self, path: Path, *, schema: str = "") -> None:
        self._path = path
        self._schema = schema
        self._local = threading.local()
        self._inherited: list[sqlite3.Connection] = []

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One snapshot for all that is read inside."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One atomic, durable change; writers take turns."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close this thread's connection; those of other threads close as their threads end."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid == os.getpid():
            connection.close()
            self._local.connection = None

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connection()
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            message = f"database {self._path} did not answer: {error}"
            raise Unavailable(message) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid == os.getpid():
            return connection
        if connection is not None:
            self._inherited.append(connection)  # closing it here would act on the parent's file
        self._local.connection = self._open()
        self._local.pid = os.getpid()
        return self._local.connection  # type: ignore[no-any-return]  # threading.local is untyped

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot make the folder of {self._path}: {error}") from error
        connection = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if self._schema:
            connection.executescript(f"BEGIN IMMEDIATE; {self._schema} COMMIT;")
        return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """SQLite doesn't wait when two processes switch a new file at once, so that waiting is done here."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)

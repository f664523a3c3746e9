"""A durable log in one SQLite file, for one machine: partitions, consumer groups, leases."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from spira.infra.broker.port import DEFAULT_PARTITIONS, Delivery, Record, check_name
from spira.infra.broker.sqlite_group import Held, Membership
from spira.infra.sqlite import SqliteFile
from spira.kernel.errors import Unavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS logs (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS records (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    key TEXT NOT NULL, value BLOB NOT NULL, headers TEXT NOT NULL,
    PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
    team TEXT NOT NULL, member TEXT NOT NULL, topics TEXT NOT NULL, expires REAL NOT NULL,
    PRIMARY KEY (team, member)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shares (
    team TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
    committed INTEGER NOT NULL DEFAULT 0, owner TEXT, generation INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (team, topic, partition)) WITHOUT ROWID;
"""
"""`team` is the consumer group (GROUP is a word of SQL). `generation` counts the owners that a share has had."""

IDLE_S = 0.02
"""Between two looks at the log while nothing arrives."""


class SqliteBroker:
    """The log is kept for ever; a member's lease is `session_s` long."""

    def __init__(self, path: Path, *, session_s: float = 10.0) -> None:
        self._file = SqliteFile(path, schema=SCHEMA)
        self._session_s = session_s

    def ensure_topic(self, topic: str, *, partitions: int = DEFAULT_PARTITIONS) -> None:
        with self._file.writing() as db:
            _ensure_topic(db, topic, partitions)

    def publish(self, records: Sequence[Record]) -> None:
        with self._file.writing() as db:
            for record in records:
                _append(db, record)

    def subscribe(self, *, group: str, topics: Sequence[str]) -> SqliteConsumer:
        membership = Membership(group=check_name(group), topics=tuple(sorted(set(topics))), session_s=self._session_s)
        consumer = SqliteConsumer(self._file, membership)
        with self._file.writing() as db:
            for topic in membership.topics:
                _ensure_topic(db, topic, DEFAULT_PARTITIONS)
        consumer.keep_alive()
        return consumer

    def lag(self, *, group: str, topic: str) -> int:
        with self._file.reading() as db:
            query = "SELECT total(next_offset) FROM logs WHERE topic = ?"
            written = db.execute(query, (topic,)).fetchone()[0]
            query = "SELECT total(committed) FROM shares WHERE team = ? AND topic = ?"
            done = db.execute(query, (group, topic)).fetchone()[0]
        return int(written - done)

    def close(self) -> None:
        self._file.close()


class SqliteConsumer:
    """A member whose positions live here, and whose lease, shares and commits live in the file."""

    def __init__(self, file: SqliteFile, membership: Membership) -> None:
        self._file = file
        self._membership = membership
        self._positions: dict[Held, int] = {}
        self._turn = 0
        self._closed = False

    def poll(self, *, max_records: int = 100, timeout_s: float = 1.0) -> list[Delivery]:
        deadline = time.monotonic() + timeout_s
        while not self._closed:
            self._follow_group()
            if found := self._take(max_records):
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(IDLE_S, left))
        return []

    def commit(self, deliveries: Iterable[Delivery]) -> None:
        done: dict[tuple[str, int], int] = {}
        for delivery in deliveries:
            place = (delivery.topic, delivery.partition)
            done[place] = max(done.get(place, 0), delivery.offset + 1)
        if not done:
            return
        with self._file.writing() as db:
            for held in self._positions:
                if (held.topic, held.partition) in done:
                    self._membership.commit(db, held, done[held.topic, held.partition])

    def keep_alive(self) -> None:
        if self._closed:
            return
        with self._file.writing() as db:
            if not self._closed:  # a close in another thread may have waited for this turn
                self._membership.renew(db)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._file.writing() as db:
            self._membership.leave(db)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.close()
        except Unavailable:
            if exc[0] is None:
                raise  # else the first error tells more; the lease runs out by itself

    def _follow_group(self) -> None:
        """Writes only when something is due, so that idle members don't disturb each other."""
        with self._file.reading() as db:
            due = self._membership.is_due(db)
        if not due:
            return
        with self._file.writing() as db:
            if self._closed:
                return
            committed = self._membership.rebalance(db)
        self._positions = {held: self._positions.get(held, start) for held, start in committed.items()}

    def _take(self, max_records: int) -> list[Delivery]:
        """Partitions take turns in coming first, so that a long one doesn't starve the others."""
        shares = sorted(self._positions)
        self._turn += 1
        start = self._turn % max(len(shares), 1)
        found: list[Delivery] = []
        with self._file.reading() as db:
            for held in [*shares[start:], *shares[:start]]:
                found += _read(db, held, self._positions[held], max_records - len(found))
        for held in shares:
            mine = [d.offset for d in found if (d.topic, d.partition) == (held.topic, held.partition)]
            self._positions[held] = max([self._positions[held], *(offset + 1 for offset in mine)])
        return found


def _ensure_topic(db: sqlite3.Connection, topic: str, partitions: int) -> None:
    check_name(topic)
    if db.execute("SELECT 1 FROM logs WHERE topic = ?", (topic,)).fetchone() is None:
        db.executemany("INSERT INTO logs (topic, partition) VALUES (?, ?)", [(topic, p) for p in range(partitions)])


def _append(db: sqlite3.Connection, record: Record) -> None:
    _ensure_topic(db, record.topic, DEFAULT_PARTITIONS)
    partitions = db.execute("SELECT count(*) FROM logs WHERE topic = ?", (record.topic,)).fetchone()[0]
    partition = zlib.crc32(record.key.encode()) % partitions
    (offset,) = db.execute(
        "UPDATE logs SET next_offset = next_offset + 1 WHERE topic = ? AND partition = ? RETURNING next_offset - 1",
        (record.topic, partition),
    ).fetchone()
    row = (record.topic, partition, offset, record.key, record.value, json.dumps(dict(record.headers)))
    db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", row)


def _read(db: sqlite3.Connection, held: Held, position: int, limit: int) -> list[Delivery]:
    rows = db.execute(
        "SELECT offset, key, value, headers FROM records"
        " WHERE topic = ? AND partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
        (held.topic, held.partition, position, limit),
    ).fetchall()
    return [
        Delivery(
            topic=held.topic, partition=held.partition, offset=offset, key=key, value=value, headers=json.loads(headers)
        )
        for offset, key, value, headers in rows
    ]

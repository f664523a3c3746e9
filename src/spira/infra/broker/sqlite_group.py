"""Membership of a consumer group kept in the broker's SQLite file: leases, an even assignment, fenced commits.

A partition changes hands in two steps: its owner gives it up at its next poll (or its lease runs out), then the
member that it is meant for takes it. So a batch that was polled is finished by the member that has it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from spira.kernel.ids import new_id

RENEWALS_PER_SESSION = 3


class Held(NamedTuple):
    """A share of the log that this member owns; the generation tells this ownership from earlier ones."""

    topic: str
    partition: int
    generation: int


@dataclass(kw_only=True)
class Membership:
    """One member's view; every method runs inside the caller's transaction."""

    group: str
    topics: tuple[str, ...]
    session_s: float
    member: str = field(default_factory=new_id)
    _renewed: float = float("-inf")

    def is_due(self, db: sqlite3.Connection) -> bool:
        """Whether a lease must be renewed, somebody's ran out, or a share must change hands."""
        now = time.time()
        if not self._renewed <= now < self._renewed + self.session_s / RENEWALS_PER_SESSION:
            return True
        members = _members(db, self.group)
        if self.member not in members or any(expires < now for _, expires in members.values()):
            return True
        meant, owned = _meant(db, members), _owned(db, self.group)
        for place, member in meant.items():
            owner = owned.get(place)
            if owner == self.member != member or (owner is None and member == self.member):
                return True
        return False

    def renew(self, db: sqlite3.Connection) -> None:
        """Make or prolong this member's lease."""
        now = time.time()
        db.execute("DELETE FROM members WHERE team = ? AND expires < ?", (self.group, now))
        members = _members(db, self.group)
        for place, owner in _owned(db, self.group).items():
            if owner is not None and owner not in members:
                self._set_owner(db, place, None)
        row = (self.group, self.member, json.dumps(self.topics), now + self.session_s)
        db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)", row)
        # a member that had lost its lease must look at its shares before it takes anything
        self._renewed = now if self.member in members else float("-inf")

    def rebalance(self, db: sqlite3.Connection) -> dict[Held, int]:
        """Give up what is meant for others, take what is free and meant for this member.

        Gives all that it owns now, each with the offset from which the group is not done.
        """
        self.renew(db)
        self._renewed = time.time()
        meant, owned = _meant(db, _members(db, self.group)), _owned(db, self.group)
        for place, member in meant.items():
            owner = owned.get(place)
            if owner == self.member != member:
                self._set_owner(db, place, None)
            elif owner is None and member == self.member:
                self._set_owner(db, place, self.member)
        query = "SELECT topic, partition, generation, committed FROM shares WHERE team = ? AND owner = ?"
        rows = db.execute(query, (self.group, self.member)).fetchall()
        return {Held(topic, partition, generation): committed for topic, partition, generation, committed in rows}

    def commit(self, db: sqlite3.Connection, held: Held, offset: int) -> None:
        """Without effect when the share was lost since; a commit never goes backwards."""
        db.execute(
            "UPDATE shares SET committed = max(committed, ?)"
            " WHERE team = ? AND topic = ? AND partition = ? AND owner = ? AND generation = ?",
            (offset, self.group, held.topic, held.partition, self.member, held.generation),
        )

    def leave(self, db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM members WHERE team = ? AND member = ?", (self.group, self.member))
        db.execute("UPDATE shares SET owner = NULL WHERE team = ? AND owner = ?", (self.group, self.member))

    def _set_owner(self, db: sqlite3.Connection, place: tuple[str, int], owner: str | None) -> None:
        db.execute(
            "INSERT INTO shares (team, topic, partition, owner, generation) VALUES (?, ?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET owner = excluded.owner, generation = generation + 1",
            (self.group, *place, owner),
        )


def _members(db: sqlite3.Connection, group: str) -> dict[str, tuple[list[str], float]]:
    rows = db.execute("SELECT member, topics, expires FROM members WHERE team = ? ORDER BY member", (group,))
    return {member: (json.loads(topics), expires) for member, topics, expires in rows.fetchall()}


def _owned(db: sqlite3.Connection, group: str) -> dict[tuple[str, int], str | None]:
    rows = db.execute("SELECT topic, partition, owner FROM shares WHERE team = ?", (group,))
    return {(topic, partition): owner for topic, partition, owner in rows.fetchall()}


def _meant(db: sqlite3.Connection, members: dict[str, tuple[list[str], float]]) -> dict[tuple[str, int], str]:
    """Each partition goes to the subscriber that has fewest so far; every member computes the same."""
    load = dict.fromkeys(members, 0)
    meant: dict[tuple[str, int], str] = {}
    topics = {topic for wanted, _ in members.values() for topic in wanted}
    for topic, partition in db.execute("SELECT topic, partition FROM logs ORDER BY topic, partition").fetchall():
        if topic in topics:
            chosen = min((m for m, (wanted, _) in members.items() if topic in wanted), key=lambda m: (load[m], m))
            load[chosen] += 1
            meant[topic, partition] = chosen
    return meant

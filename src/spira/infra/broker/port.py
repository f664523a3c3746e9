"""The role of the broker, in Kafka's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from spira.kernel.errors import InvalidInput, Problem

DEFAULT_PARTITIONS = 4
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,248}")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A message to publish; records with one key keep their order."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Delivery(Record):
    """A message as a consumer gets it."""

    partition: int
    offset: int


class Consumer(Protocol):
    """One member of a consumer group. Not for use from several threads, except `close`.

    Delivery is at least once: what was polled and not committed comes again, to this group, after a member
    died, closed or lost the partition. Within a partition deliveries come in offset order. A partition belongs
    to at most one member at a time; members share the partitions of their topics evenly and rebalance when one
    joins or leaves. A new group starts at the beginning of the log.
    """

    def poll(self, *, max_records: int = 100, timeout_s: float = 1.0) -> list[Delivery]:
        """Next records of the partitions held, after those polled before; empty after `timeout_s`.

        Also the heartbeat: a member that neither polls nor keeps alive loses its partitions.
        """
        ...

    def commit(self, deliveries: Iterable[Delivery]) -> None:
        """Everything up to and including these is done, per partition. A partition lost meanwhile is left alone."""
        ...

    def keep_alive(self) -> None:
        """Stay a member during long work between polls, without taking new records."""
        ...

    def close(self) -> None:
        """Leave the group; uncommitted records go to others at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Broker(Protocol):
    """Topics of ordered partitions. Every method may raise Unavailable."""

    def ensure_topic(self, topic: str, *, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Make the topic if it does not exist; an existing one keeps its partitions."""
        ...

    def publish(self, records: Sequence[Record]) -> None:
        """Durable on return; a retry after Unavailable may double a record, never lose one or change their order
        per key. Topics that don't exist yet are made."""
        ...

    def subscribe(self, *, group: str, topics: Sequence[str]) -> Consumer:
        """Join `group`; topics that don't exist yet are made."""
        ...

    def lag(self, *, group: str, topic: str) -> int:
        """Records of `topic` that `group` has not committed yet."""
        ...

    def close(self) -> None: ...


def check_name(name: str) -> str:
    """Gives the name of a topic or group back; raises InvalidInput when Kafka would not take it."""
    if _NAME.fullmatch(name) is None:
        raise InvalidInput.of([Problem(where="topic or group", what=f"{name[:80]!r} must match {_NAME.pattern}")])
    return name

"""A member of a Kafka consumer group: commits by hand, partitions move one by one (cooperative, KIP-429)."""

# mypy: untyped_calls_exclude=kafka
from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, KafkaError

from spira.infra.broker.port import Delivery
from spira.kernel.errors import Unavailable

SLICE_S = 0.25
"""A poll works in slices, so that a close in another thread waits no longer than this."""

KEEP_ALIVE_MS = 50
ANSWER_MS = 5_000


class KafkaMember:
    """Silence is measured on the caller's polls, not only on the client's own heartbeats, which would hide a
    caller that hangs."""

    def __init__(self, *, servers: Sequence[str], group: str, topics: Sequence[str], session_s: float) -> None:
        self._lock = threading.RLock()
        self._closed = False
        self._places = _Places()
        self._waiting: list[ConsumerRecord] = []
        self._member = ""
        session_ms = int(session_s * 1000)
        self._consumer = KafkaConsumer(
            bootstrap_servers=list(servers),
            bootstrap_timeout_ms=10_000,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(session_ms // 3, 100),
            max_poll_interval_ms=session_ms,
            partition_assignment_strategy=(CooperativeStickyAssignor,),
            fetch_max_wait_ms=200,
            metrics_enabled=False,
        )
        self._consumer.subscribe(list(topics), listener=self._places)
        self.keep_alive()

    def poll(self, *, max_records: int = 100, timeout_s: float = 1.0) -> list[Delivery]:
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            with self._lock:
                if self._closed:
                    return []
                found = self._take(max_records, max(0.0, min(left, SLICE_S)))
            if found or left <= SLICE_S:
                return found

    def commit(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._places.done(TopicPartition(delivery.topic, delivery.partition), delivery.offset + 1)
        with self._lock:
            if not self._closed:
                self._commit_done()

    def keep_alive(self) -> None:
        with self._lock, _errors_told():
            if self._closed:
                return
            held = self._consumer.assignment()
            self._consumer.pause(*held)
            # a partition that came just now isn't paused: what it brings waits for the next poll
            self._waiting.extend(self._fetch(timeout_ms=KEEP_ALIVE_MS))
            self._consumer.resume(*(held & self._consumer.assignment()))

    def close(self) -> None:
        with self._lock, _errors_told():
            if self._closed:
                return
            self._closed = True
            try:
                self._commit_done()
            finally:
                self._consumer.close(autocommit=False, timeout_ms=ANSWER_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.close()
        except Unavailable:
            if exc[0] is None:
                raise  # else the first error tells more; the session runs out by itself

    def _take(self, max_records: int, timeout_s: float) -> list[Delivery]:
        self._commit_done()
        if not self._waiting:
            with _errors_told():
                self._waiting = self._fetch(timeout_ms=int(timeout_s * 1000), max_records=max_records)
        else:
            self.keep_alive()
        held = self._consumer.assignment()
        mine = [record for record in self._waiting if TopicPartition(record.topic, record.partition) in held]
        found, self._waiting = mine[:max_records], mine[max_records:]
        for record in found:
            self._places.polled(TopicPartition(record.topic, record.partition), record.offset + 1)
        return [_delivery(record) for record in found]

    def _fetch(self, *, timeout_ms: int, max_records: int | None = None) -> list[ConsumerRecord]:
        coordinator = self._consumer._coordinator  # noqa: SLF001  # see _UnfinishedJoin
        join = coordinator._join_task  # noqa: SLF001  # as above
        if join is not None and not isinstance(join, _UnfinishedJoin):
            coordinator._join_task = _UnfinishedJoin(join)  # noqa: SLF001  # as above
        polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        if self._was_expelled():
            self._start_from_committed()
            return []
        return [record for records in polled.values() for record in records]

    def _was_expelled(self) -> bool:
        """The cluster gives a member that it had given up a new id when it comes back."""
        before, now = self._member, self._consumer.group_metadata().member_id
        if now:
            self._member = now
        return bool(before and now and before != now)

    def _start_from_committed(self) -> None:
        """kafka-python 3.0.12 would go on from its old positions, although others had the partitions meanwhile."""
        held = self._consumer.assignment()
        self._places.on_partitions_lost(held)
        self._waiting.clear()
        for place in held:
            committed = self._consumer.committed(place, timeout_ms=ANSWER_MS)
            if committed is None:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, committed)

    def _commit_done(self) -> None:
        """A commit that falls into a rebalance is kept and tried again for the partitions that stay here."""
        due = self._places.due()
        if not due:
            return
        with _errors_told():
            try:
                self._consumer.commit({place: OffsetAndMetadata(offset, "", -1) for place, offset in due.items()})
            except CommitFailedError:
                return
        self._places.committed(due)


class _UnfinishedJoin:
    """A join of the group that the next poll waits for, even if it is through by then.

    kafka-python 3.0.12 starts a new one instead (`join_group_async` in coordinator/base.py), so that members whose
    polls are short make the group rebalance for ever.
    """

    is_done = False

    def __init__(self, join: Any) -> None:
        self.add_callback = join.add_callback
        self.add_errback = join.add_errback


class _Places(ConsumerRebalanceListener):
    """How far this member is in each partition that it holds; what it loses is forgotten.

    Kafka takes commits of any member for any partition, backwards too, hence the care here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._polled: dict[TopicPartition, int] = {}
        self._done: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        with self._lock:
            for place in revoked:
                for offsets in (self._polled, self._done, self._committed):
                    offsets.pop(place, None)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self.on_partitions_revoked(lost)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to do: positions come from the cluster."""

    def polled(self, place: TopicPartition, offset: int) -> None:
        with self._lock:
            self._polled[place] = offset

    def done(self, place: TopicPartition, offset: int) -> None:
        with self._lock:
            if offset <= self._polled.get(place, -1):
                self._done[place] = max(offset, self._done.get(place, 0))

    def due(self) -> dict[TopicPartition, int]:
        with self._lock:
            return {place: offset for place, offset in self._done.items() if offset > self._committed.get(place, -1)}

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        with self._lock:
            self._committed |= {place: offset for place, offset in offsets.items() if place in self._done}


def _delivery(record: ConsumerRecord) -> Delivery:
    return Delivery(
        topic=record.topic,
        key=(record.key or b"").decode(),
        value=record.value or b"",
        headers={name: value.decode() for name, value in record.headers},
        partition=record.partition,
        offset=record.offset,
    )


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise Unavailable(f"Kafka did not answer: {type(error).__name__}") from error

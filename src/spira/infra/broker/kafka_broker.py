"""Topics of a Kafka cluster (3.0 or later)."""

# mypy: untyped_calls_exclude=kafka
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import GroupIdNotFoundError, KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

from spira.infra.broker.kafka_consumer import KafkaMember
from spira.infra.broker.port import DEFAULT_PARTITIONS, Record, check_name
from spira.infra.per_process import PerProcess
from spira.kernel.errors import InvalidInput, Problem, Unavailable

ANSWER_MS = 10_000
"""After this long without an answer the cluster counts as unavailable."""

DELIVERY_MS = 30_000
"""How long the producer tries again by itself, without doubling a record, before a publish fails."""


class KafkaBroker:
    """`servers` are `HOST:PORT`; a silent member loses its partitions after `session_s`, which the cluster bounds
    (`group.min.session.timeout.ms`, 6 s unless it was changed)."""

    def __init__(self, servers: Sequence[str], *, session_s: float = 10.0) -> None:
        self._servers = list(servers)
        self._session_s = session_s
        self._producer = PerProcess(self._make_producer, close=lambda producer: producer.close(timeout=1))
        self._admin = PerProcess(self._make_admin, close=lambda admin: admin.close())
        self._known: set[str] = set()

    def ensure_topic(self, topic: str, *, partitions: int = DEFAULT_PARTITIONS) -> None:
        if topic in self._known:
            return
        wanted = {check_name(topic): {"num_partitions": partitions}}
        with _errors_told():
            admin = self._admin.get()
            try:
                admin.create_topics(wanted, timeout_ms=ANSWER_MS, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                admin.wait_for_topics([topic], timeout_ms=ANSWER_MS)
        self._known.add(topic)

    def publish(self, records: Sequence[Record]) -> None:
        for topic in {record.topic for record in records}:
            self.ensure_topic(topic)
        with _errors_told():
            producer = self._producer.get()
            try:
                sent = [_send(producer, record) for record in records]
                producer.flush(timeout=DELIVERY_MS / 1000)
                for future in sent:
                    future.get(timeout=1)
            except KafkaError:
                self._producer.close()  # one that failed may have lost its place in the sequence
                raise

    def subscribe(self, *, group: str, topics: Sequence[str]) -> KafkaMember:
        for topic in topics:
            self.ensure_topic(topic)
        with _errors_told():
            return KafkaMember(
                servers=self._servers, group=check_name(group), topics=list(topics), session_s=self._session_s
            )

    def lag(self, *, group: str, topic: str) -> int:
        self.ensure_topic(topic)
        with _errors_told():
            admin = self._admin.get()
            (described,) = admin.describe_topics([topic])
            places = [TopicPartition(topic, found["partition_index"]) for found in described["partitions"]]
            ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
            starts = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            committed = _committed(admin, group, places)
        return sum(ends[place].offset - max(starts[place].offset, committed.get(place, 0)) for place in places)

    def close(self) -> None:
        self._producer.close()
        self._admin.close()

    def _make_producer(self) -> KafkaProducer:
        return KafkaProducer(
            bootstrap_servers=self._servers,
            bootstrap_timeout_ms=ANSWER_MS,
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=DELIVERY_MS,
            request_timeout_ms=ANSWER_MS,
            max_block_ms=ANSWER_MS,
            metrics_enabled=False,
        )

    def _make_admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(
            bootstrap_servers=self._servers, bootstrap_timeout_ms=ANSWER_MS, request_timeout_ms=ANSWER_MS
        )


def _send(producer: KafkaProducer, record: Record) -> Any:
    headers = [(name, value.encode()) for name, value in record.headers.items()]
    try:
        return producer.send(record.topic, key=record.key.encode(), value=record.value, headers=headers)
    except MessageSizeTooLargeError as error:
        what = f"{len(record.value)} bytes are too many for one message"
        raise InvalidInput.of([Problem(where=record.topic, what=what)]) from error


def _committed(admin: KafkaAdminClient, group: str, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    try:
        found = admin.list_group_offsets({group: places})[group]
    except GroupIdNotFoundError:
        return {}
    return {place: entry.offset for place, entry in found.items() if entry.offset >= 0}


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise Unavailable(f"Kafka did not answer: {type(error).__name__}") from error

"""What every broker does: `spira.infra.broker.port` put to the test."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from spira.infra.broker.port import Broker, Consumer, Delivery, Record
from spira.infra.stores import open_broker
from spira.kernel.errors import InvalidInput
from spira.kernel.ids import new_id

PATIENCE_S = 30.0
SESSION_S = 1.2
"""Short, so that a death is noticed soon."""

Contest = Callable[[int, Callable[[int], Any]], list[Any]]


@pytest.fixture
def url(broker_url: str) -> str:
    return f"{broker_url}?session_s={SESSION_S}"


@pytest.fixture
def broker(url: str) -> Iterator[Broker]:
    broker = open_broker(url)
    yield broker
    broker.close()


@pytest.fixture
def topic(broker: Broker) -> str:
    name = f"contract.{new_id()}"
    broker.ensure_topic(name, partitions=4)
    return name


@pytest.fixture
def group() -> str:
    return f"group-{new_id()}"


def records(topic: str, count: int, *, keys: int = 16, start: int = 0) -> list[Record]:
    return [
        Record(topic=topic, key=f"key-{number % keys}", value=str(number).encode())
        for number in range(start, start + count)
    ]


def collect(consumer: Consumer, count: int, *, commit: bool = False) -> list[Delivery]:
    found: list[Delivery] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records came"
        polled = consumer.poll(timeout_s=0.3)
        if commit:
            consumer.commit(polled)
        found += polled
    return found


def values(deliveries: Sequence[Delivery]) -> list[int]:
    return sorted(int(delivery.value) for delivery in deliveries)


def shares(broker: Broker, topic: str, members: Sequence[Consumer]) -> list[set[int]]:
    """Which partitions each member gets records of; what it gets is committed."""
    broker.publish(records(topic, 16))
    seen: list[set[int]] = [set() for _ in members]
    came, deadline = 0, time.monotonic() + PATIENCE_S
    while came < 16:
        assert time.monotonic() < deadline, f"{came} of 16 records came"
        for member, partitions in zip(members, seen, strict=True):
            polled = member.poll(timeout_s=0.05)
            member.commit(polled)
            came += len(polled)
            partitions |= {delivery.partition for delivery in polled}
    return seen


def settle(broker: Broker, topic: str, members: Sequence[Consumer]) -> list[set[int]]:
    """Wait until the four partitions are shared evenly and nobody gets another's."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        seen = shares(broker, topic, members)
        if sorted(map(len, seen)) == sorted(4 // len(members) for _ in members) and len(set.union(*seen)) == 4:
            return seen
    raise AssertionError(f"the partitions were never shared evenly: {seen}")


def test_a_record_arrives_as_it_was_published(broker: Broker, topic: str, group: str) -> None:
    value = bytes(range(256))
    broker.publish([Record(topic=topic, key="chave-ç", value=value, headers={"trace": "ä", "kind": "x"})])

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        (delivery,) = collect(consumer, 1)

    assert (delivery.topic, delivery.key, delivery.value) == (topic, "chave-ç", value)
    assert dict(delivery.headers) == {"trace": "ä", "kind": "x"}
    assert delivery.offset == 0
    assert 0 <= delivery.partition < 4


def test_a_new_group_starts_at_the_beginning_and_groups_do_not_share(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 20))

    for number in range(2):
        with broker.subscribe(group=f"{group}-{number}", topics=[topic]) as consumer:
            assert values(collect(consumer, 20, commit=True)) == list(range(20))


def test_records_of_one_key_keep_their_order(broker: Broker, topic: str, group: str) -> None:
    for start in range(0, 200, 50):
        broker.publish(records(topic, 50, start=start))

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 200)

    by_key: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        by_key[delivery.key].append(delivery)
    assert len({delivery.partition for delivery in deliveries}) > 1
    for one in by_key.values():
        assert len({delivery.partition for delivery in one}) == 1
        assert [int(d.value) for d in one] == sorted(int(d.value) for d in one)


def test_offsets_of_a_partition_come_in_order_without_gaps(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 100))

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 100)

    for partition in range(4):
        offsets = [delivery.offset for delivery in deliveries if delivery.partition == partition]
        assert offsets == list(range(len(offsets)))


def test_processes_that_publish_at_once_lose_nothing_and_keep_order(
    broker: Broker, url: str, topic: str, group: str, contest: Contest
) -> None:
    def play(number: int) -> None:
        own = open_broker(url)
        for turn in range(10):
            own.publish([Record(topic=topic, key=f"writer-{number}", value=str(turn).encode())])
        own.close()

    contest(4, play)

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 40)
    for number in range(4):
        assert [int(d.value) for d in deliveries if d.key == f"writer-{number}"] == list(range(10))


def test_a_poll_gives_no_more_than_it_was_asked_for(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 30))

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        sizes: list[int] = []
        while sum(sizes) < 30:
            sizes.append(len(consumer.poll(max_records=7, timeout_s=PATIENCE_S)))

    assert max(sizes) <= 7


def test_a_poll_without_records_ends_after_its_timeout(broker: Broker, topic: str, group: str) -> None:
    with broker.subscribe(group=group, topics=[topic]) as consumer:
        consumer.poll(timeout_s=1.0)
        began = time.monotonic()

        assert consumer.poll(timeout_s=0.3) == []
        assert 0.2 < time.monotonic() - began < 2.0


def test_a_record_is_delivered_soon_after_it_was_published(broker: Broker, topic: str, group: str) -> None:
    with broker.subscribe(group=group, topics=[topic]) as consumer:
        broker.publish(records(topic, 1))
        collect(consumer, 1)
        timer = threading.Timer(0.2, lambda: broker.publish(records(topic, 1)))
        began = time.monotonic()
        timer.start()

        assert len(consumer.poll(timeout_s=10.0)) == 1
        assert time.monotonic() - began < 2.0
        timer.join()


def test_what_was_committed_does_not_come_again_and_the_rest_does(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 40))
    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 40)
        done = [delivery for delivery in deliveries if delivery.offset < 3]
        consumer.commit(done)

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        again = collect(consumer, 40 - len(done))
        assert consumer.poll(timeout_s=0.3) == []

    assert values([*done, *again]) == list(range(40))


def test_a_commit_covers_what_came_before_it_and_never_goes_back(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 12, keys=1))
    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 12)
        consumer.commit([deliveries[9]])
        consumer.commit(deliveries[:4])

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        assert values(collect(consumer, 2)) == [10, 11]


def test_lag_counts_what_the_group_has_not_committed(broker: Broker, topic: str, group: str) -> None:
    assert broker.lag(group=group, topic=topic) == 0
    broker.publish(records(topic, 10))
    assert broker.lag(group=group, topic=topic) == 10

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        deliveries = collect(consumer, 10)
        assert broker.lag(group=group, topic=topic) == 10
        consumer.commit(deliveries)
        assert broker.lag(group=group, topic=topic) == 0
    assert broker.lag(group=f"{group}-other", topic=topic) == 10


def test_two_members_share_evenly_and_one_takes_over_when_the_other_leaves(
    broker: Broker, topic: str, group: str
) -> None:
    first = broker.subscribe(group=group, topics=[topic])
    assert settle(broker, topic, [first]) == [{0, 1, 2, 3}]

    second = broker.subscribe(group=group, topics=[topic])
    shared = settle(broker, topic, [first, second])
    first.close()
    alone = settle(broker, topic, [second])
    second.close()

    assert shared[0].isdisjoint(shared[1])
    assert alone == [{0, 1, 2, 3}]


def test_a_rebalance_loses_nothing(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 120))
    members = [broker.subscribe(group=group, topics=[topic])]
    done = values(members[0].poll(max_records=20, timeout_s=PATIENCE_S))  # polled, never committed
    assert done

    members.append(broker.subscribe(group=group, topics=[topic]))
    seen: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while broker.lag(group=group, topic=topic) and time.monotonic() < deadline:
        for member in members:
            polled = member.poll(max_records=10, timeout_s=0.05)
            member.commit(polled)
            seen |= set(values(polled))
    for member in members:
        member.close()

    assert seen | set(done) == set(range(120))
    assert broker.lag(group=group, topic=topic) == 0


def test_members_of_several_topics_get_the_records_of_all(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 8))
    with broker.subscribe(group=group, topics=[topic, f"{topic}.more"]) as consumer:
        broker.publish(records(f"{topic}.more", 8, start=8))

        assert values(collect(consumer, 16)) == list(range(16))


def test_what_a_killed_member_had_not_committed_comes_again(
    broker: Broker, url: str, topic: str, group: str, killed: Callable[[Callable[[], object]], None]
) -> None:
    broker.publish(records(topic, 40))

    def work() -> None:
        consumer = open_broker(url).subscribe(group=group, topics=[topic])
        polled = collect(consumer, 40)
        consumer.commit([delivery for delivery in polled if delivery.offset < 2])
        os.kill(os.getpid(), signal.SIGKILL)

    killed(work)

    left = broker.lag(group=group, topic=topic)
    assert 0 < left < 40
    with broker.subscribe(group=group, topics=[topic]) as consumer:
        again = collect(consumer, left)
        assert all(delivery.offset >= 2 for delivery in again)


def test_a_silent_member_loses_its_partitions_and_its_late_commit_changes_nothing(
    broker: Broker, topic: str, group: str
) -> None:
    broker.publish(records(topic, 20))
    silent = broker.subscribe(group=group, topics=[topic])
    taken = collect(silent, 20)

    with broker.subscribe(group=group, topics=[topic]) as other:
        again = collect(other, 20)
        silent.commit(taken)
        assert broker.lag(group=group, topic=topic) == 20
        other.commit(again)
    assert broker.lag(group=group, topic=topic) == 0
    silent.close()


def test_a_member_that_keeps_alive_keeps_what_it_works_on(broker: Broker, topic: str, group: str) -> None:
    with broker.subscribe(group=group, topics=[topic]) as busy:
        broker.publish(records(topic, 4))
        taken = collect(busy, 4)
        broker.publish(records(topic, 4, start=4))
        finished = time.monotonic() + 2.5 * SESSION_S
        while time.monotonic() < finished:
            busy.keep_alive()
            time.sleep(0.1)
        busy.commit(taken)

        assert broker.lag(group=group, topic=topic) == 4
        assert values(collect(busy, 4)) == [4, 5, 6, 7]


def test_a_lost_member_that_comes_back_starts_from_what_is_committed(broker: Broker, topic: str, group: str) -> None:
    broker.publish(records(topic, 8))
    with broker.subscribe(group=group, topics=[topic]) as slow:
        taken = collect(slow, 8)
        with broker.subscribe(group=group, topics=[topic]) as other:
            other.commit(collect(other, 8)[:4])
        left = broker.lag(group=group, topic=topic)

        assert values(collect(slow, left))
        slow.commit(taken)
        assert broker.lag(group=group, topic=topic) == 0


def test_closing_from_another_thread_ends_a_poll(broker: Broker, topic: str, group: str) -> None:
    consumer = broker.subscribe(group=group, topics=[topic])
    timer = threading.Timer(0.3, consumer.close)
    timer.start()
    began = time.monotonic()

    assert consumer.poll(timeout_s=PATIENCE_S) == []

    assert time.monotonic() - began < PATIENCE_S / 2
    timer.join()
    consumer.close()
    consumer.keep_alive()


def test_a_topic_keeps_the_partitions_it_was_made_with(broker: Broker, url: str, group: str) -> None:
    topic = f"contract.{new_id()}"
    broker.ensure_topic(topic, partitions=1)
    other = open_broker(url)
    other.ensure_topic(topic, partitions=8)
    other.publish(records(topic, 16))
    other.close()

    with broker.subscribe(group=group, topics=[topic]) as consumer:
        assert {delivery.partition for delivery in collect(consumer, 16)} == {0}


def test_topics_are_made_by_publishing_and_by_subscribing(broker: Broker, group: str) -> None:
    published, subscribed = f"contract.{new_id()}", f"contract.{new_id()}"

    broker.publish(records(published, 3))
    with broker.subscribe(group=group, topics=[published, subscribed]) as consumer:
        assert len(collect(consumer, 3)) == 3


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 250, ".."])
def test_a_name_that_kafka_would_refuse_is_refused(broker: Broker, topic: str, name: str) -> None:
    with pytest.raises(InvalidInput, match="topic or group"):
        broker.ensure_topic(name)
    with pytest.raises(InvalidInput, match="topic or group"):
        broker.publish([Record(topic=name, key="k", value=b"")])
    with pytest.raises(InvalidInput, match="topic or group"):
        broker.subscribe(group=name, topics=[topic])

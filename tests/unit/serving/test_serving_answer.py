"""The worker: order of its effects, and that one bad request harms no other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from spira.infra.broker.port import Broker, Record
from spira.kernel.clock import to_text
from spira.kernel.errors import Unavailable
from spira.kernel.messages import DeadLetter, InferenceCompleted, InferenceRequested, RecordingRef
from spira.kernel.topics import INFERENCE_COMPLETED, INFERENCE_DEAD_LETTER, inference_requested
from spira.privacy.sealed_objects import SealedObjects
from spira.serving.ports import Refused, ScoreRequest, Screened
from spira.serving.use_cases.answer import Worker, answer_next

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOPIC = inference_requested("tiny")


class Script:
    """Scores by what the recording says: a number, `refuse`, `crash` or `away`."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.away = False

    def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Screened | Refused]:
        self.batches.append(len(requests))
        return [self._one(request.recordings["sustained"].decode()) for request in requests]

    def _one(self, said: str) -> Screened | Refused:
        if self.away:
            raise Unavailable("the registry is away")
        if said == "crash":
            raise RuntimeError("the model has a bug")
        if said == "refuse":
            return Refused(reason="sustained: too quiet")
        return Screened(diagnosis="positive", scores={"final": float(said)})


class Bench:
    """A worker with its stores, and what it published."""

    def __init__(self, objects: SealedObjects, broker: Broker) -> None:
        self.objects, self.broker, self.scorer = objects, broker, Script()
        self.worker = Worker(objects=objects, broker=broker, scorer=self.scorer, clock=lambda: NOW)

    def ask(self, iid: str, says: str, *, stored: str | None = None, deadline: datetime | None = None) -> None:
        put = self.objects.put(f"inferences/{iid}/sustained", says.encode(), subject=iid)
        if stored is not None:
            self.objects.put(put.key, stored.encode(), subject=iid)
        message = InferenceRequested(
            inference_id=iid,
            model="tiny",
            model_version="1",
            recordings={"sustained": RecordingRef(key=put.key, sha256=put.sha256, size=put.size)},
            deadline=to_text(deadline) if deadline else "",
        )
        self.broker.publish([Record(topic=TOPIC, key="one partition keeps the order", value=message.to_bytes())])

    def work(self, *, group: str = "workers") -> int:
        with self.broker.subscribe(group=group, topics=[TOPIC]) as consumer:
            return answer_next(consumer, self.worker, timeout_s=0.5)

    def answers(self) -> dict[str, InferenceCompleted]:
        with self.broker.subscribe(group="reader", topics=[INFERENCE_COMPLETED]) as consumer:
            found = [InferenceCompleted.from_bytes(one.value) for one in consumer.poll(timeout_s=0.2)]
        return {one.inference_id: one for one in found}


@pytest.fixture
def bench(objects: SealedObjects, broker: Broker) -> Bench:
    return Bench(objects, broker)


def test_a_batch_is_scored_together_and_committed(bench: Bench) -> None:
    bench.ask("a", "0.25")
    bench.ask("b", "0.75")

    assert bench.work() == 2

    assert {iid: one.scores["final"] for iid, one in bench.answers().items()} == {"a": 0.25, "b": 0.75}
    assert bench.scorer.batches == [2]
    assert bench.broker.lag(group="workers", topic=TOPIC) == 0


def test_a_long_batch_is_cut_so_that_the_member_stays_in_its_group(bench: Bench) -> None:
    for number in range(6):
        bench.ask(f"i{number}", "0.5")

    bench.work()

    assert bench.scorer.batches == [4, 2]
    assert len(bench.answers()) == 6


def test_a_model_that_crashes_on_one_request_answers_its_neighbours(bench: Bench) -> None:
    bench.ask("a", "0.25")
    bench.ask("b", "crash")
    bench.ask("c", "refuse")
    bench.ask("d", "0.75")

    bench.work()

    outcomes = {iid: (one.outcome, one.reason) for iid, one in bench.answers().items()}
    assert outcomes["a"] == outcomes["d"] == ("completed", "")
    assert outcomes["b"] == ("failed", "the model could not judge these recordings")
    assert outcomes["c"] == ("failed", "sustained: too quiet")


def test_missing_changed_and_late_recordings_are_failed_by_name(bench: Bench) -> None:
    bench.ask("missing", "0.5")
    bench.objects.delete("inferences/missing/sustained")
    bench.ask("changed", "0.5", stored="0.9")
    bench.ask("late", "0.5", deadline=NOW - timedelta(seconds=1))
    bench.ask("fine", "0.5", deadline=NOW + timedelta(seconds=1))

    bench.work()

    answers = bench.answers()
    assert "sustained is missing" in answers["missing"].reason
    assert "sustained differs" in answers["changed"].reason
    assert "deadline" in answers["late"].reason
    assert answers["fine"].outcome == "completed"


def test_an_unreadable_message_goes_to_the_dead_letters(bench: Bench) -> None:
    bench.broker.publish([Record(topic=TOPIC, key="k", value=b"{}")])

    bench.work()

    with bench.broker.subscribe(group="reader", topics=[INFERENCE_DEAD_LETTER]) as consumer:
        (letter,) = [DeadLetter.from_bytes(one.value) for one in consumer.poll(timeout_s=0.5)]
    assert letter.topic == TOPIC
    assert "inference_id" in letter.reason
    assert bench.broker.lag(group="workers", topic=TOPIC) == 0


def test_nothing_is_committed_while_the_registry_is_away(bench: Bench) -> None:
    bench.ask("a", "0.25")
    bench.scorer.away = True

    with pytest.raises(Unavailable):
        bench.work()
    bench.scorer.away = False
    bench.work()

    assert bench.answers()["a"].outcome == "completed"

"""One result of record per (inference, model), whatever order, number or batches the answers come in."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spira.infra.broker.port import Broker, Delivery
from spira.infra.documents.port import Documents
from spira.infra.stores import open_broker, open_documents
from spira.kernel.ids import new_id
from spira.kernel.messages import InferenceCompleted, InferenceRequested
from spira.kernel.topics import INFERENCE_COMPLETED, INFERENCE_DEAD_LETTER, inference_requested
from spira.serving.core.inference import Inference, OutboxEntry
from spira.serving.core.metadata import Metadata
from spira.serving.ports import INFERENCES, RESULTS
from spira.serving.use_cases import models
from spira.serving.use_cases.relay import relay_pending
from spira.serving.use_cases.settle import sweep_deadlines, write_results

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def accepted(documents: Documents, *, iid: str | None = None, deadline: datetime = NOW + timedelta(minutes=1)) -> str:
    iid = iid or new_id()
    message = InferenceRequested(inference_id=iid, model="tiny", model_version="1", recordings={})
    inference = Inference(
        id=iid,
        created_at=NOW,
        user_id="u",
        model_id="m",
        model="tiny",
        model_version="1",
        deadline=deadline,
        recordings={},
        metadata=Metadata(),
        outbox=(OutboxEntry(topic=inference_requested("tiny"), message=message),),
    )
    documents.insert(INFERENCES.name, inference.document())
    return iid


def answer(iid: str, *, score: float = 0.5, version: str = "1") -> Delivery:
    message = InferenceCompleted(
        inference_id=iid,
        model="tiny",
        model_version=version,
        outcome="completed",
        diagnosis="positive",
        scores={"final": score},
    )
    return Delivery(topic=INFERENCE_COMPLETED, key=iid, value=message.to_bytes(), partition=0, offset=0)


def ends(documents: Documents) -> dict[str, tuple[str, float | None]]:
    results = {one["inference_id"]: one["scores"].get("final") for one in documents.find(RESULTS.name)}
    return {one["id"]: (one["status"], results.get(one["id"])) for one in documents.find(INFERENCES.name)}


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_duplicates_order_and_batches_change_nothing(data: st.DataObject) -> None:
    ids = [f"inference-{number}" for number in range(4)]
    deliveries = [answer(iid, score=number / 10) for number, iid in enumerate(ids)]
    order = data.draw(st.permutations(deliveries * 2))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=3)))
    batches: list[Sequence[Delivery]] = [
        order[low:high] for low, high in zip([0, *cuts], [*cuts, len(order)], strict=True)
    ]

    with tempfile.TemporaryDirectory() as folder:
        documents, broker = open_documents(f"sqlite:{folder}/d"), open_broker(f"sqlite:{folder}/b")
        models.declare(documents)
        for iid in ids:
            accepted(documents, iid=iid)
        written = [write_results(batch, documents=documents, broker=broker, clock=lambda: NOW) for batch in batches]
        found = ends(documents)
        broker.close()

    assert sum(written) == len(ids)
    assert found == {iid: ("completed", number / 10) for number, iid in enumerate(ids)}


def test_the_first_answer_stays_the_one_of_record(documents: Documents, broker: Broker) -> None:
    iid = accepted(documents)

    write_results([answer(iid, score=0.1)], documents=documents, broker=broker, clock=lambda: NOW)
    write_results([answer(iid, score=0.9)], documents=documents, broker=broker, clock=lambda: NOW)

    assert ends(documents) == {iid: ("completed", 0.1)}


def test_an_answer_after_the_deadline_changes_nothing(documents: Documents, broker: Broker) -> None:
    iid = accepted(documents, deadline=NOW - timedelta(seconds=1))

    swept = sweep_deadlines(documents=documents, clock=lambda: NOW)
    write_results([answer(iid)], documents=documents, broker=broker, clock=lambda: NOW)

    assert swept == 1
    assert ends(documents) == {iid: ("failed", None)}
    assert "deadline" in documents.find(RESULTS.name)[0]["reason"]
    assert sweep_deadlines(documents=documents, clock=lambda: NOW) == 0


def test_a_result_whose_writer_died_before_the_status_wins_over_the_deadline(
    documents: Documents, broker: Broker
) -> None:
    iid = accepted(documents)
    write_results([answer(iid, score=0.7)], documents=documents, broker=broker, clock=lambda: NOW)
    (document,) = documents.find(INFERENCES.name)
    documents.replace(INFERENCES.name, {**document, "status": "processing"})  # as if it had died in between

    sweep_deadlines(documents=documents, clock=lambda: NOW + timedelta(hours=1))

    assert ends(documents) == {iid: ("completed", 0.7)}


def test_answers_that_nobody_asked_for_go_to_the_dead_letters(documents: Documents, broker: Broker) -> None:
    iid = accepted(documents)
    strange = [answer("nobody"), answer(iid, version="2"), answer(iid)]

    write_results(strange, documents=documents, broker=broker, clock=lambda: NOW)

    assert broker.lag(group="anybody", topic=INFERENCE_DEAD_LETTER) == 2
    assert ends(documents) == {iid: ("completed", 0.5)}


def test_the_outbox_is_relayed_once_in_the_order_of_acceptance(documents: Documents, broker: Broker) -> None:
    ids = [accepted(documents) for _ in range(3)]

    relayed = [relay_pending(documents=documents, broker=broker) for _ in range(2)]

    with broker.subscribe(group="workers", topics=[inference_requested("tiny")]) as consumer:
        found = [InferenceRequested.from_bytes(one.value).inference_id for one in consumer.poll(timeout_s=0.5)]
    assert relayed == [3, 0]
    assert sorted(found) == ids


def test_a_relay_that_died_after_publishing_publishes_again(
    documents: Documents, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(documents)
    with monkeypatch.context() as patch:
        patch.setattr(documents, "replace", _die)
        with pytest.raises(KeyboardInterrupt):
            relay_pending(documents=documents, broker=broker)

    assert relay_pending(documents=documents, broker=broker) == 1
    assert broker.lag(group="workers", topic=inference_requested("tiny")) == 2


def _die(*_: object) -> None:
    raise KeyboardInterrupt

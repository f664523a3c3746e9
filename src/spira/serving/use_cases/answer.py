"""The worker: take requests, fetch and verify the recordings, score, publish the answers, commit. In this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spira.infra.broker.port import Broker, Consumer, Delivery, Record
from spira.infra.logs import get_logger
from spira.kernel.clock import Clock, from_text
from spira.kernel.errors import InvalidInput, NotFound, Unavailable
from spira.kernel.ids import sha256_hex
from spira.kernel.messages import InferenceCompleted, InferenceRequested
from spira.kernel.topics import INFERENCE_COMPLETED
from spira.privacy.sealed_objects import SealedObjects
from spira.serving.ports import Refused, Scorer, ScoreRequest, Screened
from spira.serving.use_cases.letters import dead_letter

log = get_logger()


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What answering needs. At most `micro_batch` requests go to the scorer at once, so that the consumer can stay
    alive in between."""

    objects: SealedObjects
    broker: Broker
    scorer: Scorer
    clock: Clock
    micro_batch: int = 4


def answer_next(consumer: Consumer, worker: Worker, *, max_records: int = 8, timeout_s: float = 0.5) -> int:
    """Answer the next batch of `consumer` and commit it; gives how many messages it had.

    Raises Unavailable when a store or the broker does not answer; nothing is committed then, and the batch comes
    again to whoever subscribes next.
    """
    deliveries = consumer.poll(max_records=max_records, timeout_s=timeout_s)
    if deliveries:
        worker.broker.publish(answers(deliveries, worker, keep_alive=consumer.keep_alive))
        consumer.commit(deliveries)
    return len(deliveries)


def answers(deliveries: Sequence[Delivery], worker: Worker, *, keep_alive: Callable[[], None]) -> list[Record]:
    """One record for each delivery: its answer, or a dead letter when it can't be read at all."""
    records: list[Record] = []
    ready: list[tuple[InferenceRequested, ScoreRequest]] = []
    for delivery in deliveries:
        try:
            message = InferenceRequested.from_bytes(delivery.value)
        except InvalidInput as error:
            log.warning("unreadable-message", topic=delivery.topic, offset=delivery.offset)
            records.append(dead_letter(delivery, str(error)))
            continue
        prepared = _prepare(message, worker)
        if isinstance(prepared, Refused):
            records.append(_record(message, prepared))
        else:
            ready.append((message, prepared))
        keep_alive()
    for start in range(0, len(ready), worker.micro_batch):
        part = ready[start : start + worker.micro_batch]
        scored = _score([request for _, request in part], worker)
        records += [_record(message, answer) for (message, _), answer in zip(part, scored, strict=True)]
        keep_alive()
    return records


def _prepare(message: InferenceRequested, worker: Worker) -> ScoreRequest | Refused:
    """The recordings as they were accepted, or why they can't be had."""
    if message.deadline and from_text(message.deadline) <= worker.clock():
        return Refused(reason="the deadline had passed before a worker was free; submit the recordings again")
    recordings: dict[str, bytes] = {}
    for name, ref in message.recordings.items():
        try:
            recordings[name] = worker.objects.get(ref.key, subject=message.inference_id)
        except NotFound:
            return Refused(reason=f"recording {name} is missing from the store")
        except InvalidInput as error:
            return Refused(reason=f"recording {name} can't be opened: {error}")
        if sha256_hex(recordings[name]) != ref.sha256:
            return Refused(reason=f"recording {name} differs from what was accepted")
    return ScoreRequest(
        model=message.model, version=message.model_version, recordings=recordings, metadata=message.metadata
    )


def _score(requests: Sequence[ScoreRequest], worker: Worker) -> list[Screened | Refused]:
    """All answers; when the batch fails as a whole, one by one, so that only the culprit is refused."""
    if not requests:
        return []
    try:
        return list(worker.scorer.score(requests))
    except Unavailable:
        raise
    except Exception:  # a model is foreign code: whatever it raises ends one request, not the worker
        if len(requests) == 1:
            log.exception("model-failed", model=requests[0].model, version=requests[0].version)
            return [Refused(reason="the model could not judge these recordings")]
    alone: list[Screened | Refused] = []
    for request in requests:
        alone += _score([request], worker)
    return alone


def _record(message: InferenceRequested, answer: Screened | Refused) -> Record:
    screened = isinstance(answer, Screened)
    completed = InferenceCompleted(
        trace_id=message.trace_id,
        inference_id=message.inference_id,
        model=message.model,
        model_version=message.model_version,
        outcome="completed" if screened else "failed",
        diagnosis=answer.diagnosis if isinstance(answer, Screened) else None,
        scores=dict(answer.scores) if isinstance(answer, Screened) else {},
        reason=answer.reason if isinstance(answer, Refused) else "",
    )
    return Record(topic=INFERENCE_COMPLETED, key=message.inference_id, value=completed.to_bytes())

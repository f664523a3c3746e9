"""Results: one of record per (inference, model), and an end for every inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spira.infra.broker.port import Broker, Delivery
from spira.infra.documents.port import Between, Document, Documents, update
from spira.infra.logs import get_logger
from spira.kernel.clock import Clock, to_text
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem
from spira.kernel.messages import InferenceCompleted
from spira.serving.core.inference import Inference, Result, settled
from spira.serving.ports import INFERENCES, RESULTS
from spira.serving.use_cases.letters import dead_letter

OVERDUE = "no answer before the deadline; submit the recordings again"
log = get_logger()


def write_results(deliveries: Sequence[Delivery], *, documents: Documents, broker: Broker, clock: Clock) -> int:
    """Make each answer the result of record unless there is one; safe to repeat, in any order, in any batches.

    Answers that belong to no inference go to the dead letters. The caller commits afterwards. Gives the number of
    results written.
    """
    written = 0
    for delivery in deliveries:
        try:
            message = InferenceCompleted.from_bytes(delivery.value)
            inference = _asked(message, documents=documents)
        except (InvalidInput, NotFound) as error:
            broker.publish([dead_letter(delivery, str(error))])
            continue
        written += settle(inference, Result.of(message, at=clock()), documents=documents, clock=clock)
    return written


def sweep_deadlines(*, documents: Documents, clock: Clock, limit: int = 100) -> int:
    """Fail what waits beyond its deadline, through the same result of record as an answer would; gives how many."""
    overdue = documents.find(
        INFERENCES.name, {"status": "processing", "deadline": Between(high=to_text(clock()))}, limit=limit
    )
    for document in overdue:
        inference = Inference.model_validate(document)
        message = InferenceCompleted(
            inference_id=inference.id,
            model=inference.model,
            model_version=inference.model_version,
            outcome="failed",
            reason=OVERDUE,
        )
        settle(inference, Result.of(message, at=clock()), documents=documents, clock=clock)
    return len(overdue)


def settle(inference: Inference, result: Result, *, documents: Documents, clock: Clock) -> bool:
    """Write `result` unless one is of record, then bring the inference to the end that the one of record says.

    The insert decides, under its unique key; the status follows it, so that dying in between is mended by the next
    delivery or sweep. Gives whether `result` became the one of record.
    """
    try:
        documents.insert(RESULTS.name, result.document())
        of_record, fresh = result, True
    except Conflict:
        where = {"inference_id": result.inference_id, "model": result.model}
        of_record, fresh = Result.model_validate(documents.find(RESULTS.name, where, limit=1)[0]), False

    def end(document: Document) -> dict[str, Any] | None:
        changed = settled(Inference.model_validate(document), of_record, at=clock())
        return changed.document() if changed else None

    update(documents, INFERENCES.name, inference.id, end)
    log.info("settled", inference=inference.id, model=result.model, outcome=of_record.outcome, fresh=fresh)
    return fresh


def _asked(message: InferenceCompleted, *, documents: Documents) -> Inference:
    inference = Inference.model_validate(documents.get(INFERENCES.name, message.inference_id))
    if (inference.model, inference.model_version) != (message.model, message.model_version):
        raise InvalidInput.of([Problem(where="model", what="the answer is not from the model that was asked")])
    return inference

"""The outbox: what was accepted is published, however often somebody dies on the way."""

from __future__ import annotations

from typing import Any

from spira.infra.broker.port import Broker, Record
from spira.infra.documents.port import Document, Documents, update
from spira.serving.core.inference import Inference
from spira.serving.ports import INFERENCES


def relay_pending(*, documents: Documents, broker: Broker, limit: int = 100) -> int:
    """Publish what is owed, oldest first, then note that it was sent; gives the number of inferences.

    Dying in between publishes again: workers answer twice, and the first result stays the one of record.
    """
    found = documents.find(INFERENCES.name, {"outbox_state": "pending"}, limit=limit)
    owed = [Inference.model_validate(one) for one in found]
    if owed:
        broker.publish([record for inference in owed for record in _records(inference)])
    for inference in owed:
        update(documents, INFERENCES.name, inference.id, _sent)
    return len(owed)


def _records(inference: Inference) -> list[Record]:
    return [Record(topic=entry.topic, key=inference.id, value=entry.message.to_bytes()) for entry in inference.outbox]


def _sent(document: Document) -> dict[str, Any] | None:
    return None if document["outbox_state"] == "sent" else {**document, "outbox_state": "sent"}

"""Dead letters: messages that nobody could handle, kept for the people who look after them."""

from __future__ import annotations

import base64

from spira.infra.broker.port import Delivery, Record
from spira.kernel.messages import DeadLetter
from spira.kernel.topics import INFERENCE_DEAD_LETTER


def dead_letter(delivery: Delivery, reason: str) -> Record:
    """`delivery` for the people who look after what nobody could handle."""
    letter = DeadLetter(
        topic=delivery.topic,
        partition=delivery.partition,
        offset=delivery.offset,
        key=delivery.key,
        value_base64=base64.b64encode(delivery.value).decode(),
        reason=reason[:500],
    )
    return Record(topic=INFERENCE_DEAD_LETTER, key=delivery.key, value=letter.to_bytes())

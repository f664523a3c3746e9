"""Names of the topics, in one place: code, charts and tests compare themselves with this list."""

from __future__ import annotations

import re

INFERENCE_COMPLETED = "spira.inference.completed"
INFERENCE_DEAD_LETTER = "spira.inference.dead-letter"
TELEMETRY = "spira.telemetry"
LABELS = "spira.labels"
DATASETS_ACCEPTED = "spira.datasets.accepted"

MODEL_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A model's name: also a part of topic, release and label names, hence DNS's rules."""


def inference_requested(model: str) -> str:
    """The topic on which the workers of `model` take their requests; raises ValueError on a bad name."""
    if MODEL_NAME.fullmatch(model) is None:
        raise ValueError(f"model name {model!r} must match {MODEL_NAME.pattern}")
    return f"spira.inference.requested.{model}"

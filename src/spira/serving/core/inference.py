"""An inference, its model and its result: values and the one way in which they change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spira.kernel.ids import new_id
from spira.kernel.messages import Diagnosis, InferenceCompleted, InferenceRequested, Probability, RecordingRef
from spira.kernel.stored import Moment, Stored
from spira.kernel.topics import MODEL_NAME, inference_requested
from spira.serving.core.metadata import Metadata
from spira.serving.core.recordings import RECORDINGS

Status = Literal["processing", "completed", "failed", "cancelled"]
ModelName = Annotated[str, Field(pattern=f"^{MODEL_NAME.pattern}$", description="Also part of the topic's name")]


class NewModel(BaseModel):
    """What it takes to offer a model: the registry's name, the pinned version and the digest of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ModelName
    registry_version: str = Field(min_length=1, max_length=64, alias="version")
    digest: str = Field(default="", max_length=128)
    required_recordings: tuple[str, ...] = ("sustained",)

    @field_validator("required_recordings")
    @classmethod
    def _exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(RECORDINGS))
        if unknown or not names:
            raise ValueError(f"{unknown or 'nothing'}: choose from {', '.join(RECORDINGS)}")
        return names


class ServedModel(Stored):
    """A model that requests may name; accepted requests keep the `registry_version` of their moment."""

    name: str
    registry_version: str
    digest: str = ""
    required_recordings: tuple[str, ...] = ("sustained",)

    @property
    def topic(self) -> str:
        return inference_requested(self.name)


class OutboxEntry(BaseModel):
    """A message that is owed to the broker."""

    model_config = ConfigDict(frozen=True)

    topic: str
    message: InferenceRequested


class Inference(Stored):
    """One accepted request. With `outbox_state` pending, its messages still have to be published."""

    user_id: str
    hospital_id: str | None = None
    model_id: str
    model: str
    model_version: str
    status: Status = "processing"
    deadline: Moment
    """When it fails for want of an answer."""
    recordings: dict[str, RecordingRef]
    metadata: Metadata
    idempotency_key: str | None = None
    body_digest: str = ""
    outbox_state: Literal["pending", "sent"] = "pending"
    outbox: tuple[OutboxEntry, ...] = ()
    finished_at: Moment | None = None


class Result(Stored):
    """The result of record of one (inference, model): the first that was written, never replaced."""

    inference_id: str
    model: str
    model_version: str
    outcome: Literal["completed", "failed"]
    diagnosis: Diagnosis | None = None
    scores: dict[str, Probability] = Field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(cls, message: InferenceCompleted, *, at: datetime) -> Result:
        said = message.model_dump(
            include={"inference_id", "model", "model_version", "outcome", "diagnosis", "scores", "reason"}
        )
        return cls(id=new_id(), created_at=at, **said)


def settled(inference: Inference, result: Result, *, at: datetime) -> Inference | None:
    """The inference with its result of record, or None when it has ended already: an end is never left."""
    if inference.status != "processing":
        return None
    return inference.model_copy(update={"status": result.outcome, "finished_at": at})

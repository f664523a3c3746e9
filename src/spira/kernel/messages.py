"""What travels over the broker: small JSON with a schema version, a trace id and object keys, never audio.

A reader ignores fields that it does not know, so that producers may be upgraded first; a message with a
`schema_version` above the reader's is refused, since its meaning may have changed.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spira.kernel.errors import InvalidInput, Problem

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Diagnosis = Literal["positive", "negative", "inconclusive"]


class Message(BaseModel):
    """Base of all messages: immutable, JSON on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    SCHEMA: ClassVar[int] = 1
    schema_version: int = 1
    trace_id: str = ""

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        if self.schema_version > self.SCHEMA:
            raise ValueError(f"schema_version {self.schema_version} is newer than {self.SCHEMA}; upgrade this process")
        return self

    def to_bytes(self) -> bytes:
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InvalidInput that names the fields that are wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise InvalidInput.of(
                Problem(where=".".join(map(str, e["loc"])) or cls.__name__, what=e["msg"]) for e in error.errors()
            ) from error


class RecordingRef(BaseModel):
    """Where a recording lies and what its bytes must hash to (claim check)."""

    model_config = ConfigDict(frozen=True)

    key: str
    sha256: Sha256
    size: int = Field(ge=0)


class InferenceRequested(Message):
    """An accepted inference, for the workers of `model`; the version is fixed at accept."""

    inference_id: str
    model: str
    model_version: str
    recordings: dict[str, RecordingRef]
    metadata: dict[str, str | int | float | bool | None] = {}
    deadline: str = ""


class InferenceCompleted(Message):
    """A worker's answer: either a diagnosis with its scores, or the reason why there is none."""

    inference_id: str
    model: str
    model_version: str
    outcome: Literal["completed", "failed"]
    diagnosis: Diagnosis | None = None
    scores: dict[str, Probability] = {}
    reason: str = ""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.outcome == "completed") != (self.diagnosis is not None):
            raise ValueError("a completed inference has a diagnosis, a failed one has none")
        if self.outcome == "failed" and not self.reason:
            raise ValueError("a failed inference says its reason")
        return self


class DeadLetter(Message):
    """A message that nobody could handle, with where it came from and why."""

    topic: str
    partition: int
    offset: int
    key: str
    value_base64: str
    reason: str


class DatasetAccepted(Message):
    """A data set passed the door and was accepted; the same `dataset_id` twice is the same content."""

    dataset_id: Sha256
    """Digest of the content: recordings, labels and whose they are."""
    series: str
    manifest: str
    """Location of the manifest."""
    record: str
    """Object key of what is known about it."""
    patients: int = Field(ge=0)
    controls: int = Field(ge=0)
    accepted_at: str

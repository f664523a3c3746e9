"""What the routes of serving show, and what they document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from spira.kernel.messages import Diagnosis
from spira.serving.core.inference import Inference, Result, ServedModel, Status
from spira.serving.core.metadata import Metadata
from spira.serving.core.recordings import RECORDINGS

IdText = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


class UserPath(BaseModel):
    uid: str = Field(description="The caller's own id, as the sign-in gave it")


class InferencePath(UserPath):
    iid: IdText


class ModelPath(BaseModel):
    model_id: IdText


class Page(BaseModel):
    """Newest first; `before` continues after the last id of the page before."""

    status: Status | None = None
    before: IdText | None = None
    limit: int = Field(default=50, ge=1, le=200)


class ModelView(BaseModel):
    """A model on offer; `version` is the registry's, `topic` where its workers listen."""

    id: str
    name: str
    version: str
    digest: str
    topic: str
    required_recordings: list[str]

    @classmethod
    def of(cls, model: ServedModel) -> Self:
        return cls(
            id=model.id,
            name=model.name,
            version=model.registry_version,
            digest=model.digest,
            topic=model.topic,
            required_recordings=list(model.required_recordings),
        )


class ModelList(BaseModel):
    models: list[ModelView]


class RecordingView(BaseModel):
    size: int
    sha256: str


class Warned(BaseModel):
    """Something that looks wrong but was accepted."""

    where: str
    what: str
    hint: str = ""


class Accepted(BaseModel):
    """The receipt of a request; the same key and body get the same one."""

    inference_id: str
    model_id: str
    model: str
    model_version: str
    created_at: datetime
    deadline: datetime
    warnings: list[Warned]

    @classmethod
    def of(cls, inference: Inference) -> Self:
        warnings = [Warned(**one.as_dict()) for one in inference.metadata.warnings()]
        return cls(inference_id=inference.id, warnings=warnings, **_fields(inference, cls))


class InferenceView(BaseModel):
    """A request and where it stands."""

    id: str
    user_id: str
    hospital_id: str | None
    model_id: str
    model: str
    model_version: str
    status: Status
    created_at: datetime
    deadline: datetime
    finished_at: datetime | None
    recordings: dict[str, RecordingView]
    metadata: Metadata

    @classmethod
    def of(cls, inference: Inference) -> Self:
        recordings = {
            name: RecordingView(size=ref.size, sha256=ref.sha256) for name, ref in inference.recordings.items()
        }
        return cls(recordings=recordings, metadata=inference.metadata, **_fields(inference, cls))


class InferenceList(BaseModel):
    inferences: list[InferenceView]


class ResultView(BaseModel):
    """The answer of record: a diagnosis with its scores, or the reason why there is none."""

    outcome: str
    diagnosis: Diagnosis | None
    scores: dict[str, float]
    reason: str
    model: str
    model_version: str
    created_at: datetime


class ResultAnswer(BaseModel):
    """`result` is null while the inference is processing; ask again after Retry-After seconds."""

    inference: InferenceView
    result: ResultView | None

    @classmethod
    def of(cls, inference: Inference, result: Result | None) -> Self:
        shown = ResultView(**_fields(result, ResultView)) if result else None
        return cls(inference=InferenceView.of(inference), result=shown)


def _fields(source: BaseModel, view: type[BaseModel]) -> dict[str, Any]:
    """The plain fields that `source` and `view` have in common."""
    shared = set(view.model_fields) & set(type(source).model_fields)
    return {name: getattr(source, name) for name in shared - {"recordings", "metadata"}}


def submission_body() -> dict[str, Any]:
    """The API document's words for the multipart body."""
    recording = {"type": "string", "format": "binary"}
    properties: dict[str, Any] = {"model_id": {"type": "string", "description": "A model's id or name"}}
    properties |= dict.fromkeys(RECORDINGS, recording)
    properties |= Metadata.model_json_schema()["properties"]
    schema = {"type": "object", "required": ["model_id"], "properties": properties}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}

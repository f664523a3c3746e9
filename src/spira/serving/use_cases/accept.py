"""Accepting a request: check everything, keep the recordings, then the one document that makes it accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO

from pydantic import ValidationError

from spira.infra.documents.port import Documents
from spira.kernel.access import Principal
from spira.kernel.clock import Clock, to_text
from spira.kernel.errors import Conflict, InvalidInput, Problem
from spira.kernel.ids import new_id, sha256_hex
from spira.kernel.messages import InferenceRequested, RecordingRef
from spira.privacy.sealed_objects import SealedObjects
from spira.serving.core.inference import Inference, OutboxEntry, ServedModel
from spira.serving.core.metadata import Metadata
from spira.serving.core.recordings import NOT_SPEECH
from spira.serving.ports import INFERENCES, MODELS
from spira.voice.decode import DecodeLimits, decode
from spira.voice.quality import QualityRules, measure, problems


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A recording as it arrived: a stream at its beginning, with what was measured on the way."""

    stream: IO[bytes]
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A request before it is judged; `trace_id` ties together what it sets off."""

    principal: Principal
    model: str
    """A model's id or name."""
    fields: Mapping[str, str]
    recordings: Mapping[str, Upload]
    idempotency_key: str | None = None
    trace_id: str = ""

    def digest(self) -> str:
        """Of everything that makes two bodies the same."""
        fields = sorted(f"{name}={value}" for name, value in self.fields.items())
        files = sorted(f"{name}:{upload.sha256}" for name, upload in self.recordings.items())
        return sha256_hex("\0".join((self.model, *fields, "", *files)).encode())


@dataclass(frozen=True, kw_only=True)
class AcceptRules:
    """What is taken in, and how long an answer may take."""

    decode: DecodeLimits = field(default_factory=DecodeLimits)
    quality: QualityRules = field(default_factory=QualityRules)
    answer_within: timedelta = timedelta(minutes=10)


def accept(
    submission: Submission, *, documents: Documents, objects: SealedObjects, clock: Clock, rules: AcceptRules
) -> Inference:
    """The accepted inference: recordings first, then its document, which holds the message that is owed.

    The same idempotency key with the same body gives the inference that it gave before. Raises InvalidInput with
    every problem at once, and Conflict when the key came with another body.
    """
    if earlier := _earlier(submission, documents=documents):
        return earlier
    model = _find_model(submission.model, documents=documents)
    metadata = _judge(submission, model, clock=clock, rules=rules)
    inference = _draft(submission, model, metadata, clock=clock, rules=rules)
    for name, upload in submission.recordings.items():
        objects.put(inference.recordings[name].key, upload.stream.read(), subject=inference.id, if_absent=True)
    try:
        return Inference.model_validate(documents.insert(INFERENCES.name, inference.document()))
    except Conflict:
        for ref in inference.recordings.values():
            objects.delete(ref.key)
        if earlier := _earlier(submission, documents=documents):
            return earlier
        raise


def _earlier(submission: Submission, *, documents: Documents) -> Inference | None:
    if submission.idempotency_key is None:
        return None
    where = {"user_id": submission.principal.id, "idempotency_key": submission.idempotency_key}
    found = documents.find(INFERENCES.name, where, limit=1)
    if not found:
        return None
    earlier = Inference.model_validate(found[0])
    if earlier.body_digest != submission.digest():
        raise Conflict("this Idempotency-Key came with another body before; use a new key for a new request")
    return earlier


def _find_model(id_or_name: str, *, documents: Documents) -> ServedModel:
    for known_by in ("id", "name"):
        for found in documents.find(MODELS.name, {known_by: id_or_name}, limit=1):
            return ServedModel.model_validate(found)
    raise InvalidInput.of([Problem(where="model_id", what="no such model", hint="see /v1/models")])


def _judge(submission: Submission, model: ServedModel, *, clock: Clock, rules: AcceptRules) -> Metadata:
    """The metadata, when nothing at all is wrong with the request."""
    found: list[Problem] = []
    metadata = Metadata()
    try:
        metadata = Metadata.model_validate(dict(submission.fields), context={"today": clock().date()})
    except ValidationError as error:
        found += _problems_of(error)
    for name in model.required_recordings:
        if name not in submission.recordings:
            found.append(Problem(where=name, what=f"model {model.name} needs this recording"))
    for name, upload in submission.recordings.items():
        found += _audio_problems(name, upload, rules=rules)
    if found:
        raise InvalidInput.of(found)
    return metadata


def _problems_of(error: ValidationError) -> list[Problem]:
    return [
        Problem(where=".".join(map(str, one["loc"])) or "metadata", what=one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_input=False, include_url=False)
    ]


def _audio_problems(name: str, upload: Upload, *, rules: AcceptRules) -> list[Problem]:
    try:
        samples = decode(upload.stream.read(), name=name, limits=rules.decode)
    except InvalidInput as error:
        return list(error.problems) or [Problem(where=name, what=str(error))]
    finally:
        upload.stream.seek(0)
    return [] if name in NOT_SPEECH else problems(measure(samples), rules.quality, where=name)


def _draft(
    submission: Submission, model: ServedModel, metadata: Metadata, *, clock: Clock, rules: AcceptRules
) -> Inference:
    iid, now = new_id(), clock()
    refs = {
        name: RecordingRef(key=f"inferences/{iid}/{name}", sha256=upload.sha256, size=upload.size)
        for name, upload in submission.recordings.items()
    }
    message = InferenceRequested(
        trace_id=submission.trace_id,
        inference_id=iid,
        model=model.name,
        model_version=model.registry_version,
        recordings=refs,
        metadata=dict(metadata.for_model()),
        deadline=to_text(now + rules.answer_within),
    )
    return Inference(
        id=iid,
        created_at=now,
        user_id=submission.principal.id,
        hospital_id=submission.principal.hospital_id,
        model_id=model.id,
        model=model.name,
        model_version=model.registry_version,
        deadline=now + rules.answer_within,
        recordings=refs,
        metadata=metadata,
        idempotency_key=submission.idempotency_key,
        body_digest=submission.digest(),
        outbox=(OutboxEntry(topic=model.topic, message=message),),
    )

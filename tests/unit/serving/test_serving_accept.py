"""Accepting: recordings before the document, one inference per idempotency key, whoever races or dies."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import soundfile

from spira.infra.documents.port import Documents
from spira.kernel.access import Principal
from spira.kernel.errors import Unavailable
from spira.kernel.ids import sha256_hex
from spira.privacy.sealed_objects import SealedObjects
from spira.serving.core.inference import Inference, NewModel
from spira.serving.ports import INFERENCES
from spira.serving.use_cases import models
from spira.serving.use_cases.accept import AcceptRules, Submission, Upload, accept

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
CLINICIAN = Principal(id="u-1", role="clinician", hospital_id="h-1")


def tone() -> bytes:
    buffer = io.BytesIO()
    moments = np.arange(16_000) / 16_000
    noise = 0.01 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(buffer, 0.3 * np.sin(2 * np.pi * 150 * moments) + noise, 16_000, format="WAV")
    return buffer.getvalue()


def submission(*, key: str | None = "k-1", **fields: str) -> Submission:
    data = tone()
    upload = Upload(stream=io.BytesIO(data), sha256=sha256_hex(data), size=len(data))
    return Submission(
        principal=CLINICIAN, model="tiny", fields=fields, recordings={"sustained": upload}, idempotency_key=key
    )


class Desk:
    """Where requests are accepted."""

    def __init__(self, documents: Documents, objects: SealedObjects) -> None:
        self.documents, self.objects = documents, objects
        models.add_model(NewModel(name="tiny", version="3"), documents=documents, clock=lambda: NOW)

    def accept(self, submitted: Submission) -> Inference:
        rules = AcceptRules(answer_within=timedelta(minutes=2))
        return accept(submitted, documents=self.documents, objects=self.objects, clock=lambda: NOW, rules=rules)

    def kept(self) -> list[str]:
        return [info.key for info in self.objects.list("inferences/")]


@pytest.fixture
def desk(documents: Documents, objects: SealedObjects) -> Desk:
    return Desk(documents, objects)


@contextmanager
def away(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise Unavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(documents, "insert", refuse)
        yield


def test_what_is_accepted_owes_a_message_that_identifies_nobody(desk: Desk) -> None:
    inference = desk.accept(submission(age="44", rgh="14259401E", local="Ward 7"))

    (owed,) = inference.outbox
    assert inference.outbox_state == "pending"
    assert inference.deadline == NOW + timedelta(minutes=2)
    assert owed.topic == "spira.inference.requested.tiny"
    assert owed.message.metadata == {"age": 44}
    assert owed.message.model_version == "3"
    assert desk.kept() == [f"inferences/{inference.id}/sustained"]


def test_of_many_that_race_with_one_key_one_is_accepted_and_its_recordings_alone_are_kept(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(desk.accept, [submission() for _ in range(8)]))

    assert len({inference.id for inference in accepted}) == 1
    assert desk.documents.count(INFERENCES.name) == 1
    assert desk.kept() == [f"inferences/{accepted[0].id}/sustained"]


def test_without_a_key_every_request_is_a_new_one(desk: Desk) -> None:
    first, second = desk.accept(submission(key=None)), desk.accept(submission(key=None))

    assert first.id != second.id


def test_when_the_document_can_t_be_written_nothing_is_accepted_and_the_same_call_works_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with away(desk.documents, monkeypatch), pytest.raises(Unavailable):
        desk.accept(submission())

    assert desk.documents.count(INFERENCES.name) == 0
    assert desk.accept(submission()).status == "processing"

"""Messages survive the wire, ignore what is newer inside a version, and refuse a newer version."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel import topics
from spira.kernel.errors import InvalidInput
from spira.kernel.messages import InferenceCompleted, InferenceRequested, Message, RecordingRef

DIGEST = "0" * 64
REFS = st.builds(RecordingRef, key=st.text(min_size=1), sha256=st.just(DIGEST), size=st.integers(0, 2**40))
REQUESTS = st.builds(
    InferenceRequested,
    inference_id=st.text(),
    model=st.text(),
    model_version=st.text(),
    recordings=st.dictionaries(st.text(), REFS, max_size=3),
    metadata=st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), max_size=3
    ),
    trace_id=st.text(),
)


@given(REQUESTS)
def test_a_message_survives_the_wire(request: InferenceRequested) -> None:
    assert InferenceRequested.from_bytes(request.to_bytes()) == request


def test_fields_that_are_not_known_are_ignored() -> None:
    assert Message.from_bytes(b'{"schema_version": 1, "trace_id": "t", "new": [1]}') == Message(trace_id="t")


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(InvalidInput, match="schema_version 2 is newer than 1"):
        Message.from_bytes(b'{"schema_version": 2}')


def test_wrong_fields_are_named() -> None:
    good = InferenceRequested(inference_id="i", model="m", model_version="1", recordings={})
    wrong = json.loads(good.to_bytes()) | {"recordings": {"rhyme": {"key": "k", "sha256": "x", "size": -1}}}

    with pytest.raises(InvalidInput) as error:
        InferenceRequested.from_bytes(json.dumps(wrong).encode())

    assert {problem.where for problem in error.value.problems} == {"recordings.rhyme.sha256", "recordings.rhyme.size"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"null"])
def test_what_is_no_message_is_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        Message.from_bytes(data)


def test_an_answer_is_a_diagnosis_or_a_reason() -> None:
    common = {"inference_id": "i", "model": "m", "model_version": "1"}

    for wrong in (
        {"outcome": "completed"},
        {"outcome": "failed"},
        {"outcome": "failed", "reason": "no", "diagnosis": "positive"},
        {"outcome": "completed", "diagnosis": "positive", "scores": {"positive": 1.5}},
    ):
        with pytest.raises(InvalidInput):
            InferenceCompleted.from_bytes(json.dumps(common | wrong).encode())
    failed = InferenceCompleted.from_bytes(json.dumps({**common, "outcome": "failed", "reason": "no"}).encode())
    assert failed.reason == "no"


def test_a_topic_of_requests_is_named_after_its_model() -> None:
    assert topics.inference_requested("spira-v2") == "spira.inference.requested.spira-v2"


@pytest.mark.parametrize("model", ["", "-a", "a-", "A", "a.b", "a" * 64, "a\n"])
def test_a_model_whose_name_could_not_be_a_topic_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="model name"):
        topics.inference_requested(model)

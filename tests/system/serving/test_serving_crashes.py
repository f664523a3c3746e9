"""Processes killed with SIGKILL between any two effects: nothing is lost, nothing is there twice."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from spira.serving.ports import INFERENCES, RESULTS

WORKER_DEATHS = (
    "consumer.poll:after:1",
    "objects.get:after:2",
    "scorer.score:after:1",
    "broker.publish:before:1",
    "broker.publish:after:1",
    "consumer.commit:after:1",
)
RESULTS_DEATHS = (
    "broker.publish:before:1",
    "broker.publish:after:1",
    "documents.insert:before:2",
    "documents.insert:after:2",
    "documents.replace:after:3",
    "consumer.poll:after:1",
    "consumer.commit:before:1",
)
"""Of a `replace`: the outbox's note or the end of an inference."""


@pytest.mark.timeout(120)
def test_killed_at_every_point_each_request_still_has_one_result(system: Any, clinician: Any) -> None:
    accepted: list[str] = []
    healthy = system.start_results()
    for number, point in enumerate(WORKER_DEATHS):
        accepted += _submit_until_killed(system, clinician, system.start_worker(point), point, seed=10 * number)
    system.stop(healthy)
    system.start_worker()
    for number, point in enumerate(RESULTS_DEATHS, start=len(WORKER_DEATHS)):
        accepted += _submit_until_killed(system, clinician, system.start_results(point), point, seed=10 * number)
    system.start_results()

    ended = [clinician.wait(iid) for iid in accepted]

    documents = system.documents()
    assert {one["inference"]["status"] for one in ended} == {"completed"}
    assert sorted(one["inference_id"] for one in documents.find(RESULTS.name)) == sorted(accepted)
    assert documents.count(INFERENCES.name) == len(accepted)


def test_a_client_that_asks_again_after_a_crash_gets_its_first_receipt(system: Any, clinician: Any) -> None:
    system.start_results()
    system.start_worker()
    key = {"Idempotency-Key": "request-0001"}
    first = clinician.submit(seed=1, headers=key).json()
    system.kill(system.processes[0])
    system.start_api()

    again = clinician.submit(seed=1, headers=key).json()

    assert again == first
    assert clinician.wait(first["inference_id"])["inference"]["status"] == "completed"
    assert system.documents().count(INFERENCES.name) == 1


def test_a_request_that_nobody_answers_fails_at_its_deadline(system: Any, user: Any) -> None:
    system.start_api(SPIRA_ANSWER_WITHIN_S="0.3")
    system.start_results()

    with system.signed_in(user) as clinician:
        ended = clinician.wait(clinician.submit().json()["inference_id"])

    assert ended["inference"]["status"] == "failed"
    assert "deadline" in ended["result"]["reason"]


def test_a_broken_recording_fails_alone_and_garbage_goes_to_the_dead_letters(system: Any, clinician: Any) -> None:
    ids = [clinician.submit(seed=i).json()["inference_id"] for i in range(3)]
    (broken,) = (system.folder / "objects").rglob(f"{ids[1]}/sustained")
    broken.write_bytes(b"somebody wrote over this")
    system.publish("spira.inference.requested.tiny", b"\xff not a message")
    system.start_worker()
    system.start_results()

    ended = [clinician.wait(iid) for iid in ids]

    assert [one["inference"]["status"] for one in ended] == ["completed", "failed", "completed"]
    assert "differs from what was accepted" in ended[1]["result"]["reason"]
    assert system.wait_for_dead_letter().topic == "spira.inference.requested.tiny"


def test_nothing_that_identifies_a_person_reaches_logs_topics_or_object_names(system: Any, clinician: Any) -> None:
    system.start_worker()
    system.start_results()

    clinician.wait(clinician.submit(rgh="14259401E", local="Enfermaria 7").json()["inference_id"])

    names = " ".join(str(path.relative_to(system.folder)) for path in system.folder.rglob("*"))
    broker = b"".join(path.read_bytes() for path in system.folder.glob("broker.sqlite3*"))
    assert "14259401E" not in system.log() + names
    assert b"14259401E" not in broker
    assert b"Enfermaria 7" not in broker
    assert clinician.user.username not in system.log()


def _submit_until_killed(system: Any, clinician: Any, process: Any, point: str, *, seed: int) -> list[str]:
    accepted = [clinician.submit(seed=seed + i).json()["inference_id"] for i in range(3)]
    system.wait_for(lambda: process.poll() is not None, what=f"the death at {point}")
    assert process.returncode == -signal.SIGKILL, point
    return accepted

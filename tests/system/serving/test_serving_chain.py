"""A hospital's request through the real processes: API, relay, worker, result writer."""

from __future__ import annotations

from typing import Any


def test_a_request_gets_its_result(system: Any, clinician: Any) -> None:
    system.start_results()
    system.start_worker()

    submitted = clinician.submit(seed=3, age="44")
    answer = clinician.wait(submitted.json()["inference_id"])

    assert submitted.status_code == 201
    assert answer["inference"]["status"] == "completed"
    assert answer["result"]["diagnosis"] in {"positive", "negative"}
    assert 0.0 <= answer["result"]["scores"]["final"] <= 1.0

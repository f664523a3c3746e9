"""The HTTP surface of requests and results: what is accepted, what is refused and how."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from spira.serving.ports import INFERENCES


def fields_at_fault(answer: Any) -> list[str]:
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == answer.status_code
    return [problem["where"] for problem in answer.json["errors"]]


def test_a_request_is_kept_with_its_message_in_one_document(site: Any) -> None:
    answer = site.submit()

    (document,) = site.documents.find(INFERENCES.name)
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(answer.json["inference_id"])
    assert document["outbox_state"] == "pending"
    assert document["outbox"][0]["message"]["model_version"] == "7"
    assert document["hospital_id"] == site.hospital_id
    assert site.stored() == [f"objects/inferences/{document['id']}/sustained"]


def test_the_portuguese_names_of_the_recordings_are_understood(site: Any, recording: Any) -> None:
    parts = {name: recording() for name in ("aceite", "sustentada", "parlenda", "frase")} | {"model_id": "tiny"}

    answer = site.submit(parts)

    (document,) = site.documents.find(INFERENCES.name)
    assert answer.status_code == 201
    assert set(document["recordings"]) == {"acceptance", "sustained", "rhyme", "sentence"}


def test_an_empty_part_means_that_an_optional_recording_was_skipped(site: Any, recording: Any) -> None:
    answer = site.submit({"model_id": "tiny", "sustained": recording(), "frase": recording(b"")})

    assert answer.status_code == 201


def test_all_that_is_wrong_is_told_at_once(site: Any, recording: Any) -> None:
    answer = site.submit(
        {"model_id": "tiny", "rhyme": recording(b"no audio"), "age": "444", "gender": "undefined", "shoe": "42"}
    )

    assert answer.status_code == 422
    assert sorted(fields_at_fault(answer)) == ["age", "gender", "rhyme", "shoe", "sustained"]


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "silent", "clip of nothing"])
def test_a_recording_that_can_t_be_judged_is_named_and_nothing_is_kept(
    site: Any, recording: Any, wav: Any, kind: str
) -> None:
    data = {
        "empty": b"",
        "text": b"RIFF, but not really audio",
        "truncated": wav()[:3000],
        "silent": wav(level=0.0),
        "clip of nothing": wav(seconds=0.01),
    }[kind]

    answer = site.submit({"model_id": "tiny", "sustained": recording(data)})

    assert answer.status_code == 422
    assert set(fields_at_fault(answer)) == {"sustained"}
    assert site.stored() == []
    assert site.documents.count(INFERENCES.name) == 0


def test_an_ambient_recording_may_be_quiet(site: Any, recording: Any, wav: Any) -> None:
    parts = {"model_id": "tiny", "sustained": recording(), "ambient": recording(wav(level=0.0001))}

    assert site.submit(parts).status_code == 201


def test_a_file_that_is_no_recording_a_field_twice_and_a_recording_as_text_are_named(site: Any, recording: Any) -> None:
    parts = {"model_id": "tiny", "sustained": "text", "video": recording(), "age": ["4", "5"]}

    answer = site.submit(parts)

    assert answer.status_code == 422
    assert sorted(fields_at_fault(answer)) == ["age", "sustained", "video"]


def test_a_recording_sent_under_both_of_its_names_is_refused(site: Any, recording: Any) -> None:
    answer = site.submit({"model_id": "tiny", "sustained": recording(), "sustentada": recording()})

    assert fields_at_fault(answer) == ["sustained"]


def test_a_model_that_is_missing_or_unknown_is_refused(site: Any, recording: Any) -> None:
    assert fields_at_fault(site.submit({"sustained": recording()})) == ["model_id"]
    assert fields_at_fault(site.submit({"sustained": recording(), "model_id": "nope"})) == ["model_id"]


def test_too_large_a_recording_is_413_by_name_and_too_large_a_request_413(site: Any, recording: Any, wav: Any) -> None:
    large = site.submit({"model_id": "tiny", "sustained": recording(wav(seconds=8))})
    huge = site.submit({"model_id": "tiny", "sustained": recording(wav(seconds=14))})

    assert (large.status_code, fields_at_fault(large)) == (413, ["sustained"])
    assert (huge.status_code, huge.content_type) == (413, "application/problem+json")
    assert site.stored() == []


def test_another_media_type_is_415(site: Any) -> None:
    path = f"/v1/users/{site.users['clinician']}/inferences"

    as_json = site.call("clinician", "POST", path, json={"model_id": "tiny"})
    as_form = site.call("admin", "POST", "/v1/models", data={"name": "x"})

    assert (as_json.status_code, as_form.status_code) == (415, 415)


def test_a_wrong_method_and_a_broken_body_are_told_apart(site: Any) -> None:
    broken = site.call("admin", "POST", "/v1/models", data="{", content_type="application/json")
    method = site.call("admin", "DELETE", "/v1/models")

    assert broken.status_code == 400
    assert method.status_code == 405
    assert "GET" in method.headers["Allow"]


def test_a_hint_about_the_registration_number_does_not_block(site: Any, recording: Any) -> None:
    answer = site.submit({"model_id": "tiny", "sustained": recording(), "rgh": "12345678A"})

    assert answer.status_code == 201
    assert answer.json["warnings"][0]["where"] == "rgh"


def test_the_same_key_and_body_get_the_same_receipt(site: Any) -> None:
    first = site.submit(**{"Idempotency-Key": "k-1"})
    again = site.submit(**{"Idempotency-Key": "k-1"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json == first.json
    assert site.documents.count(INFERENCES.name) == 1
    assert len(site.stored()) == 1


def test_the_same_key_with_another_body_is_a_conflict(site: Any, recording: Any, wav: Any) -> None:
    site.submit(**{"Idempotency-Key": "k-1"})

    other = site.submit({"model_id": "tiny", "sustained": recording(wav(level=0.2))}, **{"Idempotency-Key": "k-1"})

    assert other.status_code == 409


def test_keys_of_two_users_are_two_keys(site: Any) -> None:
    first = site.submit(**{"Idempotency-Key": "k-1"})
    second = site.submit(role="service", **{"Idempotency-Key": "k-1"})

    assert first.json["inference_id"] != second.json["inference_id"]


def test_an_unusable_key_is_refused(site: Any) -> None:
    assert fields_at_fault(site.submit(**{"Idempotency-Key": "x" * 200})) == ["Idempotency-Key"]


def test_while_a_request_is_processing_its_result_says_when_to_ask_again(site: Any) -> None:
    path = site.submit().headers["Location"]

    answer = site.call("clinician", "GET", f"{path}/result")

    assert answer.status_code == 200
    assert answer.json["inference"]["status"] == "processing"
    assert answer.json["result"] is None
    assert answer.headers["Retry-After"] == "1"


def test_another_s_request_under_one_s_own_name_does_not_exist(site: Any) -> None:
    iid = site.submit().json["inference_id"]

    answer = site.call("service", "GET", f"/v1/users/{site.users['service']}/inferences/{iid}")

    assert answer.status_code == 404


@pytest.mark.parametrize("iid", ["x", "..", "%2e%2e%2fetc", "0" * 36])
def test_a_malformed_id_is_refused(site: Any, iid: str) -> None:
    answer = site.call("clinician", "GET", f"/v1/users/{site.users['clinician']}/inferences/{iid}")

    assert answer.status_code in {404, 422}


def test_the_list_is_paged_newest_first(site: Any, recording: Any) -> None:
    ids = [site.submit().json["inference_id"] for _ in range(3)]
    path = f"/v1/users/{site.users['clinician']}/inferences"

    first = site.call("clinician", "GET", f"{path}?limit=2").json["inferences"]
    rest = site.call("clinician", "GET", f"{path}?limit=2&before={first[-1]['id']}").json["inferences"]
    none = site.call("clinician", "GET", f"{path}?status=failed").json["inferences"]

    assert [one["id"] for one in first + rest] == ids[::-1]
    assert none == []
    assert site.call("clinician", "GET", f"{path}?limit=0").status_code == 422


def test_the_version_is_fixed_when_a_request_is_accepted(site: Any) -> None:
    before = site.submit().json
    site.call("operator", "PUT", f"/v1/models/{site.model_id}", json={"name": "tiny", "version": "8"})
    after = site.submit().json

    assert (before["model_version"], after["model_version"]) == ("7", "8")


def test_models_are_unique_and_carry_their_topic(site: Any) -> None:
    made = site.call("operator", "POST", "/v1/models", json={"name": "other", "version": "1"})
    again = site.call("operator", "POST", "/v1/models", json={"name": "other", "version": "2"})
    wrong = site.call("operator", "POST", "/v1/models", json={"name": "Other_Model", "version": "1"})

    assert made.status_code == 201
    assert made.json["topic"] == "spira.inference.requested.other"
    assert again.status_code == 409
    assert fields_at_fault(wrong) == ["name"]


def test_signing_in_takes_a_form_or_json_and_nothing_else(site: Any) -> None:
    path, credentials = "/v1/users/auth", {"username": "the-admin", "password": "correct horse battery"}

    answers = [site.http.post(path, data=credentials), site.http.post(path, json=credentials)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert set(answers[0].json) == {"id", "access_token", "token_type", "expires_in"}
    assert site.http.post(path, data=b"x", content_type="text/plain").status_code == 415
    assert fields_at_fault(site.http.post(path, data={"username": "a"})) == ["password"]
    assert site.http.post(path, json=["a"]).status_code == 400


def test_too_many_failed_sign_ins_are_429_with_a_time(site: Any) -> None:
    wrong = {"username": "the-admin", "password": "guess"}

    answers = [site.http.post("/v1/users/auth", data=wrong) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 900


def test_users_are_made_by_administrators_and_never_show_their_hash(site: Any) -> None:
    new = {
        "username": "bea",
        "email": "bea@example.org",
        "password": "correct horse battery",
        "password_confirmation": "correct horse battery",
        "hospital_id": site.hospital_id,
    }

    made = site.call("admin", "POST", "/v1/users", json=new)
    shown = site.call("admin", "GET", f"/v1/users/{made.json['id']}")
    again = site.call("admin", "POST", "/v1/users", json=new)
    weak = site.call("admin", "POST", "/v1/users", json=new | {"password": "short"})

    assert made.status_code == 201
    assert shown.json == made.json
    assert "hash" not in shown.text
    assert again.status_code == 409
    assert "password" in fields_at_fault(weak)
    assert "correct horse" not in weak.text


def test_a_request_id_is_echoed_when_it_is_one_and_made_when_it_is_not(site: Any) -> None:
    given = site.http.get("/healthz", headers={"X-Request-ID": "abc-12345678"})
    forged = site.http.get("/healthz", headers={"X-Request-ID": "x y"})

    assert given.headers["X-Request-ID"] == "abc-12345678"
    assert len(forged.headers["X-Request-ID"]) == 36


def test_an_unexpected_error_tells_nothing_but_the_id(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("spira.serving.http.routes.read.list_inferences", explode)

    answer = site.call("clinician", "GET", f"/v1/users/{site.users['clinician']}/inferences")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["X-Request-ID"] in answer.json["instance"]


def test_the_api_document_names_every_route_and_the_multipart_fields(site: Any) -> None:
    document = site.http.get("/openapi.json").json

    submit = document["paths"]["/v1/users/{uid}/inferences"]["post"]
    properties = submit["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"sustained", "rhyme", "rgh", "spo2", "model_id"} <= set(properties)
    assert {"201", "401", "403", "413", "422"} <= set(submit["responses"])
    assert {"/v1/users/auth", "/v1/models", "/v1/hospitals"} <= set(document["paths"])
    assert site.http.get("/docs/swagger").status_code == 200


def test_an_api_that_lost_its_documents_is_alive_but_not_ready(site: Any) -> None:
    assert site.http.get("/readyz").json["checks"] == {"documents": "ok", "objects": "ok"}
    assert site.http.get("/healthz").status_code == 200


def test_the_api_process_never_loads_torch_or_mlflow() -> None:
    program = "import sys, spira.apps.api; print([m for m in ('torch', 'mlflow', 'pandas') if m in sys.modules])"

    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_a_part_is_hashed_and_counted_but_not_kept_beyond_its_limit() -> None:
    from spira.infra.http.uploads import HashedPart
    from spira.kernel.ids import sha256_hex

    with HashedPart(limit=100) as part, HashedPart(limit=100) as over:
        part.write(b"a" * 60)
        part.write(b"b" * 40)
        over.write(b"a" * 200)

        assert (part.size, part.too_large, part.sha256) == (100, False, sha256_hex(b"a" * 60 + b"b" * 40))
        assert (over.size, over.too_large, over.tell()) == (200, True, 0)

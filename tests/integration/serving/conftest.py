"""The whole API over embedded stores, driven by Flask's test client."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from flask.testing import FlaskClient
from flask_openapi3.openapi import OpenAPI
from werkzeug.test import TestResponse

from spira.apps import api
from spira.apps.serving_settings import ApiSettings
from spira.identity.adapters.argon2_passwords import Argon2Passwords
from spira.identity.core import NewHospital, NewUser
from spira.identity.use_cases import people
from spira.infra.documents.port import Documents
from spira.infra.stores import open_documents
from spira.kernel.access import ROLES, Role
from spira.kernel.clock import utc_now
from spira.serving.core.inference import NewModel
from spira.serving.use_cases import models

PASSWORD = "correct horse battery"
Parts = dict[str, Any]


def wav(*, seconds: float = 1.0, level: float = 0.3, rate: int = 16_000) -> bytes:
    """A steady tone with a little noise."""
    rng = np.random.default_rng(0)
    moments = np.arange(int(rate * seconds)) / rate
    samples = level * np.sin(2 * np.pi * 150 * moments) + level / 30 * rng.standard_normal(len(moments))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV")
    return buffer.getvalue()


@dataclass
class Site:
    """The API with one user per role, all of one hospital, and one model on offer."""

    app: OpenAPI
    http: FlaskClient
    documents: Documents
    users: dict[Role, str]
    hospital_id: str
    model_id: str
    folder: Path

    def token(self, role: Role) -> str:
        answer = self.http.post("/v1/users/auth", data={"username": f"the-{role}", "password": PASSWORD})
        return str(answer.json["access_token"])  # type: ignore[index]  # fails the test when there is none

    def call(self, role: Role | None, method: str, path: str, **rest: Any) -> TestResponse:
        headers = rest.pop("headers", {})
        if role is not None:
            headers["Authorization"] = f"Bearer {self.token(role)}"
        return self.http.open(path, method=method, headers=headers, **rest)

    def submit(self, parts: Parts | None = None, *, role: Role = "clinician", **headers: str) -> TestResponse:
        sent = {"model_id": "tiny", "sustained": recording()} if parts is None else parts
        path = f"/v1/users/{self.users[role]}/inferences"
        content = "multipart/form-data"
        return self.call(role, "POST", path, data=sent, content_type=content, headers=dict(headers))

    def stored(self) -> list[str]:
        return sorted(str(p.relative_to(self.folder)) for p in (self.folder / "objects").rglob("*") if p.is_file())


def recording(data: bytes | None = None, name: str = "a.wav") -> tuple[io.BytesIO, str]:
    return io.BytesIO(wav() if data is None else data), name


@pytest.fixture(name="recording")
def _recording() -> Callable[..., tuple[io.BytesIO, str]]:
    return recording


@pytest.fixture(name="wav")
def _wav() -> Callable[..., bytes]:
    return wav


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    cheap = Argon2Passwords(time_cost=1, memory_kib=64)
    monkeypatch.setattr(api, "Argon2Passwords", lambda: cheap)
    settings = ApiSettings(
        objects_url=f"file:{tmp_path}/objects",
        documents_url=f"sqlite:{tmp_path}/documents.sqlite3",
        keys_dir=tmp_path / "keys",
        max_recording_bytes=200_000,
        max_request_bytes=400_000,
    )
    app = api.create_app(settings)
    documents = open_documents(settings.documents_url)
    people.declare(documents)
    models.declare(documents)
    hospital = people.add_hospital(NewHospital(name="HC"), documents=documents, clock=utc_now)
    model = models.add_model(NewModel(name="tiny", version="7"), documents=documents, clock=utc_now)
    users: dict[Role, str] = {}
    for role in ROLES:
        new = NewUser(
            username=f"the-{role}",
            email=f"{role}@example.org",
            password=PASSWORD,
            role=role,
            hospital_id=hospital.id,
        )
        users[role] = people.add_user(new, documents=documents, passwords=cheap, clock=utc_now).id
    return Site(
        app=app,
        http=app.test_client(),
        documents=documents,
        users=users,
        hospital_id=hospital.id,
        model_id=model.id,
        folder=tmp_path,
    )

"""The platform as real processes over embedded stores in a temporary folder."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from spira.identity.adapters.argon2_passwords import Argon2Passwords
from spira.identity.core import NewHospital, NewUser, User
from spira.identity.use_cases import people
from spira.infra.broker.port import Record
from spira.infra.documents.port import Documents
from spira.infra.stores import open_broker, open_documents
from spira.kernel.clock import utc_now
from spira.kernel.messages import DeadLetter
from spira.kernel.topics import INFERENCE_DEAD_LETTER
from spira.serving.core.inference import NewModel
from spira.serving.use_cases import models

SCRIPTED = Path(__file__).with_name("scripted.py")
PASSWORD = "correct horse battery"


def wait_for(condition: Callable[[], Any], *, what: str, timeout_s: float = 20.0) -> Any:
    """The first true value of `condition`; fails the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"waited {timeout_s} s for {what}")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def vowel(seed: int = 0, *, seconds: float = 1.0) -> bytes:
    """A WAV of a steady tone with some noise."""
    rng = np.random.default_rng(seed)
    moments = np.arange(int(16_000 * seconds)) / 16_000
    samples = 0.3 * np.sin(2 * np.pi * (120 + seed % 80) * moments) + 0.01 * rng.standard_normal(len(moments))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


@dataclass
class System:
    """One folder of stores and the processes that work on it."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPIRA_")}  # noqa: TID251 - children get the rest
        return kept | {
            "SPIRA_OBJECTS_URL": f"file:{self.folder}/objects",
            "SPIRA_DOCUMENTS_URL": f"sqlite:{self.folder}/documents.sqlite3",
            "SPIRA_BROKER_URL": f"sqlite:{self.folder}/broker.sqlite3?session_s=1",
            "SPIRA_KEYS_DIR": f"{self.folder}/keys",
            "SPIRA_PORT": str(self.port),
            "SPIRA_API_WORKERS": "1",
            "SPIRA_MODEL": "tiny",
            "SPIRA_SWEEP_EVERY_S": "0.2",
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def documents(self) -> Documents:
        opened = open_documents(self.environment["SPIRA_DOCUMENTS_URL"])
        people.declare(opened)
        models.declare(opened)
        return opened

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "processes.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, *words], env=self.environment | environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.processes.append(process)
        return process

    def start_api(self, **environment: str) -> subprocess.Popen[bytes]:
        process = self.start("-m", "spira.apps.api", **environment)
        wait_for(self.is_ready, what="the API")
        return process

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to the process and all its children at once, as when a container dies."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def start_worker(self, doom: str = "never:before:1") -> subprocess.Popen[bytes]:
        return self.start(str(SCRIPTED), "worker", doom)

    def start_results(self, doom: str = "never:before:1") -> subprocess.Popen[bytes]:
        return self.start(str(SCRIPTED), "results", doom)

    @contextmanager
    def signed_in(self, user: User) -> Iterator[Clinician]:
        with httpx.Client(base_url=self.url, timeout=20) as http:
            answer = http.post("/v1/users/auth", data={"username": user.username, "password": PASSWORD})
            http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            yield Clinician(user=user, http=http)

    def publish(self, topic: str, value: bytes) -> None:
        with closing(open_broker(self.environment["SPIRA_BROKER_URL"])) as broker:
            broker.publish([Record(topic=topic, key="k", value=value)])

    def wait_for_dead_letter(self) -> DeadLetter:
        with (
            closing(open_broker(self.environment["SPIRA_BROKER_URL"])) as broker,
            broker.subscribe(group="test", topics=[INFERENCE_DEAD_LETTER]) as consumer,
        ):
            found = wait_for(lambda: consumer.poll(timeout_s=0.2), what="a dead letter")
        return DeadLetter.from_bytes(found[0].value)

    def wait_for(self, condition: Callable[[], Any], *, what: str) -> Any:
        return wait_for(condition, what=what)

    def log(self) -> str:
        return (self.folder / "processes.log").read_text()

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Clinician:
    """A signed-in user of the running API."""

    user: User
    http: httpx.Client

    def submit(self, seed: int = 0, **fields: Any) -> httpx.Response:
        files = {"sustained": ("a.wav", vowel(seed), "audio/wav")}
        headers = fields.pop("headers", {})
        return self.http.post(
            f"/v1/users/{self.user.id}/inferences", data={"model_id": "tiny", **fields}, files=files, headers=headers
        )

    def result(self, iid: str) -> Any:
        return self.http.get(f"/v1/users/{self.user.id}/inferences/{iid}/result").json()

    def wait(self, iid: str) -> Any:
        def ended() -> Any:
            answer = self.result(iid)
            return answer if answer["inference"]["status"] != "processing" else None

        return wait_for(ended, what=f"the end of {iid}")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    started = System(folder=tmp_path)
    yield started
    started.close()


@pytest.fixture
def user(system: System) -> User:
    documents = system.documents()
    hospital = people.add_hospital(NewHospital(name="Hospital das Clínicas"), documents=documents, clock=utc_now)
    models.add_model(NewModel(name="tiny", version="1"), documents=documents, clock=utc_now)
    new = NewUser(username="ana", email="ana@example.org", password=PASSWORD, hospital_id=hospital.id)
    return people.add_user(
        new, documents=documents, passwords=Argon2Passwords(time_cost=1, memory_kib=64), clock=utc_now
    )


@pytest.fixture
def clinician(system: System, user: User) -> Iterator[Clinician]:
    system.start_api()
    with system.signed_in(user) as signed_in:
        yield signed_in


@pytest.fixture(name="vowel")
def _vowel() -> Callable[..., bytes]:
    return vowel

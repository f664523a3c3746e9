"""`spira up` to `spira down`: a registered model served by local processes, asked by the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spira.apps import local
from spira.infra.mlflow_registry import MlflowRegistry, Publication

SPIRA = [sys.executable, "-m", "spira.apps.cli"]


class Terminal:
    """Commands typed in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPIRA_")}  # noqa: TID251 - children get the rest
        self.environment = kept | {"SPIRA_USERNAME": "ana", "SPIRA_PASSWORD": "correct horse battery"}

    def run(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.type(*words)
        assert done.returncode == status, done.stderr + done.stdout
        return done

    def type(self, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SPIRA, *words],
            cwd=self.folder,
            env=self.environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def read(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def processes(self) -> list[local.LocalProcess]:
        return local.remembered(self.folder / "var/run")


@pytest.fixture
def terminal(tmp_path: Path) -> Any:
    opened = Terminal(tmp_path)
    yield opened
    local.stop(opened.processes(), run=tmp_path / "var/run", grace_s=5)


def publish_toy(folder: Path) -> None:
    described = folder / "model.json"
    described.write_text(json.dumps({"settings": {"required_recordings": ["sustained"]}}))
    registry = MlflowRegistry(f"sqlite:///{folder}/var/mlflow/mlflow.db", folder / "var/mlflow/artifacts")
    registry.publish(
        Publication(
            name="toy",
            alias="challenger",
            code=Path(__file__).with_name("toy_model.py"),
            files={"model": described},
            inputs=[("metadata", "string"), ("sustained", "binary")],
            outputs=[("diagnosis", "string"), ("scores", "string")],
            requirements=["mlflow"],
            parameters={},
            metrics={},
            curves={},
            datasets={},
            attachments={},
        )
    )


@pytest.mark.timeout(180)
def test_a_registered_model_is_served_asked_and_stopped(terminal: Any, vowel: Any) -> None:
    (terminal.folder / "a.wav").write_bytes(vowel())
    publish_toy(terminal.folder)
    terminal.run("hospitals", "create", "Hospital das Clínicas")
    terminal.run("users", "create", "ana", "--email", "ana@example.org", "--hospital", "Hospital das Clínicas")

    where = terminal.read("up", "--port", "0", "--no-mlflow")
    told = terminal.read("infer", "--model", "toy", "--sustained", "a.wav", "--field", "age=44", "--url", where["api"])
    refused = terminal.run("infer", "--model", "toy", "--rhyme", "a.wav", "--url", where["api"], status=2)
    running = terminal.processes()
    again = terminal.run("up", "--no-mlflow", status=4)
    terminal.run("down")

    assert where["models"] == {"toy": "1"}
    assert told["status"] == "completed"
    assert told["scores"] == {"final": len(vowel()) % 100 / 100}
    assert "sustained" in refused.stderr
    assert "runs already" in again.stderr
    assert {process.name for process in running} == {"api", "results", "worker.toy"}
    assert [process for process in running if process.members()] == []
    assert terminal.processes() == []


def test_down_leaves_alone_what_has_only_inherited_a_number(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        stranger = local.LocalProcess(name="api", pid=innocent.pid, started="1")

        local.stop([stranger], run=tmp_path, grace_s=0.2)

        assert innocent.poll() is None
        innocent.kill()


def test_what_ignores_the_polite_signal_is_ended_by_force(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    process, child = local.start(
        "stubborn", [sys.executable, "-c", stubborn], environment={}, run=tmp_path / "run", log=tmp_path / "log"
    )
    while "up" not in (tmp_path / "log/stubborn.log").read_text():
        assert child.poll() is None

    local.stop([process], run=tmp_path / "run", grace_s=0.3)

    assert child.wait(5) == -signal.SIGKILL
    assert local.remembered(tmp_path / "run") == []


def test_a_port_that_is_taken_is_told_and_nothing_stays_behind(terminal: Any) -> None:
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        done = terminal.run("up", "--no-mlflow", "--port", str(other.getsockname()[1]), status=4)

    assert "is taken" in done.stderr
    assert terminal.processes() == []


def test_a_model_that_nobody_registered_is_not_found(terminal: Any) -> None:
    assert "empty" in terminal.run("up", "--no-mlflow", "--model", "nope", status=3).stderr


@pytest.mark.parametrize("words", ["serve serving", "worker", "infer", "users create", "up"])
def test_a_command_explains_itself_and_its_environment(terminal: Any, words: str) -> None:
    told = terminal.run(*words.split(), "--help").stdout

    assert "Usage: spira" in told
    assert words == "users create" or "SPIRA_" in told


def test_a_password_on_standard_input_is_taken_and_a_weak_one_named(terminal: Any) -> None:
    words = ("users", "create", "root", "--email", "r@example.org", "--role", "admin", "--password-file", "-")

    weak = terminal.type(*words, answer="short\n")
    fine = terminal.type(*words, answer="long enough now\n")

    assert weak.returncode == 2
    assert "password" in weak.stderr
    assert fine.returncode == 0

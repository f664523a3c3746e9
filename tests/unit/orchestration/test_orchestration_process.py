from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import InvalidInput, SpiraError
from spira.orchestration.contract import Done
from spira.orchestration.manifest import Outside
from spira.orchestration.planning import Planned, plan
from spira.orchestration.process import Run, run_locally
from spira.orchestration.workbench import Progress

WORKER = """
import json, os, sys, time
from pathlib import Path
from spira.infra.objects.file_objects import FileObjects
from spira.orchestration.contract import Request, run_step
from spira.orchestration.manifest import Outside
from spira.orchestration.steps import step_named

def say(**line):
    os.write(int(os.environ["SPIRA_STEP_PROGRESS_FD"]), json.dumps(line).encode() + b"\\n")

def body(bench):
    say(done=1, total=2, note="half")
    fault = os.environ.get("FAULT", "")
    if fault == step.name + ":die":
        print("last words", flush=True)
        os.kill(os.getpid(), 9)
    if fault == step.name + ":refuse":
        say(error="InvalidInput", message="bad rows", problems=[{"where": "row 2", "what": "is bad", "hint": ""}])
        sys.exit(2)
    if fault == step.name + ":hang":
        Path(os.environ["PIDS"]).write_text(str(os.getpid()))
        time.sleep(60)
    bench.write("out", step.name.encode())

step = step_named(sys.argv[1])
objects = FileObjects(Path(os.environ["ROOT"]))
request = Request(
    step=step,
    config=json.loads(objects.get(os.environ["SPIRA_STEP_CONFIG"])),
    parameters=json.loads(os.environ["SPIRA_STEP_PARAMETERS"]),
    inputs=json.loads(os.environ["SPIRA_STEP_INPUTS"]),
    outside={k: Outside(**v) for k, v in json.loads(os.environ["SPIRA_STEP_OUTSIDE"]).items()},
)
done = run_step(request, body, objects=objects, force=json.loads(os.environ["SPIRA_STEP_FORCE"]))
say(manifest=done.manifest_key, reused=done.reused, repaired=list(done.repaired))
"""
PLAN = plan(folds=2, cross_validate=True)
CONFIG: dict[str, dict[str, int]] = {section: {} for planned in PLAN for section in planned.step.sections}
OUTSIDE = {name: Outside(location="/x", digest="d") for name in ("dataset", "pseudonyms", "registry")}


class Heard:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.done: dict[str, bool] = {}
        self.notes: list[str] = []

    def planned(self, steps: Sequence[Planned]) -> None:
        self.notes.append(f"{len(steps)} steps")

    def progressed(self, label: str, progress: Progress) -> None:
        self.notes.append(f"{label} {progress.done}/{progress.total} {progress.note}")

    def finished(self, label: str, done: Done) -> None:
        self.done[label] = done.reused


def run(root: Path, heard: Heard, *, fault: str = "", first: str | None = None, folds: int = 2) -> dict[str, Done]:
    environment = {"PATH": os.defpath, "ROOT": str(root), "FAULT": fault, "PIDS": str(root / "pid")}
    given = Run(
        steps=plan(folds=folds, cross_validate=folds > 2),
        config=CONFIG,
        outside=OUTSIDE,
        environment=environment,
        first=first,
        jobs=2,
        command=(sys.executable, "-c", WORKER),
    )
    return run_locally(given, objects=FileObjects(root), watcher=heard)


def test_steps_run_as_processes_and_a_second_run_starts_none(tmp_path: Path) -> None:
    first, second = Heard(), Heard()

    done = run(tmp_path, first, folds=3)
    again = run(tmp_path, second, folds=3, fault="validate:die")

    assert list(done) == [
        "validate",
        "features",
        "train",
        "train@1",
        "train@2",
        "ensemble",
        "ensemble@1",
        "ensemble@2",
        "evaluate",
        "cross-validate",
        "publish",
    ]
    assert "train 1/2 half" in first.notes
    assert not any(first.done.values())
    assert all(second.done.values())
    assert {label: one.manifest_key for label, one in again.items()} == {k: v.manifest_key for k, v in done.items()}


def test_from_a_step_on_everything_is_done_again(tmp_path: Path) -> None:
    run(tmp_path, Heard())
    heard = Heard()

    run(tmp_path, heard, first="evaluate")

    assert heard.done == {
        "validate": True,
        "features": True,
        "train": True,
        "ensemble": True,
        "evaluate": False,
        "publish": False,
    }


def test_a_refusal_comes_through_with_all_its_problems(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="bad rows") as caught:
        run(tmp_path, Heard(), fault="validate:refuse")

    assert [str(problem) for problem in caught.value.problems] == ["row 2: is bad"]


def test_a_killed_process_is_told_with_its_last_words_and_the_next_run_goes_on_from_there(tmp_path: Path) -> None:
    heard = Heard()

    with pytest.raises(SpiraError, match=r"(?s)step 'train' was ended by signal 9; --resume continues it.*last words"):
        run(tmp_path, Heard(), fault="train:die")
    run(tmp_path, heard)

    assert heard.done == {
        "validate": True,
        "features": True,
        "train": False,
        "ensemble": False,
        "evaluate": False,
        "publish": False,
    }


def test_an_interrupt_ends_the_processes(tmp_path: Path) -> None:
    class Interrupting(Heard):
        def progressed(self, label: str, progress: Progress) -> None:
            deadline = time.monotonic() + 20
            while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
                threading.Event().wait(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupting(), fault="validate:hang")

    pid = int((tmp_path / "pid").read_text())
    assert not (Path("/proc") / str(pid)).exists()

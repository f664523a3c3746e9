"""The local runner: every step a process, as in a cluster, with what is done already skipped without starting one.

A step's process is told what to do by environment variables and tells how far it is by JSON lines on a pipe:
`{"done": 3, "total": 40, "note": "…"}`, then `{"manifest": KEY}` or `{"error": …}`. When the runner is
interrupted it ends its processes; when it dies, their next word finds the pipe closed and they end themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, Self

from spira.infra.objects.port import Objects
from spira.kernel import errors
from spira.kernel.errors import InvalidInput, Problem, SpiraError
from spira.kernel.ids import sha256_hex
from spira.orchestration.contract import Done, Request, find_done
from spira.orchestration.manifest import Outside, read_manifest
from spira.orchestration.planning import Planned
from spira.orchestration.steps import STEPS
from spira.orchestration.workbench import Progress

COMMAND = (sys.executable, "-m", "spira.apps.cli", "step")
_GRACE_S = 10.0
_TOLD_LINES = 30


class Watcher(Protocol):
    """Shows people what the runner does. Called from one thread."""

    def planned(self, steps: Sequence[Planned]) -> None: ...

    def progressed(self, label: str, progress: Progress) -> None: ...

    def finished(self, label: str, done: Done) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run is given."""

    steps: Sequence[Planned]
    config: Mapping[str, Any]
    outside: Mapping[str, Outside]
    environment: Mapping[str, str]
    """The whole environment of the steps' processes."""
    first: str | None = None
    """This step and all later ones are done again."""
    resume: bool = False
    jobs: int = 1
    command: Sequence[str] = field(default=COMMAND)


def run_locally(run: Run, *, objects: Objects, watcher: Watcher) -> dict[str, Done]:
    """All steps' outcomes by label, in the order of the plan; raises the first failing step's error."""
    config_key = store_config(run.config, objects=objects)
    watcher.planned(run.steps)
    done: dict[str, Done] = {}
    with _Processes() as processes:
        while len(done) < len(run.steps):
            for planned in _ready(run.steps, done, processes):
                request = request_of(planned, run, done)
                forced = _is_forced(planned, run.first)
                found = None if forced else find_done(request, objects=objects)
                if found is not None:
                    done[planned.label] = found
                    watcher.finished(planned.label, found)
                elif len(processes.running) < run.jobs:
                    environment = step_environment(request, config_key=config_key, resume=run.resume, force=forced)
                    processes.start(planned, command=run.command, environment={**run.environment, **environment})
            if processes.running:
                _hear(processes, done, objects=objects, watcher=watcher)
    return {planned.label: done[planned.label] for planned in run.steps}


def store_config(config: Mapping[str, Any], *, objects: Objects) -> str:
    """Put the configuration where steps find it, under its digest; gives the key."""
    data = json.dumps(config, sort_keys=True, indent=1).encode()
    return objects.put(f"configs/{sha256_hex(data)}.json", data).key


def request_of(planned: Planned, run: Run, done: Mapping[str, Done]) -> Request:
    return Request(
        step=planned.step,
        config=run.config,
        parameters=planned.parameters,
        inputs={label: done[label].manifest_key for label in planned.after},
        outside=run.outside,
        image=run.environment.get("SPIRA_IMAGE", ""),
    )


def step_environment(request: Request, *, config_key: str, resume: bool, force: bool) -> dict[str, str]:
    """The variables that tell a step's process, or a pod, what to do."""
    outside = {name: one.model_dump() for name, one in request.outside.items() if name in request.step.outside}
    return {
        "SPIRA_STEP_CONFIG": config_key,
        "SPIRA_STEP_PARAMETERS": json.dumps(dict(request.parameters)),
        "SPIRA_STEP_INPUTS": json.dumps(dict(request.inputs)),
        "SPIRA_STEP_OUTSIDE": json.dumps(outside),
        "SPIRA_STEP_RESUME": json.dumps(resume),
        "SPIRA_STEP_FORCE": json.dumps(force),
    }


def _ready(steps: Sequence[Planned], done: Mapping[str, Done], processes: _Processes) -> list[Planned]:
    return [
        one
        for one in steps
        if one.label not in done and one.label not in processes.running and all(name in done for name in one.after)
    ]


def _is_forced(planned: Planned, first: str | None) -> bool:
    names = [step.name for step in STEPS]
    return first is not None and names.index(planned.step.name) >= names.index(first)


def _hear(processes: _Processes, done: dict[str, Done], *, objects: Objects, watcher: Watcher) -> None:
    label, line = processes.lines.get()
    if label not in processes.running:
        return
    if line is None:
        raise processes.end_of(label)
    if "manifest" in line:
        processes.finish(label)
        manifest = read_manifest(objects, line["manifest"])
        done[label] = Done(
            manifest=manifest,
            manifest_key=line["manifest"],
            reused=line["reused"],
            repaired=tuple(line["repaired"]),
        )
        watcher.finished(label, done[label])
    elif "error" in line:
        processes.finish(label)
        raise error_from(line)
    else:
        watcher.progressed(label, Progress(done=line["done"], total=line["total"], note=line["note"]))


def error_from(line: Mapping[str, Any]) -> SpiraError:
    """The error that a step's process told, as the class that it was there."""
    problems = [Problem(**problem) for problem in line.get("problems", [])]
    kind = getattr(errors, line["error"], SpiraError)
    return InvalidInput(line["message"], problems=problems) if kind is InvalidInput else kind(line["message"])


@dataclass(frozen=True, kw_only=True)
class _Running:
    process: subprocess.Popen[bytes]
    stderr: BinaryIO
    reader: threading.Thread


class _Processes:
    """The steps' processes, their lines as they come, and their end."""

    def __init__(self) -> None:
        self.running: dict[str, _Running] = {}
        self.lines: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.running.values():
            one.process.terminate()
        for label in list(self.running):
            self.finish(label)

    def start(self, planned: Planned, *, command: Sequence[str], environment: Mapping[str, str]) -> None:
        read_end, write_end = os.pipe()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `finish`
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            [*command, planned.step.name],
            env={**environment, "SPIRA_STEP_PROGRESS_FD": str(write_end)},
            pass_fds=[write_end],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        )
        os.close(write_end)
        reader = threading.Thread(target=self._read, args=(planned.label, read_end), daemon=True)
        reader.start()
        self.running[planned.label] = _Running(process=process, stderr=stderr, reader=reader)

    def _read(self, label: str, read_end: int) -> None:
        with open(read_end, encoding="utf-8") as lines:
            for line in lines:
                self.lines.put((label, json.loads(line)))
        self.lines.put((label, None))

    def finish(self, label: str) -> None:
        one = self.running.pop(label)
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(_GRACE_S)
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.stderr.close()

    def end_of(self, label: str) -> SpiraError:
        """The error for a process that ended without a word, with the last lines it wrote."""
        one = self.running[label]
        code = one.process.wait()
        one.stderr.seek(0)
        told = one.stderr.read().decode(errors="replace").splitlines()[-_TOLD_LINES:]
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return SpiraError("\n".join([f"step {label!r} {how}; --resume continues it", *told]))

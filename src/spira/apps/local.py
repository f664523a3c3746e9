"""Local background processes: started in sessions of their own, remembered in pid files, stopped by nobody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.05
_STATE, _SESSION, _STARTED = 0, 3, 19
"""Fields of /proc/PID/stat behind the command's closing parenthesis (proc(5)); `started` is in clock ticks."""


@dataclass(frozen=True, kw_only=True)
class LocalProcess:
    """A process that leads its own session; `started` tells it from a later one with the same number."""

    name: str
    pid: int
    started: str

    def is_running(self) -> bool:
        stat = _stat(self.pid)
        return stat is not None and stat[_STATE] != "Z" and stat[_STARTED] == self.started

    def members(self) -> list[int]:
        """It and what it started, as far as that is still alive; a session's number is not given out again before."""
        leader = _stat(self.pid)
        if leader is not None and leader[_STARTED] != self.started:
            return []
        pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        stats = {pid: _stat(pid) for pid in pids}
        return [pid for pid, stat in stats.items() if stat and stat[_SESSION] == str(self.pid) and stat[_STATE] != "Z"]


def start(
    name: str, command: Sequence[str], *, environment: Mapping[str, str], run: Path, log: Path
) -> tuple[LocalProcess, subprocess.Popen[bytes]]:
    """Start `command` with its output in `log`/NAME.log and its pid file in `run`."""
    run.mkdir(parents=True, exist_ok=True)
    log.mkdir(parents=True, exist_ok=True)
    with (log / f"{name}.log").open("wb") as output:
        started = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    stat = _stat(started.pid)
    process = LocalProcess(name=name, pid=started.pid, started=stat[_STARTED] if stat else "")
    (run / f"{name}.pid.json").write_text(json.dumps({"name": name, "pid": process.pid, "started": process.started}))
    return process, started


def remembered(run: Path) -> list[LocalProcess]:
    """The processes whose pid files lie in `run`."""
    return [LocalProcess(**json.loads(file.read_text())) for file in sorted(run.glob("*.pid.json"))]


def stop(processes: Sequence[LocalProcess], *, run: Path, grace_s: float = 20.0) -> None:
    """Ask each one and its children to end, end by force what is left after `grace_s`, and forget the pid files."""
    _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(process.members() for process in processes):
        time.sleep(POLL_S)
    _signal(processes, signal.SIGKILL)
    for process in processes:
        (run / f"{process.name}.pid.json").unlink(missing_ok=True)


def _signal(processes: Sequence[LocalProcess], number: signal.Signals) -> None:
    for process in processes:
        for pid in process.members():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it ended by itself in the meantime


def _stat(pid: int) -> list[str] | None:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None

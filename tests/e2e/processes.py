"""Commands that end, processes that stay until the script ends, and waiting for something with a limit."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")
GRACE_S = 15.0
SHOWN_LINES = 25


class Failed(Exception):
    """What went wrong, in words, with the last lines that were said."""


def call(
    *command: str, stdin: str | None = None, environment: Mapping[str, str] | None = None, limit_s: float = 1800
) -> str:
    """What the command wrote to stdout; raises Failed with what it wrote to stderr."""
    variables = {**os.environ, **(environment or {})}  # noqa: TID251  # a script of its own
    done = subprocess.run(
        command, input=stdin, env=variables, capture_output=True, text=True, timeout=limit_s, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(command[:4])} … ended with code {done.returncode}\n{last_lines(done.stderr)}")
    return done.stdout


class Background:
    """A process in a group of its own, with a log; `end` ends the whole group."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("wb") as sink:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises Failed with the log's end when the process is gone."""
        if not self.alive():
            raise Failed(f"a process ended with code {self._process.poll()}; {self.log} ends:\n{self.told()}")

    def told(self) -> str:
        return last_lines(self.log.read_text(encoding="utf-8", errors="replace"))

    def end(self) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)


def wait_until(what: str, probe: Callable[[], Found | None], *, limit_s: float, every_s: float = 1.0) -> Found:
    """The first thing that `probe` finds; raises Failed when it found nothing for so long."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = probe()
        if found is not None:
            return found
        time.sleep(every_s)
    raise Failed(f"waited {limit_s:.0f} s for {what}")


def free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def is_ours(address: str) -> bool:
    """Whether this machine can listen on `address`."""
    try:
        free_port(address)
    except OSError:
        return False
    return True


def answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-SHOWN_LINES:])

"""What long-running processes share: stopping in order, and going on after a store was away."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event

from spira.infra.logs import get_logger
from spira.kernel.errors import Unavailable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
log = get_logger()


def stop_on_signals() -> Event:
    """Set by SIGTERM and SIGINT; what is in hand gets finished."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def keep_going(session: Callable[[], None], *, stop: Event) -> None:
    """Run `session` again, after a growing pause, each time a store or the broker was unavailable to it."""
    pause = FIRST_PAUSE_S
    while not stop.is_set():
        try:
            session()
            pause = FIRST_PAUSE_S
        except Unavailable as error:
            log.warning("unavailable", reason=str(error), again_in_s=pause)
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def beat(file: Path | None) -> None:
    """Show whoever watches `file` that this process is well."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

"""One step in this process, told by the environment, telling a runner how far it is."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from pydantic import ValidationError

from spira.apps.steps.bodies import body_of
from spira.apps.training_settings import StepSettings
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, Problem, SpiraError
from spira.orchestration.contract import Outside, Progress, Request, run_step
from spira.orchestration.steps import step_named

_TOLD_EVERY_S = 0.1


def run_step_process(name: str) -> dict[str, Any]:
    """The outcome as JSON values; also written to the progress descriptor, like an error's parts."""
    settings = _settings()
    voice = _Voice(settings.step_progress_fd)
    try:
        told = _run(name, settings, voice)
    except SpiraError as error:
        problems = error.problems if isinstance(error, InvalidInput) else ()
        voice.say(
            {"error": type(error).__name__, "message": str(error), "problems": [one.as_dict() for one in problems]}
        )
        raise
    voice.say(told)
    return told


def _run(name: str, settings: StepSettings, voice: _Voice) -> dict[str, Any]:
    objects = open_objects(settings.objects_url)
    request = Request(
        step=step_named(name),
        config=json.loads(objects.get(settings.step_config)),
        parameters=settings.step_parameters,
        inputs=settings.step_inputs,
        outside={label: Outside(**one) for label, one in settings.step_outside.items()},
    )
    done = run_step(
        request,
        body_of(name, settings),
        objects=objects,
        tell=voice.progress,
        resume=settings.step_resume,
        force=settings.step_force,
        image=settings.image,
    )
    return {"manifest": done.manifest_key, "reused": done.reused, "repaired": list(done.repaired)}


def _settings() -> StepSettings:
    try:
        return StepSettings()
    except ValidationError as error:
        raise InvalidInput.of(
            Problem(where=f"SPIRA_{'.'.join(map(str, one['loc'])).upper()}", what=one["msg"]) for one in error.errors()
        ) from error


class _Voice:
    """JSON lines to the runner's pipe, or short lines for people; not more often than anybody can read."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._last = 0.0

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < _TOLD_EVERY_S and progress.done < progress.total:
            return
        self._last = now
        self.say({"done": progress.done, "total": progress.total, "note": progress.note})

    def say(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            if "done" in line and sys.stderr.isatty():
                sys.stderr.write(f"\r{line['done']}/{line['total']} {line['note']:<60}")
            return
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            sys.exit("the runner is gone; this step ends, its checkpoint stays")

"""One step in this process, told by the environment, telling a runner how far it is and leaving a receipt."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from spira.apps.receipts import settings_of, with_receipt
from spira.apps.training_settings import StepSettings
from spira.apps.training_told import told_of
from spira.infra.objects.port import Objects
from spira.kernel.errors import SpiraError
from spira.orchestration.contract import Request, run_step
from spira.orchestration.manifest import Outside
from spira.orchestration.receipts import Receipt, refusal_of
from spira.orchestration.steps import step_named
from spira.orchestration.workbench import Progress

_TOLD_EVERY_S = 0.1
_LOGGED_EVERY_S = 15.0


def run_step_process(name: str) -> dict[str, Any]:
    """The outcome as JSON values; also written to the progress descriptor, like an error's parts."""
    settings = settings_of(StepSettings)
    _bound_patience()
    voice = _Voice(settings.step_progress_fd)
    try:
        receipt = with_receipt(settings, name, lambda objects: _run(name, settings, voice, objects))
    except SpiraError as error:
        refusal = refusal_of(error, label=name)
        voice.say({"error": refusal.error, "message": refusal.message, "problems": list(refusal.problems)})
        raise
    told = receipt.model_dump(mode="json", include={"manifest", "reused", "repaired"})
    voice.say(told)
    return told


def _bound_patience() -> None:
    """MLflow's client tries a registry that is gone for many minutes; the step's next try does that better."""
    for name, value in (("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"), ("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")):
        os.environ.setdefault(name, value)  # noqa: TID251 - this process's own, for a library that reads nothing else


def _run(name: str, settings: StepSettings, voice: _Voice, objects: Objects) -> Receipt:
    from spira.apps.steps.bodies import body_of

    request = Request(
        step=step_named(name),
        config=json.loads(objects.get(settings.step_config)),
        parameters=settings.step_parameters,
        inputs=settings.step_inputs,
        outside={label: Outside(**one) for label, one in settings.step_outside.items()},
        image=settings.image,
    )
    done = run_step(
        request,
        body_of(name, settings),
        objects=objects,
        tell=voice.progress,
        resume=settings.step_resume,
        force=settings.step_force,
    )
    return Receipt(
        label=name,
        manifest=done.manifest_key,
        reused=done.reused,
        repaired=done.repaired,
        told=told_of(done.manifest, objects=objects) if settings.step_receipt else {},
    )


class _Voice:
    """JSON lines to the runner's pipe, a moving line for people, or now and then a line in a pod's log."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._last = 0.0
        self._every_s = _LOGGED_EVERY_S if descriptor is None and not sys.stderr.isatty() else _TOLD_EVERY_S

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < self._every_s and progress.done < progress.total:
            return
        self._last = now
        self.say({"done": progress.done, "total": progress.total, "note": progress.note})

    def say(self, line: dict[str, Any]) -> None:
        if self._descriptor is None:
            self._show(line)
            return
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            sys.exit("the runner is gone; this step ends, its checkpoint stays")

    def _show(self, line: dict[str, Any]) -> None:
        if "done" not in line:
            return
        text = f"{line['done']}/{line['total']} {line['note']}"
        sys.stderr.write(f"\r{text:<70}" if sys.stderr.isatty() else f"{text}\n")
        sys.stderr.flush()

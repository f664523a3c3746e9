"""What a pod does, by its one argument: a training step, or one of the processes around them."""

from __future__ import annotations

from typing import Any


def run_pod_process(name: str) -> dict[str, Any]:
    """The outcome as JSON values; raises a SpiraError, after which the receipt holds the refusal."""
    if name == "prepare":
        from spira.apps.prepare import prepare

        return prepare()
    if name == "rescore":
        from spira.apps.rescore import rescore

        return rescore()
    from spira.apps.training_process import run_step_process

    return run_step_process(name)

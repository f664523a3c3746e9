"""What a step's pod is told by environment variables, from the run's plan and the receipts of earlier tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from spira.orchestration.pod_parts import SCRATCH
from spira.orchestration.pod_settings import PodSettings

if TYPE_CHECKING:
    from airflow.sdk import Context

Receipt = Mapping[str, Any]


def common_environment(settings: PodSettings, *, label: str, receipt: str) -> dict[str, str]:
    return {
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        **settings.environment,
        "SPIRA_IMAGE": settings.image,
        "SPIRA_STEP_LABEL": label,
        "SPIRA_STEP_RECEIPT": receipt,
    }


def first_environment(context: Context) -> dict[str, str]:
    """Of the pod that knows nothing but the form."""
    return {"SPIRA_RUN_PARAMETERS": json.dumps(run_parameters(context))}


def step_environment(
    prepared: Receipt, piece: Mapping[str, Any], *, after: Sequence[Any], params: Mapping[str, Any]
) -> dict[str, str]:
    """Training always goes on from its last checkpoint; `allow_cache` false does finished steps again."""
    return {
        "SPIRA_STEP_CONFIG": prepared["told"]["config"],
        "SPIRA_STEP_PARAMETERS": json.dumps(piece["parameters"]),
        "SPIRA_STEP_INPUTS": json.dumps(_inputs(piece["after"], after)),
        "SPIRA_STEP_OUTSIDE": json.dumps(prepared["told"]["outside"]),
        "SPIRA_STEP_RESUME": "true",
        "SPIRA_STEP_FORCE": json.dumps(not params.get("allow_cache", True)),
    }


def run_parameters(context: Context) -> dict[str, Any]:
    """The run's form; a run that a new data set started takes what the form leaves open from the asset's event."""
    given = dict(context["params"])
    events = [event for found in (context.get("triggering_asset_events") or {}).values() for event in found]
    for event in events:
        told = {**(event.extra or {}), **((event.extra or {}).get("payload") or {})}  # a watcher's event wraps its own
        given |= {name: value for name, value in told.items() if name in given and not given[name]}
    return given


def _inputs(labels: Sequence[str], after: Sequence[Any]) -> dict[str, str]:
    """Manifests by label; raises AirflowFailException when one is missing."""
    found = {one["label"]: one["manifest"] for one in _flat(after)}
    missing = [label for label in labels if label not in found]
    if missing:
        hint = "a task that was marked as successful by hand leaves none; clear it"
        raise AirflowFailException(f"no manifest of {', '.join(missing)} ({hint})")
    return {label: found[label] for label in labels}


def _flat(outputs: Sequence[Any]) -> Iterator[Receipt]:
    """Receipts of tasks and of mapped tasks; skipped ones have none."""
    for output in outputs:
        if isinstance(output, Mapping):
            yield output
        elif output is not None:
            yield from (one for one in output if one is not None)

"""The record of a run: which manifests made it up. The manifests hold the truth, the record only finds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from spira.infra.objects.port import Objects
from spira.kernel.clock import to_text, utc_now
from spira.kernel.ids import new_id
from spira.orchestration.contract import Done


def record_run(done: Mapping[str, Done], *, name: str, objects: Objects) -> str:
    """Write `runs/<run_id>.json`; gives the run's id."""
    run_id = new_id()
    record: dict[str, Any] = {
        "schema_version": 1,
        "run_id": run_id,
        "model": name,
        "recorded_at": to_text(utc_now()),
        "steps": {label: one.manifest_key for label, one in done.items()},
        "reused": [label for label, one in done.items() if one.reused],
    }
    objects.put(f"runs/{run_id}.json", json.dumps(record, indent=1).encode(), if_absent=True)
    return run_id

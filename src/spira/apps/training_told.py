"""What a step's receipt tells: the few facts of its outputs that people decide by and later tasks name."""

from __future__ import annotations

import json
from typing import Any

from spira.infra.objects.port import Objects
from spira.orchestration.manifest import Manifest

FIGURES = (
    "auc",
    "auc_low",
    "auc_high",
    "uar",
    "sensitivity",
    "specificity",
    "ece",
    "n",
    "verdict",
)
_MOST_PROBLEMS = 20


def told_of(manifest: Manifest, *, objects: Objects) -> dict[str, Any]:
    """At most a few kilobytes: it becomes an XCom."""
    told: dict[str, Any] = {}
    if "metrics.json" in manifest.outputs:
        told |= figures_of(_read(manifest, "metrics.json", objects))
    if "published.json" in manifest.outputs:
        told |= _read(manifest, "published.json", objects)
    if manifest.step == "validate" and "report.json" in manifest.outputs:
        report = _read(manifest, "report.json", objects)
        told |= {"notes": report.get("notes", [])[:_MOST_PROBLEMS]}
    if "report.html" in manifest.outputs:
        told["report"] = manifest.outputs["report.html"].key
    return told


def figures_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures of record, and each gate's verdict with its reason."""
    told = {name: metrics[name] for name in FIGURES if name in metrics}
    gates = [{name: gate[name] for name in ("name", "verdict", "reason")} for gate in metrics.get("gates", [])]
    return told | ({"gates": gates} if gates else {})


def _read(manifest: Manifest, name: str, objects: Objects) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(objects.get(manifest.outputs[name].key))
    return value

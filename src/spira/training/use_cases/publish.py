"""A trained and evaluated model into the registry, as a challenger; or a refusal that names the gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from spira.kernel.errors import InvalidInput, Problem
from spira.training.ports import Registry

_FIGURES = (
    "auc",
    "uar",
    "sensitivity",
    "specificity",
    "sensitivity_at_specificity",
    "precision",
    "f1",
    "accuracy",
    "slope",
    "intercept",
    "inconclusive",
    "error_conclusive",
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found about a model."""

    evaluation: Mapping[str, Any]
    cross_validation: Mapping[str, Any] | None
    curves: Mapping[str, list[float]]
    datasets: Mapping[str, str]
    attachments: Mapping[str, bytes]
    """Files that are kept beside the version."""
    card: str
    """The version's description, Markdown."""


def publish(
    folder: Path, *, name: str, alias: str, config: Mapping[str, Any], evidence: Evidence, registry: Registry
) -> dict[str, str]:
    """Log and register the model in `folder`; gives its name, version, alias and verdict."""
    figures = flat_figures(evidence.evaluation, prefix="test")
    if evidence.evaluation.get("evaluation"):
        figures |= flat_figures(evidence.evaluation["evaluation"], prefix="evaluation")
    if evidence.cross_validation is not None:
        figures |= flat_figures(evidence.cross_validation, prefix="pooled")
    verdict = str(evidence.evaluation["verdict"])
    version = registry.publish(
        folder,
        name=name,
        alias=alias,
        parameters=flat(config),
        metrics=figures,
        curves=evidence.curves,
        datasets=evidence.datasets,
        attachments=evidence.attachments,
        description=evidence.card,
        tags={"spira.verdict": verdict},
    )
    return {"model": name, "version": version, "alias": alias, "verdict": verdict}


def refuse_failed(found: Iterable[Mapping[str, Any]], *, tolerated: Sequence[str], report: str) -> None:
    """Raises InvalidInput that names every gate that failed and is not tolerated; `report` is where it can be read."""
    failed = {
        gate["name"]: gate["reason"]
        for metrics in found
        for gate in metrics["gates"]
        if gate["verdict"] == "FAIL" and not any(fnmatchcase(gate["name"], pattern) for pattern in tolerated)
    }
    if not failed:
        return
    hint = "publication.tolerated names gates that may fail; with publication.refuse_failed=false all may"
    problems = [Problem(where=f"gate {name}", what=reason, hint=hint) for name, reason in failed.items()]
    message = f"the model is not registered, since it fails {', '.join(failed)}; report: {report}"
    raise InvalidInput(message, problems=problems)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found


def flat_figures(evaluation: Mapping[str, Any], *, prefix: str) -> dict[str, float]:
    """The figures of all people and of the matched pairs; those that don't exist are left out."""
    groups = {prefix: evaluation, f"{prefix}.matched": evaluation.get("matched", {})}
    names = ["n", "ece", *(f"{name}{end}" for name in _FIGURES for end in ("", "_low", "_high"))]
    return {
        f"{group}.{name}": float(values[name])
        for group, values in groups.items()
        for name in names
        if values.get(name) is not None
    }

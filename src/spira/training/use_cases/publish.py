"""A trained and evaluated model into the registry, as a challenger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spira.training.ports import Registry

_FIGURES = (
    "n", "auc", "auc_low", "auc_high", "uar", "uar_low", "uar_high", "sensitivity", "sensitivity_low",
    "sensitivity_high", "specificity", "specificity_low", "specificity_high", "ece",
)  # fmt: skip


def publish(
    folder: Path,
    *,
    name: str,
    alias: str,
    config: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    cross_validation: Mapping[str, Any] | None,
    curves: Mapping[str, list[float]],
    datasets: Mapping[str, str],
    attachments: Mapping[str, bytes],
    registry: Registry,
) -> dict[str, str]:
    """Log and register the model in `folder`; gives its name, version and alias."""
    figures = flat_figures(evaluation, prefix="test")
    if cross_validation is not None:
        figures |= flat_figures(cross_validation, prefix="pooled")
    version = registry.publish(
        folder,
        name=name,
        alias=alias,
        parameters=flat(config),
        metrics=figures,
        curves=curves,
        datasets=datasets,
        attachments=attachments,
    )
    return {"model": name, "version": version, "alias": alias}


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
    return {
        f"{group}.{name}": float(values[name])
        for group, values in groups.items()
        for name in _FIGURES
        if values.get(name) is not None
    }

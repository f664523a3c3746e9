"""What people are told by a run's receipts: before a model may go further, afterwards, and when a gate failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Receipt = Mapping[str, Any]
_FIGURES = ("auc", "uar", "sensitivity", "specificity", "ece")


def subject_of(published: Receipt, evaluated: Receipt) -> str:
    """One line: model, version and what the gates say."""
    verdict = evaluated["told"].get("verdict", "no verdict")
    return f"Approve {_name(published)}? Gates: {verdict}"


def body_of(published: Receipt, evaluated: Receipt, pooled: Receipt | None = None) -> str:
    """Markdown: the figures, each gate with its reason, and where the report lies."""
    told = evaluated["told"]
    parts = [
        f"**{_name(published)}** is registered with the alias `{published['told'].get('alias', 'challenger')}`.",
        *_figures("People whom the model never saw", told),
        *(_figures("Pooled over all held-out folds", pooled["told"]) if pooled else ()),
        *_gates(told.get("gates", ())),
        f"Report: object `{told['report']}`" if "report" in told else "",
        "Approving says that this version may be promoted; it deploys nothing.",
    ]
    return "\n\n".join(part for part in parts if part)


def confirmation(published: Receipt, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The last task's value: which version was approved, by whom and when."""
    given = answer or {}  # the task was marked as successful by hand
    user = given.get("responded_by_user") or {}
    return {
        "model": published["told"]["model"],
        "version": published["told"]["version"],
        "alias": published["told"].get("alias", "challenger"),
        "approved_by": user.get("name") or user.get("id") or "unknown",
        "approved_at": str(given.get("responded_at", "")),
    }


def failed_gates(scored: Receipt) -> list[str]:
    """A line for each gate that failed, and where the report lies."""
    told = scored["told"]
    lines = [f"{gate['name']}: {gate['reason']}" for gate in told.get("gates", ()) if gate["verdict"] == "FAIL"]
    return [*lines, f"report: object {told['report']}"] if lines and "report" in told else lines


def _name(published: Receipt) -> str:
    return f"{published['told']['model']}/{published['told']['version']}"


def _figures(title: str, told: Mapping[str, Any]) -> list[str]:
    known = [(name, told[name]) for name in _FIGURES if isinstance(told.get(name), int | float)]
    if not known:
        return []
    interval = f" ({told['auc_low']:.3f} to {told['auc_high']:.3f})" if "auc_low" in told else ""
    cells = [f"{value:.3f}{interval if name == 'auc' else ''}" for name, value in known]
    head = " | ".join(name for name, _ in known)
    rule = " | ".join("---" for _ in known)
    return [f"{title}, n = {told.get('n', '?')}:", f"| {head} |\n| {rule} |\n| {' | '.join(cells)} |"]


def _gates(gates: Any) -> list[str]:
    if not gates:
        return []
    rows = "\n".join(f"| {gate['name']} | {gate['verdict']} | {gate['reason']} |" for gate in gates)
    return [f"| gate | verdict | reason |\n| --- | --- | --- |\n{rows}"]

"""One HTML file that tells an evaluation, with its plots inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.pass{color:#1b7f3b}.fail{color:#b3261e}.skip{color:#777}
img{max-width:24rem;margin:.4rem}
"""
FIGURES = (("auc", "AUC"), ("uar", "UAR"), ("sensitivity", "sensitivity"), ("specificity", "specificity"))


def render(metrics: Mapping[str, Any], plots: Mapping[str, bytes], *, title: str, notes: Sequence[str] = ()) -> bytes:
    """The report as UTF-8."""
    groups = {"all people": metrics, "matched pairs": metrics.get("matched") or {}}
    baseline = metrics.get("baseline")
    if baseline is not None:
        groups |= {"plain baseline": baseline, "plain baseline, matched": baseline.get("matched") or {}}
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        _figures(groups),
        "<h2>Gates</h2>",
        _gates(metrics.get("gates", [])),
        "<h2>Plots</h2>",
        *(_image(name, data) for name, data in plots.items()),
        "<h2>Slices</h2>",
        _slices(metrics.get("slices", [])),
        "</html>",
    ]
    return "\n".join(parts).encode()


def estimate(group: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A figure and its interval as text: `0.881` and `0.85–0.91`; dashes where there is none."""
    if group.get(name) is None:
        return "–", ""
    bounds = f"{group[f'{name}_low']:.2f}–{group[f'{name}_high']:.2f}" if f"{name}_low" in group else ""
    return f"{group[name]:.3f}", bounds


def _cell(group: Mapping[str, Any], name: str) -> str:
    value, bounds = estimate(group, name)
    return f"<td class=n>{value} <small>{bounds}</small></td>"


def _figures(groups: Mapping[str, Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{text}</th>" for text in ("", "n", *(text for _, text in FIGURES), "ECE"))
    body = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{group.get('n', 0)}</td>"
        + "".join(_cell(group, key) for key in (*dict(FIGURES), "ece"))
        + "</tr>"
        for name, group in groups.items()
        if group
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _gates(gates: Sequence[Mapping[str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(gate['name'])}</td><td class={gate['verdict']}>{gate['verdict']}</td>"
        f"<td>{escape(gate['reason'])}</td></tr>"
        for gate in gates
    )
    return f"<table>{rows}</table>"


def _slices(slices: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(str(one['slice']))}</td><td>{escape(str(one['value']))}</td><td class=n>{one['n']}</td>"
        + "".join(_cell(one, key) if one["enough"] else "<td class=n>too few</td>" for key, _ in FIGURES)
        + "</tr>"
        for one in slices
    )
    return f"<table>{rows}</table>"


def _image(name: str, data: bytes) -> str:
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'

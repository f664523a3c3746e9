"""One HTML file that tells an evaluation: verdict, figures, gates, plots, comparisons, slices and bias."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root{--line:#dde2e8;--muted:#667}
body{font:15px/1.45 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1c232b}
h1{margin-bottom:.3rem}h2{margin-top:2.2rem;border-bottom:2px solid var(--line);padding-bottom:.2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:.8rem 0}
td,th{padding:.25rem .7rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600;color:var(--muted)}td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
small,.note{color:var(--muted)}.v{font-weight:600;white-space:nowrap}
.pass{color:#1b7f3b}.fail{color:#b3261e}.little{color:#8a6100}
.verdict{display:inline-block;padding:.3rem .8rem;border-radius:.4rem;border:2px solid;font-weight:700}
.plots{display:flex;flex-wrap:wrap;gap:.5rem}img{max-width:100%}.plots img{width:24rem}img.wide{width:100%}
"""
FIGURES = (
    ("auc", "AUC"),
    ("uar", "UAR"),
    ("sensitivity", "sensitivity (recall)"),
    ("specificity", "specificity"),
    ("sensitivity_at_specificity", "sensitivity at fixed specificity"),
    ("precision", "precision"),
    ("f1", "F1"),
    ("accuracy", "accuracy"),
    ("ece", "ECE"),
    ("slope", "calibration slope"),
    ("intercept", "calibration intercept"),
    ("inconclusive", "inconclusive"),
    ("error_conclusive", "errors of the conclusive"),
    ("auc_noise", "AUC with the battery's noise on everybody"),
)
_SLICES = (("auc", "AUC"), ("sensitivity", "sensitivity"), ("specificity", "specificity"), ("ece", "ECE"))
_DIFFERENCES = ("auc", "uar", "precision", "recall", "f1", "accuracy")
_SIGNS = {"PASS": "pass", "FAIL": "fail", "NOT ENOUGH DATA": "little"}
_WIDE = ("slices", "battery")


def render(metrics: Mapping[str, Any], plots: Mapping[str, bytes], *, title: str, notes: Sequence[str] = ()) -> bytes:
    """The report as UTF-8."""
    small = {name: data for name, data in plots.items() if name.partition(".")[0] not in _WIDE}
    wide = {
        name.partition(".")[0]: _image(name, data, kind="wide") for name, data in plots.items() if name not in small
    }
    parts = [
        _head(title),
        *(f"<p class=note>{escape(note)}</p>" for note in notes),
        _verdict(metrics),
        *_section("Gates", gates_table(metrics.get("gates", []))),
        *_section("Figures with 95 % intervals", figures_table(groups_of(metrics)), _explained(metrics)),
        *_section("Plots", f"<div class=plots>{''.join(_image(name, data) for name, data in small.items())}</div>"),
        *_section("Against the champion", _champion(metrics.get("champion"))),
        *_section("Against the plain baseline", _baseline(metrics)),
        *_section("Slices", slices_table(metrics.get("slices", [])), wide.get("slices", ""), _disparities(metrics)),
        *_section("Changes that must not matter", wide.get("battery", ""), _battery(metrics.get("battery", []))),
        *_section("Shortcuts in the training set", rows_table(metrics.get("probes", []))),
        *_section("Folds", rows_table(metrics.get("folds", []))),
        "</html>",
    ]
    return "\n".join(parts).encode()


def groups_of(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The groups of people whose figures are told side by side."""
    groups = {"all people": metrics, "matched pairs": metrics.get("matched") or {}}
    frozen, baseline = metrics.get("evaluation"), metrics.get("baseline")
    if frozen is not None:
        groups |= {"frozen evaluation set": frozen, "frozen, matched pairs": frozen.get("matched") or {}}
    if baseline is not None:
        groups |= {"plain baseline": baseline, "plain baseline, matched": baseline.get("matched") or {}}
    return {name: group for name, group in groups.items() if group.get("n")}


def estimate(group: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A figure and its interval as text: `0.881` and `0.85–0.91`; dashes where there is none."""
    if group.get(name) is None:
        return "–", ""
    if group.get(f"{name}_low") is None:
        return f"{group[name]:.3f}", ""
    low, high = group[f"{name}_low"], group[f"{name}_high"]
    return f"{group[name]:.3f}", f"{low:.2f}{' to ' if low < 0 else '–'}{high:.2f}"


def figures_table(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """A column per group, a row per figure."""
    head = "".join(f"<th>{escape(name)}</th>" for name in groups)
    counts = (("n", "people"), ("patients", "patients"), ("controls", "controls"), ("pairs", "matched pairs"))
    body = [
        f"<tr><td>{label}</td>{''.join(_count(group, key) for group in groups.values())}</tr>" for key, label in counts
    ]
    body += [
        f"<tr><td>{label}</td>{''.join(_cell(group, key) for group in groups.values())}</tr>"
        for key, label in (*FIGURES, ("concordance", "pairs told right"))
    ]
    return f"<div class=wide><table><tr><th></th>{head}</tr>{''.join(body)}</table></div>"


def gates_table(gates: Iterable[Mapping[str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(gate['name'])}</td><td class='v {_SIGNS[gate['verdict']]}'>{gate['verdict']}</td>"
        f"<td>{escape(gate['reason'])}</td></tr>"
        for gate in gates
    )
    return f"<table>{rows}</table>"


def slices_table(slices: Sequence[Mapping[str, Any]]) -> str:
    if not slices:
        return ""
    head = "".join(f"<th>{text}</th>" for text in ("slice", "", "n", "patients", *(text for _, text in _SLICES)))
    rows = "".join(
        f"<tr><td>{escape(str(one['slice']))}</td><td>{escape(str(one['value']))}</td><td class=n>{one['n']}</td>"
        f"<td class=n>{one.get('patients', '')}</td>"
        + ("".join(_cell(one, key) for key, _ in _SLICES) if one["enough"] else "<td colspan=4>too few to tell</td>")
        + "</tr>"
        for one in slices
    )
    return f"<div class=wide><table><tr>{head}</tr>{rows}</table></div>"


def rows_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Any table of plain values: the columns are the first row's."""
    if not rows:
        return ""
    names = [name for name in rows[0] if not name.endswith(("_low", "_high"))]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join(f"<tr>{''.join(_value(row, name) for name in names)}</tr>" for row in rows)
    return f"<div class=wide><table><tr>{head}</tr>{body}</table></div>"


def _head(title: str) -> str:
    told, meta = escape(title), "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    return f"<!doctype html><html lang=en>{meta}<title>{told}</title><style>{_STYLE}</style><h1>{told}</h1>"


def _section(title: str, *parts: str) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *parts] if any(parts) else []


def _verdict(metrics: Mapping[str, Any]) -> str:
    verdict = metrics.get("verdict", "NOT ENOUGH DATA")
    return f"<p><span class='verdict {_SIGNS[verdict]}'>{verdict}</span></p>"


def _explained(metrics: Mapping[str, Any]) -> str:
    at, bins = metrics.get("target_specificity"), metrics.get("ece_bins")
    return (
        f"<p class=note>The unit is a person. Fixed specificity: {at}. ECE over {bins} bins of equal width. Slope and "
        "intercept of the logistic recalibration line: 1 and 0 are ideal. Intervals: DeLong for AUC, Wilson for "
        "shares, bootstrap by person for F1 and sensitivity at fixed specificity.</p>"
    )


def _champion(table: Mapping[str, Any] | None) -> str:
    if table is None:
        return ""
    told = f"<p>{table['n']} people whom {escape(table['model'])} never saw; p of non-inferiority after Holm.</p>"
    return told + rows_table(table["endpoints"])


def _baseline(metrics: Mapping[str, Any]) -> str:
    differences = metrics.get("against_baseline")
    if differences is None:
        return ""
    head = "".join(f"<th>{name}</th>" for name in _DIFFERENCES)
    body = "".join(_cell(differences, name) for name in _DIFFERENCES)
    told = f"<p>Model minus baseline on the same {differences['n']} people, paired bootstrap by person.</p>"
    return f"{told}<div class=wide><table><tr>{head}</tr><tr>{body}</tr></table></div>"


def _battery(rows: Sequence[Mapping[str, Any]]) -> str:
    return rows_table(
        [{"change": one["name"], "n": one["n"], "before": one["before"], "after": one["after"], "shift": one["value"],
          "shift_low": one["low"], "shift_high": one["high"], "tolerated": one["margin"]} for one in rows]
    )  # fmt: skip


def _disparities(metrics: Mapping[str, Any]) -> str:
    rows = [{**one, "groups": ", ".join(one["groups"])} for one in metrics.get("disparities", [])]
    told = "<p class=note>Largest difference between groups that are large enough; without interval, see the gate.</p>"
    return rows_table(rows) + told if rows else ""


def _count(group: Mapping[str, Any], name: str) -> str:
    return f"<td class=n>{group.get(name, '')}</td>"


def _cell(group: Mapping[str, Any], name: str) -> str:
    value, bounds = estimate(group, name)
    return f"<td class=n>{value} <small>{bounds}</small></td>"


def _value(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, float):
        return _cell(row, name)
    if value in _SIGNS:
        return f"<td class='v {_SIGNS[str(value)]}'>{value}</td>"
    kind = " class=n" if isinstance(value, int) else ""
    return f"<td{kind}>{escape('–' if value is None else str(value))}</td>"


def _image(name: str, data: bytes, *, kind: str = "") -> str:
    alt, source = escape(name.partition(".")[0]), base64.b64encode(data).decode()
    return f'<img alt="{alt}" class="{kind}" src="data:image/png;base64,{source}">'

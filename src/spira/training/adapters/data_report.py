"""One HTML page that tells what is in a data set: who, how well recorded, what is wrong, what changed. No scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from spira.training.core.census import MEASURES
from spira.training.core.dataset import CLASS_NAMES

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h2{margin-top:2rem}table{border-collapse:collapse;margin:.6rem 0}caption{text-align:left;font-weight:600}
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:middle}
td.n{text-align:right;font-variant-numeric:tabular-nums}code{overflow-wrap:anywhere}
.control{fill:#5b8db8}.patient{fill:#c46a4a}.PASS{color:#1b7f3b}.FAIL{color:#b3261e}.none{color:#777}
"""
_WIDTH, _ROW = 260, 16
_MOST_PROBLEMS = 200


def render_data_report(report: Mapping[str, Any], *, title: str = "Data set") -> bytes:
    """The page as UTF-8, from what `report.json` holds."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        _facts(report),
        "<h2>Problems</h2>",
        _problems(report["problems"], report["dropped"]),
        "<h2>Since the last accepted data set</h2>",
        _shifts(report["shifts"]),
    ]
    for name, part in (("People", report["data"]), ("Evaluation data set", report.get("evaluation"))):
        if part is not None:
            parts += [f"<h2>{name}</h2>", _people(part["counts"]), "<h2>Recordings</h2>", _qualities(part["quality"])]
    return "\n".join([*parts, "</html>"]).encode()


def _facts(report: Mapping[str, Any]) -> str:
    lines = [_fact("Data set", report["data"])]
    if report.get("evaluation") is not None:
        lines.append(_fact("Frozen evaluation set", report["evaluation"]))
    return "\n".join([*lines, *(f"<p>{escape(note)}</p>" for note in report["notes"])])


def _fact(name: str, part: Mapping[str, Any]) -> str:
    return f"<p>{name}: {_sentence(part['counts'])} Content <code>{part['digest']}</code>.</p>"


def _sentence(counts: Mapping[str, Any]) -> str:
    people = counts["people"]
    return f"{counts['recordings']} recordings of {people['patient']} patients and {people['control']} controls."


def _problems(problems: Sequence[Mapping[str, str]], dropped: Mapping[str, Sequence[int]]) -> str:
    if not problems:
        return "<p>None.</p>"
    gone = [f"{len(lines)} rows of {escape(name)} were left out." for name, lines in dropped.items() if lines]
    rows = [(escape(one["where"]), escape(one["what"]), escape(one["hint"])) for one in problems[:_MOST_PROBLEMS]]
    more = len(problems) - len(rows)
    return f"<p>{' '.join(gone)}</p>{_table(('where', 'what', 'way out'), rows)}" + (
        f"<p>… and {more} more, in report.json.</p>" if more else ""
    )


def _shifts(shifts: Sequence[Mapping[str, Any]]) -> str:
    if not shifts:
        return "<p>No data set was accepted before; nothing to compare with.</p>"
    rows = [
        (
            escape(one["name"]),
            f'<span class="{one["verdict"] if one["verdict"] in {"PASS", "FAIL"} else "none"}">{one["verdict"]}</span>',
            escape(one["reason"]),
            f"{one['people_before']} → {one['people_now']}",
        )
        for one in shifts
    ]
    return _table(("what", "verdict", "why", "people"), rows)


def _people(counts: Mapping[str, Any]) -> str:
    """Controls and patients of each value as bars: one that is on one side only is seen at once."""
    tables = []
    for name, values in counts["by"].items():
        most = max(max(pair) for pair in values.values()) or 1
        rows = [
            (escape(value), str(controls), str(patients), _bars((controls, patients), most))
            for value, (controls, patients) in values.items()
        ]
        head = (name.replace("_", " "), *(f"{one}s" for one in CLASS_NAMES), "")
        tables.append(_table(head, rows, numbers=(1, 2)))
    return "\n".join(tables) or "<p>No facets are told.</p>"


def _bars(counts: Iterable[int], most: int) -> str:
    bars = "".join(
        f'<rect class="{name}" y="{n * _ROW // 2}" width="{_WIDTH * count / most:.1f}" height="{_ROW // 2 - 1}"/>'
        for n, (name, count) in enumerate(zip(CLASS_NAMES, counts, strict=True))
    )
    return f'<svg width="{_WIDTH}" height="{_ROW}" role="img" aria-label="bars">{bars}</svg>'


def _qualities(qualities: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Percentiles by class; a box from the 5th to the 95th with the median on the scale of both classes."""
    rows = []
    for measure, by_class in qualities.items():
        low = min(values[0] for values in by_class.values())
        high = max(values[-1] for values in by_class.values())
        for name, values in by_class.items():
            numbers = [f"{value:.3g}" for value in (values[0], values[1], values[3], values[5], values[6])]
            rows.append((escape(MEASURES[measure]), name, *numbers, _box(name, values, low, high)))
    head = ("", "class", "least", "5 %", "median", "95 %", "most", "")
    return _table(head, rows, numbers=range(2, 7))


def _box(name: str, values: Sequence[float], low: float, high: float) -> str:
    start, middle, end = (_WIDTH * (values[n] - low) / max(high - low, 1e-12) for n in (1, 3, 5))
    return (
        f'<svg width="{_WIDTH}" height="{_ROW}" role="img" aria-label="5th to 95th percentile">'
        f'<rect class="{name}" x="{start:.1f}" y="4" width="{max(1.0, end - start):.1f}" height="8" opacity=".6"/>'
        f'<rect x="{middle:.1f}" y="2" width="2" height="12"/></svg>'
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """Cells are HTML already."""
    right = set(numbers)
    cells = (
        "".join(f"<td class=n>{cell}</td>" if n in right else f"<td>{cell}</td>" for n, cell in enumerate(row))
        for row in rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>{body}</table>"

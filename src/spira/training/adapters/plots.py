"""Plots of an evaluation as PNG, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spira.training.core.bootstrap import Resamples
from spira.training.core.figures import Scored, panel_of, per_person
from spira.training.core.reliability import reliability_table

_CONTROL, _PATIENT = "#3b6fb6", "#c8553d"
_CURVES = {"loss": "#3b6fb6", "validation_loss": "0.5", "validation_auc": "#c8553d"}
_DRAWS = 500
_SMALL = (4.4, 3.6)
_ROW_INCHES = 0.24


def evidence_plots(scores: Sequence[Scored], metrics: Mapping[str, Any]) -> dict[str, bytes]:
    """All plots of an evaluation: of the scores by recording and of what was found from them."""
    pages = {
        "slices.png": slices_plot(metrics.get("slices", []), metrics),
        "battery.png": shifts_plot(metrics.get("battery", [])),
    }
    return evaluation_plots(per_person(scores)) | {name: data for name, data in pages.items() if data is not None}


def evaluation_plots(people: Sequence[Scored]) -> dict[str, bytes]:
    """PNG by name; nothing when a class is missing."""
    if {one.label for one in people} != {0, 1}:
        return {}
    drawings = {"roc": _roc, "calibration": _calibration, "scores": _histogram, "confusion": _confusion}
    return {f"{name}.png": _png(partial(draw, people=people)) for name, draw in drawings.items()}


def slices_plot(slices: Sequence[Mapping[str, Any]], overall: Mapping[str, Any]) -> bytes | None:
    """AUC, sensitivity and specificity of everybody and of each judged slice with its interval, a row each."""
    rows = [("everybody", overall), *((f"{one['slice']} {one['value']}", one) for one in slices if one["enough"])]
    rows = [row for row in rows if row[1].get("auc") is not None]
    if len(rows) < 2:
        return None

    def draw(figure: Figure) -> None:
        for axes, name in zip(figure.subplots(1, 3, sharey=True), ("auc", "sensitivity", "specificity"), strict=True):
            points = [(one[name], one[f"{name}_low"], one[f"{name}_high"]) for _, one in rows]
            _forest(axes, [f"{label} (n {one['n']})" for label, one in rows], points)
            axes.axvline(points[0][0], color="0.7", linewidth=1)
            axes.set(title="AUC" if name == "auc" else name, xlim=(0, 1.02))

    return _page(draw, (8.8, 1.1 + _ROW_INCHES * len(rows)))


def shifts_plot(shifts: Sequence[Mapping[str, Any]]) -> bytes | None:
    """A row per shift (`name`, `value`, `low`, `high`) over the `margin` that is tolerated of it on both sides."""
    if not shifts:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, one in enumerate(reversed(shifts)):
            axes.barh(place, 2 * one["margin"], left=-one["margin"], height=0.8, color="#1b7f3b", alpha=0.13)
        _forest(axes, [one["name"] for one in shifts], [(one["value"], one["low"], one["high"]) for one in shifts])
        axes.axvline(0.0, color="0.5", linewidth=1)
        axes.set(title="Shifts, and how far each is tolerated")

    return _page(draw, (8.8, 1.0 + _ROW_INCHES * len(shifts)))


def curve_plot(curves: Mapping[str, Sequence[float]]) -> bytes:
    """Losses and validation AUC by epoch, a line per member, as PNG."""

    def draw(axes: Axes) -> None:
        for kind, colour in _CURVES.items():
            lines = [values for name, values in curves.items() if name.endswith(f".{kind}")]
            for number, values in enumerate(lines):
                label = kind.replace("_", " ") if number == 0 else None
                axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1, alpha=0.7, label=label)
        axes.set(xlabel="epoch", title="Training, a line per member")
        axes.legend(fontsize=8)

    return _png(draw)


def _png(draw: Callable[[Axes], None]) -> bytes:
    return _page(lambda figure: draw(figure.subplots()), _SMALL)


def _page(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _forest(axes: Axes, labels: Sequence[str], points: Sequence[tuple[float, float, float]]) -> None:
    places = list(range(len(points)))[::-1]
    for place, (value, low, high) in zip(places, points, strict=True):
        axes.plot([low, high], [place, place], color=_CONTROL, linewidth=1.4)
        axes.plot([value], [place], "s", color=_CONTROL, markersize=4)
    axes.set_yticks(places, labels, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylim(-0.6, len(points) - 0.4)


def _roc(axes: Axes, people: Sequence[Scored]) -> None:
    """The curve and, at each false-alarm rate, the 95 % interval of sensitivity over resampled people."""
    panel = panel_of(people)
    cuts = np.concatenate([[np.inf], np.unique(np.concatenate([panel.patients, panel.controls]))[::-1]])
    hits, alarms = (
        np.array([float((side >= cut).mean()) for cut in cuts]) for side in (panel.patients, panel.controls)
    )
    draws = Resamples.of(panel, seed=0, draws=_DRAWS)
    rates = np.linspace(0.0, 1.0, 51)
    band = np.array([draws.sensitivity_at(panel, 1.0 - rate) for rate in rates])
    low, high = np.quantile(band, [0.025, 0.975], axis=1)
    axes.fill_between(rates, low, high, color=_PATIENT, alpha=0.18, linewidth=0, label="95 % of resampled people")
    axes.plot(alarms, hits, color=_PATIENT)
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=f"ROC, {len(people)} people", aspect="equal")
    axes.legend(fontsize=7, loc="lower right")


def _calibration(axes: Axes, people: Sequence[Scored]) -> None:
    """Share of patients by mean score, with the number of people in each bin."""
    table = reliability_table([one.score for one in people], [one.label for one in people])
    used = [row for row in table if row["n"]]
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    axes.plot([row["mean_score"] for row in used], [row["share_of_patients"] for row in used], "o-", color=_CONTROL)
    for row in table:
        axes.text((row["from"] + row["to"]) / 2, -0.13, str(row["n"]), ha="center", fontsize=7, color="0.35")
    axes.text(0.5, -0.06, "people per bin", ha="center", fontsize=7, color="0.35")
    axes.set(xlabel="mean score", ylabel="share of patients", title="Reliability", aspect="equal")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.17, 1.02))


def _histogram(axes: Axes, people: Sequence[Scored]) -> None:
    bins = np.linspace(0.0, 1.0, 21).tolist()
    for label, name, colour in ((0, "controls", _CONTROL), (1, "patients", _PATIENT)):
        axes.hist([one.score for one in people if one.label == label], bins, label=name, color=colour, alpha=0.6)
    for threshold in sorted({one.threshold for one in people}):
        axes.axvline(threshold, color="0.2", linewidth=1, linestyle=":")
    for low, high in sorted({one.band for one in people if one.band is not None}):
        axes.axvspan(low, high, color="0.5", alpha=0.15, linewidth=0)
    axes.set(xlabel="score", ylabel="people", title="Scores, thresholds, inconclusive bands")
    axes.legend()


def _confusion(axes: Axes, people: Sequence[Scored]) -> None:
    """Counts by truth and answer; the column of inconclusive answers is there when a model gives them."""
    columns = ["negative", "inconclusive", "positive"]
    if all(one.band is None for one in people):
        columns.remove("inconclusive")
    counts = np.zeros((2, len(columns)), dtype=int)
    for one in people:
        answer = "inconclusive" if not one.conclusive else "positive" if one.positive else "negative"
        counts[one.label, columns.index(answer)] += 1
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=2 * counts.max(), aspect="auto")  # pale enough for black figures
    for row in (0, 1):
        for column in range(len(columns)):
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=14)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks([0, 1], ["control", "patient"])
    axes.set(title="Confusion")

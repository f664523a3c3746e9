"""Plots of an evaluation as PNG, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spira.training.core.figures import Scored

_CONTROL, _PATIENT = "#3b6fb6", "#c8553d"
_CURVES = {"loss": "#3b6fb6", "validation_loss": "0.5", "validation_auc": "#c8553d"}
_BINS = 10


def evaluation_plots(people: Sequence[Scored]) -> dict[str, bytes]:
    """PNG by name; nothing when a class is missing."""
    if {one.label for one in people} != {0, 1}:
        return {}
    drawings = {"roc": _roc, "calibration": _calibration, "scores": _histogram, "confusion": _confusion}
    return {f"{name}.png": _png(partial(draw, people=people)) for name, draw in drawings.items()}


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
    figure = Figure(figsize=(4.4, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _roc(axes: Axes, people: Sequence[Scored]) -> None:
    scores = np.array([one.score for one in people])
    is_patient = np.array([one.label == 1 for one in people])
    cuts = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    hits = [float((scores[is_patient] >= cut).mean()) for cut in cuts]
    alarms = [float((scores[~is_patient] >= cut).mean()) for cut in cuts]
    axes.plot(alarms, hits, color=_PATIENT)
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=f"ROC, {len(people)} people", aspect="equal")


def _calibration(axes: Axes, people: Sequence[Scored]) -> None:
    scores, labels = np.array([one.score for one in people]), np.array([one.label for one in people])
    where = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    used = [b for b in range(_BINS) if (where == b).any()]
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", linewidth=1)
    axes.plot(
        [scores[where == b].mean() for b in used], [labels[where == b].mean() for b in used], "o-", color=_CONTROL
    )
    axes.set(xlabel="mean score", ylabel="share of patients", title="Calibration", aspect="equal")


def _histogram(axes: Axes, people: Sequence[Scored]) -> None:
    bins = np.linspace(0.0, 1.0, 21).tolist()
    for label, name, colour in ((0, "controls", _CONTROL), (1, "patients", _PATIENT)):
        axes.hist([one.score for one in people if one.label == label], bins, label=name, color=colour, alpha=0.6)
    for threshold in sorted({one.threshold for one in people}):
        axes.axvline(threshold, color="0.2", linewidth=1, linestyle=":")
    axes.set(xlabel="score", ylabel="people", title="Scores and thresholds")
    axes.legend()


def _confusion(axes: Axes, people: Sequence[Scored]) -> None:
    counts = np.zeros((2, 2), dtype=int)
    for one in people:
        counts[one.label, int(one.positive)] += 1
    axes.imshow(counts, cmap="Blues", vmin=0, vmax=2 * counts.max())  # pale enough for black figures
    for row in (0, 1):
        for column in (0, 1):
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=14)
    axes.set_xticks([0, 1], ["negative", "positive"])
    axes.set_yticks([0, 1], ["control", "patient"])
    axes.set(title="Confusion")

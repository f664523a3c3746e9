"""The model card: what a model is for, what it was made of and how well it does, written from its evidence alone.

After Mitchell et al., Model Cards for Model Reporting (FAT* 2019).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FIGURES = (
    ("auc", "AUC"),
    ("sensitivity", "sensitivity"),
    ("specificity", "specificity"),
    ("sensitivity_at_specificity", "sensitivity at fixed specificity"),
    ("precision", "precision"),
    ("f1", "F1"),
    ("ece", "ECE"),
    ("slope", "calibration slope"),
)
_USE = """\
Screening: a few seconds of a person's speech give a score, and *positive*, *negative* or *inconclusive*. A positive
answer is a reason to measure (oxygen saturation, respiratory rate, a doctor's examination), never a diagnosis; a
negative one does not rule anything out. Who is in visible distress needs help, not this model.

Not meant for: decisions without a person, emergencies, children, other recordings than the ones named below, or people
unlike those it was evaluated on (see slices and limits)."""
_LIMITS = (
    "The labels are those of the data set named below; what it does not hold, the model can't know.",
    "Figures hold for people, microphones and rooms like those of the evaluation; elsewhere evaluate it again.",
    "A gate without enough data is a question that nobody has answered yet.",
)


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What a card is written from."""

    model: str
    evaluation: Mapping[str, Any]
    """Metrics of the step `evaluate`."""
    cross_validation: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    """Of the model itself: recordings, threshold, band, calibration."""
    config: Mapping[str, Any]
    fit: Mapping[str, Any]
    """Of the ensemble: epochs, device, determinism."""
    digests: Mapping[str, str]
    """Of the data that it was made from and of each step's outputs."""
    made: Mapping[str, str]
    """How: code version and digest, image, libraries."""


def write_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    metrics = facts.evaluation
    parts = [
        f"# Model card: {facts.model}",
        f"{_verdicts(facts)} {summary(facts)}",
        f"## Intended use\n\n{_USE}",
        f"## What it takes and gives\n\n{_table(('setting', 'value'), _settings(facts.settings))}",
        f"## Data\n\n{_table(('what', 'SHA-256'), list(facts.digests.items()))}",
        f"## Figures with 95 % intervals, by person\n\n{_figures(facts)}",
        f"## Gates\n\n{_table(('gate', 'verdict', 'why'), [tuple(one.values()) for one in metrics['gates']])}",
        *_pooled_gates(facts),
        f"## Slices\n\n{_slices(metrics)}",
        f"## Limits\n\n{_limits(metrics)}",
        f"## How it was made\n\n{_table(('what', 'value'), list(facts.made.items()))}",
        f"### Fit\n\n```json\n{_json(facts.fit)}\n```",
        f"### Configuration\n\n```json\n{_json(facts.config)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def summary(facts: CardFacts) -> str:
    """One sentence with the figure of record."""
    record, who = facts.evaluation, "people of the held-out fold, whom the model never saw"
    if facts.evaluation.get("evaluation"):
        record, who = facts.evaluation["evaluation"], "people of the frozen evaluation set"
    elif facts.cross_validation is not None:
        record, who = facts.cross_validation, "people, each scored by a model that never saw them (cross-validation)"
    return f"AUC {_estimate(record, 'auc')} on {record['n']} {who}."


def _verdicts(facts: CardFacts) -> str:
    pooled = facts.cross_validation
    told = f"**Verdict: {facts.evaluation['verdict']}** on people of the held-out fold"
    return f"{told}, **{pooled['verdict']}** in the cross-validation." if pooled is not None else f"{told}."


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    band = settings.get("inconclusive")
    return [
        ("recordings", ", ".join(settings["required_recordings"])),
        ("positive from score", f"{settings['threshold']:.4f}"),
        ("inconclusive", "never" if band is None else f"{band[0]:.4f} to {band[1]:.4f}"),
        ("calibration", f"temperature {settings['temperature']:.4f}, bias {settings['bias']:.4f}"),
        ("network", _inline(settings["network"])),
    ]


def _figures(facts: CardFacts) -> str:
    groups: dict[str, Mapping[str, Any]] = {
        "held-out fold": facts.evaluation,
        "held-out, matched pairs": facts.evaluation.get("matched") or {},
        "frozen evaluation set": facts.evaluation.get("evaluation") or {},
        "pooled out-of-fold": facts.cross_validation or {},
        "pooled, matched pairs": (facts.cross_validation or {}).get("matched") or {},
        "plain baseline, held-out": facts.evaluation.get("baseline") or {},
    }
    rows = [
        (name, str(group["n"]), *(_estimate(group, key) for key, _ in _FIGURES))
        for name, group in groups.items()
        if group.get("n")
    ]
    return _table(("people", "n", *(label for _, label in _FIGURES)), rows)


def _pooled_gates(facts: CardFacts) -> list[str]:
    if facts.cross_validation is None:
        return []
    rows = [tuple(one.values()) for one in facts.cross_validation["gates"]]
    return [f"### Gates of the cross-validation\n\n{_table(('gate', 'verdict', 'why'), rows)}"]


def _slices(metrics: Mapping[str, Any]) -> str:
    names = ("auc", "sensitivity", "specificity")
    rows = [
        (str(one["slice"]), str(one["value"]), str(one["n"]))
        + (tuple(_estimate(one, name) for name in names) if one["enough"] else ("too few", "", ""))
        for one in metrics["slices"]
    ]
    return (
        _table(("slice", "value", "n", "AUC", "sensitivity", "specificity"), rows) if rows else "No slices are known."
    )


def _limits(metrics: Mapping[str, Any]) -> str:
    open_gates = [
        f"{one['name']}: {one['verdict']}. {one['reason']}" for one in metrics["gates"] if one["verdict"] != "PASS"
    ]
    return "\n".join(f"- {one}" for one in (*_LIMITS, *open_gates))


def _estimate(group: Mapping[str, Any], name: str) -> str:
    if group.get(name) is None:
        return "–"
    bounds = f" ({group[f'{name}_low']:.2f}–{group[f'{name}_high']:.2f})" if f"{name}_low" in group else ""
    return f"{group[name]:.3f}{bounds}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in line)} |" for line in lines)


def _escaped(cell: str) -> str:
    return str(cell).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _inline(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)

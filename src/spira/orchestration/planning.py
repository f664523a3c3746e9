"""Which pieces of which steps a run is made of, and what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spira.orchestration.steps import STEPS, Step


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One piece of a run: `ensemble@2` leaves fold 2 out; `ensemble`, which is the published model, fold 0."""

    label: str
    step: Step
    parameters: Mapping[str, int]
    after: tuple[str, ...]


def plan(*, folds: int, cross_validate: bool, shards: int = 1, parts: int = 1) -> tuple[Planned, ...]:
    """The steps of a run in an order that can be executed from left to right.

    The model that is shown leaves fold 0 out. With `cross_validate` the other folds are trained too, and the
    pooled figure is made before publishing, so that it travels with the model. Features are computed in `shards`
    pieces and the members of an ensemble in `parts`, side by side where there is room.
    """
    fold_count = folds if cross_validate else 1
    planned: list[Planned] = []
    for step in STEPS:
        if step.name == "cross-validate" and not cross_validate:
            continue
        for parameters in _pieces(step, folds=fold_count, shards=shards, parts=parts):
            after = tuple(one.label for one in planned if _feeds(one, step, parameters))
            planned.append(Planned(label=_label(step, parameters), step=step, parameters=parameters, after=after))
    return tuple(planned)


def _pieces(step: Step, *, folds: int, shards: int, parts: int) -> list[dict[str, int]]:
    if step.each == "shard":
        return [{"shard": shard, "shards": shards} for shard in range(shards)]
    if step.each == "part":
        return [{"fold": fold, "part": part, "parts": parts} for fold in range(folds) for part in range(parts)]
    return [{"fold": fold} for fold in range(folds)] if step.each == "fold" else [{}]


def _label(step: Step, parameters: Mapping[str, int]) -> str:
    """The plain name where there is one piece, so that a run of one fold and one of five share their work."""
    if step.each == "part":
        fold, part, parts = (parameters[name] for name in ("fold", "part", "parts"))
        return f"train@{fold}.{part}" if parts > 1 else f"train@{fold}" if fold else "train"
    number = parameters.get("shard", parameters.get("fold", 0))
    return f"{step.name}@{number}" if number or parameters.get("shards", 1) > 1 else step.name


def _feeds(one: Planned, step: Step, parameters: Mapping[str, int]) -> bool:
    if f"{one.step.name}@*" in step.reads:
        return True
    if one.step.name == "cross-validate":
        return step.name == "publish"
    return one.step.name in step.reads and one.parameters.get("fold", 0) == parameters.get("fold", 0) * (
        "fold" in one.parameters
    )

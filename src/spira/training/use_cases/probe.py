"""Shortcut probes: whether age, sex or the recording channel alone tell the classes of the fit's people apart.

A probe is a logistic regression on one set of descriptors, one row per person, cross-validated by people, fitted and
judged with the weights that the people have in the fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core import probes
from spira.training.core.balance import BalanceConfig
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.discrimination import Estimate
from spira.training.core.propensity import design
from spira.training.core.verdicts import Gate, Verdict
from spira.training.core.weighing import participant_weights
from spira.training.core.weighted import effective_size, weighted_auc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_FOLDS = 5
_LEAST_PEOPLE = 20
"""Of each class; fewer are told but not judged."""
_FACETS = ("sex", "site", "device", "mask")
_SHORTCUTS = (probes.LEVEL, probes.DURATION, probes.ZEROS, probes.BANDWIDTH, probes.SILENCE)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one set of descriptors tells about the class."""

    name: str
    patients: int
    controls: int
    effective: float
    """How many people of equal weight they are worth."""
    unweighted: Estimate | None
    """AUC where everybody counts the same; None with too few people."""
    weighted: Estimate | None
    """AUC with the people's weights in the fit."""
    excused: str = ""
    """Why it is told but not judged."""

    @property
    def n(self) -> int:
        return self.patients + self.controls


def run_probes(
    cohort: Cohort, indexes: Sequence[int], *, config: BalanceConfig, level_is_normalised: bool, seed: int
) -> list[Probe]:
    """Of the people whose recordings `indexes` are fitted on. Sets that nobody has, or in which all are alike, are
    left out. Raises what `participant_weights` raises."""
    people: dict[str, list[Recording]] = defaultdict(list)
    for index in sorted(indexes, key=lambda index: cohort.recordings[index].participant):
        people[cohort.recordings[index].participant].append(cohort.recordings[index])
    weights = participant_weights(cohort, indexes, config)
    found = []
    for name, table in _tables(people).items():
        labels = np.array([people[person][0].label for person in table], dtype=np.int64)
        own = np.array([weights[person] for person in table])
        excused = "the model sees every recording at one level" if name == "level" and level_is_normalised else ""
        found.append(_probed(name, np.array(list(table.values())), labels, own, seed=seed, excused=excused))
    return found


def probe_rows(found: Iterable[Probe]) -> list[dict[str, Any]]:
    """A table of JSON values."""
    return [
        {
            "descriptors": one.name,
            "n": one.n,
            "patients": one.patients,
            "effective n": one.effective,
            **_named(one.unweighted, "auc"),
            **_named(one.weighted, "auc_weighted"),
            "note": one.excused,
        }
        for one in found
    ]


def probe_gates(found: Iterable[Probe], config: BalanceConfig) -> list[Gate]:
    """FAIL where a probe's lower bound is above the limit, PASS where its upper bound is not."""
    return [_gate(one, config) for one in found if not one.excused]


def refuse_shortcuts(found: Iterable[Probe], config: BalanceConfig) -> None:
    """Raises InvalidInput with every probe that fails, where the policy is to refuse such a data set."""
    failed = [gate for gate in probe_gates(found, config) if gate.verdict == "FAIL"]
    if config.policy == "refuse" and failed:
        hint = "balance the data set, or take balance.policy reweight or match"
        raise InvalidInput.of(Problem(where="balance.policy refuse", what=gate.reason, hint=hint) for gate in failed)


def _gate(one: Probe, config: BalanceConfig) -> Gate:
    name = f"shortcut: {one.name}"
    if one.weighted is None or one.unweighted is None:
        reason = (
            f"{one.name}: known of {one.patients} patients and {one.controls} controls of the fit, "
            f"too few to tell; {_LEAST_PEOPLE} of each are asked for"
        )
        return Gate(name=name, verdict="NOT ENOUGH DATA", reason=reason)
    verdict: Verdict = "FAIL" if one.weighted.low > config.limit else "NOT ENOUGH DATA"
    verdict = "PASS" if one.weighted.high <= config.limit else verdict
    reason = (
        f"{one.name} alone tells the classes of the fit's {one.n} people apart with AUC {one.weighted.value:.3f} "
        f"({one.weighted.low:.3f} to {one.weighted.high:.3f}) as they are weighted (policy {config.policy}, worth "
        f"{one.effective:.0f} people), {one.unweighted.value:.3f} unweighted; at most {config.limit:g} is accepted"
    )
    return Gate(name=name, verdict=verdict, reason=reason)


def _tables(people: Mapping[str, Sequence[Recording]]) -> dict[str, dict[str, FloatArray]]:
    """By set of descriptors, a row per person of whom it is known."""
    ages = {name: own[0].age for name, own in people.items()}
    known = {name: np.array([age]) for name, age in ages.items() if age is not None}
    tables = {"age": _together(known, lambda rows: design(rows[:, 0], None))}
    for facet in _FACETS:
        values = {name: own[0].facets[facet] for name, own in people.items() if facet in own[0].facets}
        tables[facet] = _one_column_each(values)
    for shortcut in _SHORTCUTS:
        tables[shortcut] = _together(_means(people, shortcut), _with_squares)
    return {name: table for name, table in tables.items() if len({row.tobytes() for row in table.values()}) > 1}


def _means(people: Mapping[str, Sequence[Recording]], shortcut: str) -> dict[str, FloatArray]:
    rows = {}
    for name, own in people.items():
        values = [np.atleast_1d(one.shortcuts.get(shortcut, [])) for one in own]
        heard = [value for value in values if value.size]
        if heard:
            rows[name] = np.mean(heard, axis=0)
    return rows


def _together(rows: Mapping[str, FloatArray], change: Callable[[FloatArray], FloatArray]) -> dict[str, FloatArray]:
    if not rows:
        return {}
    return dict(zip(rows, change(np.stack(list(rows.values()))), strict=True))


def _with_squares(rows: FloatArray) -> FloatArray:
    """Too short and too long may both tell."""
    spread = rows.std(0)
    standard = (rows - rows.mean(0)) / np.where(spread > 0.0, spread, 1.0)
    return np.concatenate([standard, standard**2], axis=1)


def _one_column_each(values: Mapping[str, str]) -> dict[str, FloatArray]:
    names = sorted(set(values.values()))
    return {person: np.array([float(value == name) for name in names]) for person, value in values.items()}


def _probed(name: str, rows: FloatArray, labels: IntArray, weights: FloatArray, *, seed: int, excused: str) -> Probe:
    counts = {label: int(((labels == label) & (weights > 0.0)).sum()) for label in (0, 1)}
    enough = min(counts.values()) >= _LEAST_PEOPLE
    unweighted = _area(rows, labels, np.ones(len(labels)), seed) if enough else None
    is_equal = bool((weights == weights[0]).all())
    return Probe(
        name=name,
        patients=counts[1],
        controls=counts[0],
        effective=effective_size(weights),
        unweighted=unweighted,
        weighted=_area(rows, labels, weights, seed) if enough and not is_equal else unweighted,
        excused=excused,
    )


def _area(rows: FloatArray, labels: IntArray, weights: FloatArray, seed: int) -> Estimate:
    """Of the scores of people whom the regression has not seen. Where weights balance the classes exactly, leaving
    some people out unbalances the others the opposite way: such areas lie below 0.5, which tells nothing."""
    kept = weights > 0.0
    rows, labels, weights = rows[kept], labels[kept], weights[kept]
    scores = np.zeros(len(labels))
    folds = _folds(labels, seed)
    for fold in range(_FOLDS):
        held = folds == fold
        scores[held] = _fitted(rows[~held], labels[~held], weights[~held])(rows[held])
    return weighted_auc(scores, labels, weights, seed=seed)


def _folds(labels: IntArray, seed: int) -> IntArray:
    """Each class dealt evenly, in an order that depends on the seed."""
    random = np.random.default_rng(seed)
    folds = np.zeros(len(labels), dtype=np.int64)
    for label in (0, 1):
        mine = random.permutation(np.flatnonzero(labels == label))
        folds[mine] = np.arange(len(mine)) % _FOLDS
    return folds


def _fitted(rows: FloatArray, labels: IntArray, weights: FloatArray) -> Callable[[FloatArray], FloatArray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(max_iter=1000)  # type: ignore[no-untyped-call]  # the library has no annotations
    model = make_pipeline(StandardScaler(), regression)  # type: ignore[no-untyped-call]  # likewise
    model.fit(rows, labels, logisticregression__sample_weight=weights)
    return lambda others: np.asarray(model.decision_function(others), dtype=np.float64)


def _named(estimate: Estimate | None, name: str) -> dict[str, float | None]:
    return {name: None} if estimate is None else dict(estimate.named(name))

"""Who is comparable with whom: how likely people of an age and sex are patients, and weights and matches by it.

Rows are people; `labels` int [n], 1 for patients. Nothing here knows how recordings sound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_RIDGE = 0.05
_STEPS = 50
_KNOTS = (0.25, 0.5, 0.75)
_FORBIDDEN = 1e6


def design(age: FloatArray | None, sex: IntArray | None, *, is_rich: bool = True) -> FloatArray:
    """Columns of what is asked: age as a spline of degree one with knots at its quartiles (nan: unknown, told by a
    column of its own), sex as one column per value but the first, and age by sex. float64 [n, columns].

    Without `is_rich` neither knots nor age by sex: few people would be told apart by chance.
    """
    columns: list[FloatArray] = []
    if age is not None:
        is_known = ~np.isnan(age)
        filled = np.where(is_known, age, np.median(age[is_known])) / 10.0
        knots = np.quantile(filled[is_known], _KNOTS) if is_rich else ()
        columns += [filled, *(np.maximum(filled - knot, 0.0) for knot in knots)]
        columns += [] if is_known.all() else [(~is_known).astype(np.float64)]
    if sex is not None:
        groups = [(sex == value).astype(np.float64) for value in np.unique(sex)[1:]]
        columns += [*groups, *(group * columns[0] for group in groups if age is not None and is_rich)]
    return np.column_stack(columns)


def propensity(columns: FloatArray, labels: IntArray) -> FloatArray:
    """The chance of each to be a patient, float64 [n], by logistic regression on the standardised columns.

    A small ridge keeps the fit finite where the columns separate the classes.
    """
    spread = columns.std(0)
    standard = (columns - columns.mean(0)) / np.where(spread > 0.0, spread, 1.0)
    rows = np.column_stack([np.ones(len(labels)), standard])
    penalty = _RIDGE * np.eye(rows.shape[1])
    penalty[0, 0] = 0.0
    slopes = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chances = _sigmoid(rows @ slopes)
        curvature = (rows.T * np.maximum(chances * (1.0 - chances), 1e-9)) @ rows + penalty
        step = np.linalg.solve(curvature, rows.T @ (labels - chances) - penalty @ slopes)
        slopes += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return _sigmoid(rows @ slopes)


def overlap_weights(chances: FloatArray, labels: IntArray) -> FloatArray:
    """Each person counts by the chance of being in the *other* class (Li, Morgan and Zaslavsky, JASA 2018): those who
    could be either count most, nobody without bound. Each class's mean is 1."""
    weights = np.where(labels == 1, 1.0 - chances, chances)
    for label in (0, 1):
        weights[labels == label] /= max(float(weights[labels == label].mean()), 1e-12)
    return weights


def matches(age: FloatArray, sex: IntArray, labels: IntArray, *, years: float, most: int) -> FloatArray:
    """Weights of people in matched sets: each patient with up to `most` controls of the same sex whose age differs by
    at most `years`, as many patients as possible and then as near as possible; nobody is in two sets. A patient
    counts 1, the controls of a set 1 together; people in no set 0."""
    from scipy.optimize import linear_sum_assignment

    patients, controls = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    apart = np.abs(age[patients][:, None] - age[controls][None, :])
    fits = (apart <= years) & (sex[patients][:, None] == sex[controls][None, :])
    sets: dict[int, list[int]] = {}
    free = np.ones(len(controls), dtype=bool)
    for turn in range(most):
        wanted = np.array([n for n in range(len(patients)) if turn == 0 or n in sets], dtype=np.int64)
        open_controls = np.flatnonzero(free)
        allowed = fits[np.ix_(wanted, open_controls)]
        if not allowed.any():
            break
        costs = np.where(allowed, apart[np.ix_(wanted, open_controls)], _FORBIDDEN)
        for row, column in zip(*linear_sum_assignment(costs), strict=True):
            if allowed[row, column]:
                sets.setdefault(int(wanted[row]), []).append(int(open_controls[column]))
                free[open_controls[column]] = False
    weights = np.zeros(len(labels))
    for patient, chosen in sets.items():
        weights[patients[patient]] = 1.0
        weights[controls[np.array(chosen)]] = 1.0 / len(chosen)
    return weights


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))

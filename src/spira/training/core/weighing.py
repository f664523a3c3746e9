"""What each person counts in a fit, so that age and sex can't be learned instead of health."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.balance import BalanceConfig
from spira.training.core.cohort import Cohort, Recording
from spira.training.core.propensity import design, matches, overlap_weights, propensity
from spira.training.core.weighted import weighted_auc

_SEED = 65
_JUDGED = 20
"""People of the smaller class from which on what is left of age and sex is judged."""
_RICH = 50
"""From which on the shape of age's influence, and its difference between the sexes, is asked for."""
FloatArray = npt.NDArray[np.float64]


def participant_weights(cohort: Cohort, indexes: Sequence[int], config: BalanceConfig) -> dict[str, float]:
    """What each person of the recordings `indexes` counts in a fit, by pseudonym; the mean is 1.

    Decided by label, age and sex of these people alone: overlap weights of `reweight`, sets of `match` (others count
    0), else 1 for everybody, and also where neither age nor sex is known of anybody. Raises InvalidInput when
    covariates still tell the classes apart afterwards (judged from 20 people of each class on), or too few people
    are comparable.
    """
    people = {cohort.recordings[index].participant: cohort.recordings[index] for index in indexes}
    rows = [people[name] for name in sorted(people)]
    labels = np.array([one.label for one in rows], dtype=np.int64)
    age, sex = _ages(rows, config), _sexes(rows, config)
    if config.policy not in {"reweight", "match"} or set(labels.tolist()) != {0, 1} or (age is None and sex is None):
        return {one.participant: 1.0 for one in rows}
    smaller = int(min(labels.sum(), len(labels) - labels.sum()))
    chances = propensity(design(age, sex, is_rich=smaller >= _RICH), labels)
    weigh = config.policy == "reweight"
    weights = overlap_weights(chances, labels) if weigh else _matched(age, sex, labels, config)
    if smaller >= _JUDGED:
        _refuse_unbalanced(chances, labels, weights, config)
    weights = weights / weights.mean()
    return {one.participant: float(weight) for one, weight in zip(rows, weights, strict=True)}


def _ages(rows: Sequence[Recording], config: BalanceConfig) -> FloatArray | None:
    """None where age is not asked or tells nothing: unknown, or the same of everybody."""
    known = np.array([np.nan if one.age is None else one.age for one in rows], dtype=np.float64)
    if "age" not in config.covariates or len(set(known[~np.isnan(known)].tolist())) < 2:
        return None
    return known


def _sexes(rows: Sequence[Recording], config: BalanceConfig) -> npt.NDArray[np.int64] | None:
    """Numbers for the values; not known is a value, too. None where it is not asked or the same of everybody."""
    values, numbers = np.unique([one.facets.get("sex", "") for one in rows], return_inverse=True)
    return None if "sex" not in config.covariates or len(values) < 2 else numbers.astype(np.int64)


def _matched(
    age: FloatArray | None, sex: npt.NDArray[np.int64] | None, labels: npt.NDArray[np.int64], config: BalanceConfig
) -> FloatArray:
    """Somebody whose age is asked and not known has no match."""
    ages = np.zeros(len(labels)) if age is None else age
    sexes = np.zeros(len(labels), dtype=np.int64) if sex is None else sex
    weights = matches(ages, sexes, labels, years=config.match_years, most=config.match_controls)
    if (weights[labels == 1] > 0).sum() < 2:
        what = f"finds {(weights[labels == 1] > 0).sum()} patients with a control of like age and sex to fit on"
        hint = "take more people, or a larger balance.match_years"
        raise InvalidInput.of([Problem(where="balance.policy match", what=what, hint=hint)])
    return weights


def _refuse_unbalanced(
    chances: FloatArray, labels: npt.NDArray[np.int64], weights: FloatArray, config: BalanceConfig
) -> None:
    left = weighted_auc(chances, labels, weights, seed=_SEED)
    if left.low <= config.limit:
        return
    names = " and ".join(config.covariates)
    what = (
        f"leaves {names} telling patients from controls: AUC {left.value:.3f} ({left.low:.3f} to {left.high:.3f}) "
        f"among the {len(labels)} people of the fit, at most {config.limit:g} is accepted as its lower bound"
    )
    hint = "add controls as old as the patients (or patients as young), or raise balance.limit knowingly"
    raise InvalidInput.of([Problem(where=f"balance.policy {config.policy}", what=what, hint=hint)])

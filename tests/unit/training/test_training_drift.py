"""A data set beside the last accepted one, with intervals that know how many people there are."""

from __future__ import annotations

import numpy as np
import pytest

from spira.training.core.drift import DriftConfig, Numbers, Summary, Words, compare, ks, psi, refused


def normal(n: int, *, mean: float = 0.0, seed: int = 1) -> Numbers:
    return Numbers.of(np.random.default_rng(seed).normal(mean, 1.0, n).tolist())


def summary(*, age: Numbers | None = None, sex: dict[str, int] | None = None) -> Summary:
    numbers = {} if age is None else {"age": age}
    words = {} if sex is None else {"sex": Words(counts=sex)}
    return Summary(people=100, recordings=100, numbers=numbers, words=words)


def test_the_distance_of_a_distribution_from_itself_is_0() -> None:
    assert ks(normal(500), normal(500))[0] == 0.0
    assert psi(Words(counts={"f": 50, "m": 50}), Words(counts={"f": 50, "m": 50}))[0] == 0.0


def test_ks_is_the_largest_gap_between_shares() -> None:
    """Of 0..99 half lie below 50, of 50..149 none."""
    value, low, high = ks(Numbers.of(range(100)), Numbers.of(range(50, 150)))

    assert value == pytest.approx(0.5, abs=0.02)
    assert low < 0.5 < high


def test_psi_has_its_known_value() -> None:
    """(0.5 - 0.8) ln(0.5 / 0.8) + (0.5 - 0.2) ln(0.5 / 0.2) = 0.416."""
    value, *_ = psi(Words(counts={"f": 50_000, "m": 50_000}), Words(counts={"f": 80_000, "m": 20_000}))

    assert value == pytest.approx(0.416, abs=0.001)


def test_intervals_shrink_with_more_people() -> None:
    widths = []
    for n in (50, 5000):
        _, low, high = ks(normal(n), normal(n, seed=2))
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_equal_populations_are_not_taken_for_different_ones() -> None:
    """The lower bound lies above 0 in no more than the 5 % that it may."""
    pairs = [(normal(80, seed=n), normal(80, seed=1000 + n)) for n in range(200)]

    assert sum(ks(one, other)[1] > 0 for one, other in pairs) <= 10


def test_a_large_shift_fails_a_small_one_passes_and_between_there_is_not_enough_data() -> None:
    config = DriftConfig(max_ks=0.2)

    def verdict(n: int, mean: float) -> str:
        (shift,) = compare(summary(age=normal(n)), summary(age=normal(n, mean=mean, seed=2)), config)
        return shift.verdict

    assert verdict(500, 2.0) == "FAIL"
    assert verdict(2000, 0.0) == "PASS"
    assert verdict(60, 0.3) == "NOT ENOUGH DATA"


def test_too_few_people_are_told_and_not_judged() -> None:
    (shift,) = compare(summary(sex={"f": 29}), summary(sex={"m": 500}), DriftConfig(min_people=30))

    assert shift.verdict == "NOT ENOUGH DATA"
    assert shift.reason == "known of 29 people before and 500 now; 30 are needed on either side"


def test_a_new_site_and_one_that_is_gone_are_named() -> None:
    (shift,) = compare(summary(sex={"a": 100, "b": 100}), summary(sex={"b": 100, "c": 100}), DriftConfig())

    assert shift.verdict == "FAIL"
    assert shift.reason.endswith("; new: c; gone: a")


def test_percentiles_of_few_people_are_not_kept() -> None:
    assert Numbers.of([40.0, 41.0]) == Numbers(n=2, percentiles=())


def test_only_a_policy_that_says_so_refuses_a_shift() -> None:
    shifts = compare(summary(age=normal(500)), summary(age=normal(500, mean=3.0)), DriftConfig())

    assert refused(shifts, DriftConfig(policy="note")) == []
    assert refused(shifts, DriftConfig(policy="refuse")) == shifts

"""Slices by hand-made people: who is counted, who is judged, and what a gap has to show."""

from __future__ import annotations

import pytest

from spira.training.core.discrimination import difference_of_shares
from spira.training.core.evaluation import EvaluationConfig
from spira.training.core.figures import Scored
from spira.training.core.slices import disparities, gaps, slice_figures, slices_gate

CONFIG = EvaluationConfig(slices=("sex",))


def group(sex: str, *, n: int, found: int, quiet: int) -> list[Scored]:
    """n patients of whom so many are found, and n controls of whom so many are left in peace."""
    scores = [(1, 0.9 if i < found else 0.1) for i in range(n)] + [(0, 0.1 if i < quiet else 0.9) for i in range(n)]
    return [
        Scored(participant=f"{sex}{i}", label=label, score=score, threshold=0.5, facets={"sex": sex})
        for i, (label, score) in enumerate(scores)
    ]


def test_small_slices_are_counted_not_judged() -> None:
    people = group("f", n=8, found=6, quiet=6) + group("m", n=2, found=1, quiet=2)

    found = slice_figures(people, CONFIG)

    assert [(one["value"], one["n"], one["enough"], "auc" in one) for one in found] == [
        ("f", 16, True, True),
        ("m", 4, False, False),
    ]


def test_the_difference_of_shares_is_newcombes() -> None:
    """His example (Statistics in Medicine 1998, table II, method 10): 56/70 - 48/80."""
    found = difference_of_shares((56, 70), (48, 80))

    assert found.value == pytest.approx(0.2)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0524, 0.3339)


def test_a_slice_that_is_served_worse_fails_and_is_named() -> None:
    people = group("f", n=100, found=90, quiet=90) + group("m", n=100, found=40, quiet=90)

    gate = slices_gate(people, CONFIG)

    assert gate.verdict == "FAIL"
    assert gate.reason.startswith("sex m: sensitivity 0.40 (n 100) against 0.90 elsewhere, difference -0.500 (")


def test_slices_that_are_served_alike_pass_when_there_are_enough_people() -> None:
    people = group("f", n=150, found=135, quiet=135) + group("m", n=150, found=135, quiet=135)

    assert slices_gate(people, CONFIG).verdict == "PASS"


def test_slices_of_a_dozen_can_not_be_told_apart() -> None:
    people = group("f", n=12, found=10, quiet=10) + group("m", n=12, found=10, quiet=10)

    gate = slices_gate(people, CONFIG)

    assert gate.verdict == "NOT ENOUGH DATA"


def test_without_a_slice_of_ten_nothing_is_judged() -> None:
    gate = slices_gate(group("f", n=9, found=9, quiet=9) + group("m", n=9, found=0, quiet=9), CONFIG)

    assert (gate.verdict, gate.reason) == (
        "NOT ENOUGH DATA",
        "no slice has 10 people of a class, and as many elsewhere",
    )


def test_people_whose_facet_is_unknown_are_on_no_side() -> None:
    known = group("f", n=10, found=9, quiet=9) + group("m", n=10, found=9, quiet=9)
    unknown = [Scored(participant=f"u{i}", label=1, score=0.1, threshold=0.5) for i in range(50)]

    assert {gap.elsewhere for gap in gaps(known + unknown, CONFIG)} == {0.9}


def test_disparities_are_fairlearns() -> None:
    people = group("f", n=10, found=9, quiet=8) + group("m", n=10, found=5, quiet=8)

    (found,) = disparities(people, CONFIG)

    assert (found["slice"], found["groups"], found["n"]) == ("sex", ["f", "m"], 40)
    assert found["sensitivity"] == pytest.approx(0.4)
    assert found["false_alarms"] == pytest.approx(0.0)
    assert found["selection_rate"] == pytest.approx(0.2)

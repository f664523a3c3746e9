"""The tree of errors: branches say what a caller can do."""

from __future__ import annotations

import pytest

from spira.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    SpiraError,
    Unauthenticated,
    Unavailable,
)


def test_one_problem_is_told_with_its_place_and_the_way_out() -> None:
    error = InvalidInput.of([Problem(where="row 3, label", what="'sick' is no label", hint="control or patient")])

    assert str(error) == "row 3, label: 'sick' is no label (control or patient)"


def test_of_several_problems_the_first_is_told_and_all_are_kept() -> None:
    problems = [Problem(where=f"row {number}", what="is empty") for number in range(3)]

    error = InvalidInput.of(iter(problems))

    assert str(error) == "row 0: is empty (and 2 more)"
    assert error.problems == tuple(problems)
    assert error.problems[0].as_dict() == {"where": "row 0", "what": "is empty", "hint": ""}


@pytest.mark.parametrize("kind", [InvalidInput, NotFound, Conflict, Forbidden, Unavailable])
def test_every_branch_is_a_spira_error_and_no_other_branch(kind: type[SpiraError]) -> None:
    branches = {InvalidInput, NotFound, Conflict, Forbidden, Unavailable}

    assert issubclass(kind, SpiraError)
    assert not any(issubclass(kind, other) for other in branches - {kind})


def test_who_is_unknown_is_forbidden_too() -> None:
    assert issubclass(Unauthenticated, Forbidden)

"""Receipts: what a process leaves for the run that started it, and what counts of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spira.apps import cli
from spira.infra.objects.file_objects import FileObjects
from spira.infra.objects.port import check_key
from spira.kernel import errors
from spira.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem, SpiraError, Unavailable
from spira.orchestration.receipts import (
    REFUSED_EXIT_CODES,
    Receipt,
    Refusal,
    read_receipt,
    receipt_key,
    refusal_of,
    write_receipt,
)


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


def test_a_receipt_comes_back_as_it_was_left(objects: FileObjects) -> None:
    objects.put("m.json", b"{}")
    left = Receipt(label="train@1.0", manifest="m.json", reused=True, repaired=("weights",), told={"auc": 0.9})

    write_receipt(objects, "runs/d/r/train.json", left)

    assert read_receipt(objects, "runs/d/r/train.json") == left


def test_nothing_is_read_where_nothing_was_left_or_the_manifest_is_gone(objects: FileObjects) -> None:
    write_receipt(objects, "gone.json", Receipt(label="x", manifest="m.json"))

    assert read_receipt(objects, "never.json") is None
    assert read_receipt(objects, "gone.json") is None


def test_an_object_that_is_no_receipt_is_no_answer(objects: FileObjects) -> None:
    objects.put("r.json", b"[1]")

    with pytest.raises(Unavailable, match=r"r.json is no receipt; delete it"):
        read_receipt(objects, "r.json")


def test_a_refusal_keeps_every_problem_and_needs_no_manifest(objects: FileObjects) -> None:
    problems = [Problem(where=f"row {row}", what="is bad", hint="mend it") for row in (2, 3)]

    write_receipt(objects, "r.json", refusal_of(InvalidInput.of(problems), label="validate"))

    found = read_receipt(objects, "r.json")
    assert isinstance(found, Refusal)
    assert found.lines() == "2 problems\nrow 2: is bad (mend it)\nrow 3: is bad (mend it)"


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (InvalidInput("bad"), True),
        (NotFound("gone"), True),
        (Conflict("changed"), True),
        (Forbidden("no"), True),
        (errors.Unauthenticated("who"), True),
        (Unavailable("later"), False),
        (errors.Throttled("slow down", retry_after_s=1.0), False),
        (SpiraError("?"), False),
    ],
)
def test_only_what_may_go_away_is_worth_another_try_by_receipt_and_by_exit_code(
    error: SpiraError, permanent: bool
) -> None:
    assert refusal_of(error, label="x").permanent is permanent
    assert (cli.exit_code(error) in REFUSED_EXIT_CODES) is permanent


def test_keys_of_a_run_are_valid_and_distinct_whatever_airflow_calls_it() -> None:
    runs = ["manual__2026-01-01T00:00:00+00:00", "manual__2026-01-01T00-00-00+00-00", 300 * "x", 300 * "x" + "y", "a"]

    keys = [check_key(receipt_key("spira_training", run, "train@1.0")) for run in runs]

    assert len(set(keys)) == len(runs)
    assert keys[-1] == "runs/spira_training/a/train@1.0.json"

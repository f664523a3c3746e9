"""A step is done again for what it takes of an earlier one, not for what else lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spira.infra.objects.file_objects import FileObjects
from spira.orchestration.contract import Request, run_step
from spira.orchestration.manifest import Outside
from spira.orchestration.steps import STEPS, Step, step_named
from spira.orchestration.workbench import Workbench

FIRST = Step(name="validate", does="write", sections=(), outside=("dataset",), code=("kernel/ids.py",))
SECOND = Step(
    name="features",
    does="read",
    sections=(),
    reads=("validate",),
    takes={"validate": ("cohort.json",)},
    code=("kernel/ids.py",),
)


def first(objects: FileObjects, *, cohort: bytes, report: bytes) -> str:
    def body(bench: Workbench) -> None:
        bench.write("cohort.json", cohort)
        bench.write("report.json", report)

    outside = {"dataset": Outside(location="/x", digest=f"{cohort!r}{report!r}")}
    return run_step(Request(step=FIRST, config={}, outside=outside), body, objects=objects).manifest_key


def second(objects: FileObjects, key: str, *, output: str = "cohort.json") -> bool:
    """Whether the work had to be done."""
    request = Request(step=SECOND, config={}, inputs={"validate": key})

    def body(bench: Workbench) -> None:
        bench.read("validate", output)

    return not run_step(request, body, objects=objects).reused


def test_a_changed_report_is_no_reason_to_do_the_work_again(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    second(objects, first(objects, cohort=b"people", report=b"one"))

    assert not second(objects, first(objects, cohort=b"people", report=b"two"))
    assert second(objects, first(objects, cohort=b"others", report=b"two"))


def test_an_output_that_the_step_does_not_name_is_refused(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)

    with pytest.raises(ValueError, match=r"does not say that it takes 'report\.json'"):
        second(objects, first(objects, cohort=b"people", report=b"one"), output="report.json")


def test_features_and_fits_depend_on_the_people_alone() -> None:
    """Another evaluation set or a new report of the check leaves them as they are."""
    for name in ("features", "train", "ensemble"):
        assert step_named(name).taken("validate") == ("cohort.json",)
    assert {name for step in STEPS for name in step.takes} <= {step.name for step in STEPS}

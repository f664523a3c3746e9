from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import Conflict, NotFound
from spira.orchestration.contract import Request, find_done, run_step
from spira.orchestration.manifest import Outside, code_digest, read_manifest
from spira.orchestration.planning import plan
from spira.orchestration.steps import STEPS, Step, step_named
from spira.orchestration.workbench import Body, Workbench

COUNT = Step(name="validate", does="count", sections=("seed",), outside=("dataset",), code=("kernel/ids.py",))
SUM = Step(name="features", does="sum", sections=("augmentation",), reads=("validate",), code=("kernel/ids.py",))
CONFIG = {"seed": 1, "augmentation": {}, "other": 1}


@pytest.fixture
def objects(tmp_path: Path) -> FileObjects:
    return FileObjects(tmp_path)


def count(*, config: dict[str, object] | None = None, digest: str = "d1") -> Request:
    outside = {"dataset": Outside(location="/x", digest=digest)}
    return Request(step=COUNT, config=CONFIG if config is None else config, outside=outside)


def writing(data: bytes, calls: list[str] | None = None) -> Body:
    def body(bench: Workbench) -> None:
        if calls is not None:
            calls.append(bench.content_key)
        bench.write("out.bin", data)

    return body


class Remote:
    """A store that has no files to give: the one below, through the role's own methods."""

    def __init__(self, objects: FileObjects) -> None:
        self.put, self.get, self.open = objects.put, objects.get, objects.open
        self.stat, self.list, self.delete = objects.stat, objects.list, objects.delete


def never(_: Workbench) -> None:
    raise AssertionError("the step was done already")


def killed(bench: Workbench) -> None:
    bench.write("out.bin", b"half")
    raise KeyboardInterrupt


def test_what_is_done_is_not_done_again(objects: FileObjects) -> None:
    first = run_step(count(), writing(b"x"), objects=objects)

    second = run_step(count(), never, objects=objects)

    assert (first.reused, second.reused) == (False, True)
    assert second.manifest == first.manifest
    assert find_done(count(), objects=objects) == second


def test_outputs_without_a_manifest_do_not_count(objects: FileObjects) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_step(count(), killed, objects=objects)

    assert find_done(count(), objects=objects) is None
    assert (
        objects.get(run_step(count(), writing(b"whole"), objects=objects).manifest.outputs["out.bin"].key) == b"whole"
    )


def test_leftovers_of_a_killed_attempt_and_checkpoints_go_once_the_step_is_done(objects: FileObjects) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_step(count(), killed, objects=objects)

    done = run_step(count(), writing(b"whole"), objects=objects)

    prefix = done.manifest_key.rpartition("/")[0]
    assert {info.key for info in objects.list(prefix)} == {done.manifest_key, done.manifest.outputs["out.bin"].key}


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_output_is_made_again_and_said(objects: FileObjects, damage: str) -> None:
    key = run_step(count(), writing(b"good"), objects=objects).manifest.outputs["out.bin"].key
    if damage == "changed":
        objects.put(key, b"evil")
    else:
        objects.delete(key)

    done = run_step(count(), writing(b"good"), objects=objects)

    assert (done.reused, done.repaired) == (False, ("out.bin",))
    assert objects.get(done.manifest.outputs["out.bin"].key) == b"good"
    assert run_step(count(), never, objects=objects).reused


def test_other_input_configuration_or_parameters_are_other_work(objects: FileObjects) -> None:
    calls: list[str] = []
    changed = CONFIG | {"seed": 2}
    unread = CONFIG | {"other": 2}

    for request in (count(), count(config=changed), count(digest="d2"), count(config=unread)):
        run_step(request, writing(b"x", calls), objects=objects)

    assert len(calls) == len(set(calls)) == 3


def test_another_image_or_another_library_is_other_work(objects: FileObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(count(), image="sha256:1")
    keys = [run_step(one, writing(b"x"), objects=objects).manifest_key for one in (count(), made)]

    assert keys[0] != keys[1]
    assert find_done(replace(count(), image="sha256:2"), objects=objects) is None
    monkeypatch.setattr("spira.orchestration.contract.libraries", lambda: {"torch": "2.12.0"})
    assert find_done(count(), objects=objects) is None
    assert find_done(made, objects=objects) is not None


def test_equal_outputs_of_other_work_let_the_next_step_be_skipped(objects: FileObjects) -> None:
    first = run_step(count(), writing(b"same"), objects=objects)
    other = run_step(count(digest="d2"), writing(b"same"), objects=objects)
    run_step(Request(step=SUM, config=CONFIG, inputs={"validate": first.manifest_key}), writing(b"y"), objects=objects)

    done = run_step(Request(step=SUM, config=CONFIG, inputs={"validate": other.manifest_key}), never, objects=objects)

    assert done.reused


def test_force_does_it_again(objects: FileObjects) -> None:
    run_step(count(), writing(b"old"), objects=objects)

    done = run_step(count(), writing(b"new"), objects=objects, force=True)

    assert objects.get(done.manifest.outputs["out.bin"].key) == b"new"


def test_of_two_that_race_one_manifest_wins_and_both_go_on_with_it(objects: FileObjects) -> None:
    def overtaken(bench: Workbench) -> None:
        run_step(count(), writing(b"faster"), objects=objects)
        bench.write("out.bin", b"slower")

    done = run_step(count(), overtaken, objects=objects)

    assert objects.get(done.manifest.outputs["out.bin"].key) == b"faster"
    assert run_step(count(), never, objects=objects).manifest == done.manifest


def test_a_manifest_tells_everything_that_decided_it(objects: FileObjects) -> None:
    done = run_step(replace(count(), image="sha256:abc"), writing(b"x"), objects=objects)

    kept = read_manifest(objects, done.manifest_key)
    assert (kept.seed, kept.config, kept.inputs) == (1, {"seed": 1}, {"dataset": "d1"})
    assert (kept.code, kept.image) == (code_digest(COUNT.code), "sha256:abc")
    assert kept.libraries["numpy"]


def test_an_input_that_changed_after_its_step_is_refused(objects: FileObjects) -> None:
    first = run_step(count(), writing(b"x"), objects=objects)
    objects.put(first.manifest.outputs["out.bin"].key, b"y")

    def reading(bench: Workbench) -> None:
        bench.read("validate", "out.bin")

    with pytest.raises(Conflict, match="changed after it was written"):
        run_step(Request(step=SUM, config=CONFIG, inputs={"validate": first.manifest_key}), reading, objects=objects)


def test_the_plan_runs_from_left_to_right() -> None:
    for cross_validate in (False, True):
        seen: set[str] = set()
        for planned in plan(folds=5, cross_validate=cross_validate):
            assert set(planned.after) <= seen
            seen.add(planned.label)
    assert [one.label for one in plan(folds=3, cross_validate=True)] == [
        "validate", "features", "train", "train@1", "train@2", "ensemble", "ensemble@1", "ensemble@2", "evaluate",
        "cross-validate", "publish",
    ]  # fmt: skip


def test_pieces_feed_the_pieces_of_their_own_fold() -> None:
    after = {one.label: set(one.after) for one in plan(folds=2, cross_validate=True, shards=2, parts=2)}

    assert after["train@1.0"] == {"validate", "features@0", "features@1"}
    assert after["ensemble"] == {"validate", "train@0.0", "train@0.1"}
    assert after["ensemble@1"] == {"validate", "train@1.0", "train@1.1"}
    assert after["evaluate"] == {"validate", "ensemble"}
    assert after["cross-validate"] == {"validate", "ensemble", "ensemble@1"}
    assert after["publish"] == {"validate", "ensemble", "evaluate", "cross-validate"}


def test_every_step_names_code_that_exists() -> None:
    for step in STEPS:
        assert code_digest(step.code) != code_digest(())
        for path in step.code:
            assert code_digest((path,)) != code_digest(()), path


def test_an_unknown_step_tells_those_that_exist() -> None:
    with pytest.raises(NotFound, match="validate, features, train, ensemble, evaluate, cross-validate, publish"):
        step_named("fit")


@pytest.mark.parametrize("remote", [False, True])
def test_an_input_is_fetched_as_a_file_that_is_checked_and_goes_with_the_step(
    objects: FileObjects, remote: bool
) -> None:
    data = bytes(range(256)) * 9000  # more than one piece of the stream
    first = run_step(count(), writing(data), objects=objects)
    request = Request(step=SUM, config=CONFIG, inputs={"validate": first.manifest_key})
    seen: list[Path] = []

    def body(bench: Workbench) -> None:
        seen.append(bench.fetch("validate", "out.bin"))
        assert seen[0].read_bytes() == data
        with pytest.raises(NotFound, match="no output 'other'"):
            bench.fetch("validate", "other")

    run_step(request, body, objects=Remote(objects) if remote else objects)

    assert seen[0].exists() is not remote
    assert objects.get(first.manifest.outputs["out.bin"].key) == data


@pytest.mark.parametrize("remote", [False, True])
def test_a_fetched_input_that_changed_is_told_and_nothing_stays(objects: FileObjects, remote: bool) -> None:
    first = run_step(count(), writing(b"x"), objects=objects)
    objects.put(first.manifest.outputs["out.bin"].key, b"y")
    request = Request(step=SUM, config=CONFIG, inputs={"validate": first.manifest_key})

    def body(bench: Workbench) -> None:
        bench.fetch("validate", "out.bin")

    with pytest.raises(Conflict, match=r"'out\.bin' of step 'validate' changed"):
        run_step(request, body, objects=Remote(objects) if remote else objects)

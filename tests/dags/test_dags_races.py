"""A pod and what Airflow believes of it part ways in every manner that was ever reported: the manifest decides."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from conftest import MANIFEST, Task, World, trigger_of
from scripted_kubernetes import GONE, RUNNING, Moment, ended


def test_a_step_that_is_done_gives_its_receipt_and_its_pod_is_deleted(world: World) -> None:
    world.kubernetes.script = lambda _: [RUNNING, RUNNING, ended(effect=world.leaves_manifest)]
    task = Task()

    told = task.run()

    assert told["manifest"] == MANIFEST
    assert told["told"] == {"n": 3}
    assert world.kubernetes.pods == {}
    assert task.states == {}


def test_a_pod_that_vanished_after_its_manifest_was_written_is_a_success(world: World) -> None:
    world.kubernetes.script = lambda _: [RUNNING, RUNNING, Moment(gone=True, effect=world.leaves_manifest)]

    assert Task().run()["manifest"] == MANIFEST


def test_a_pod_collected_between_the_trigger_and_the_task_is_a_success_with_a_manifest(world: World) -> None:
    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_manifest), ended(), GONE]

    assert Task().run()["manifest"] == MANIFEST


def test_a_pod_collected_between_the_trigger_and_the_task_is_a_failure_without_one(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException

    world.kubernetes.script = lambda _: [RUNNING, ended(), ended(), GONE]

    with pytest.raises(AirflowException, match="vanished and left no manifest"):
        Task().run()


def test_a_pod_that_succeeded_without_a_manifest_is_a_failure(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    with pytest.raises(AirflowException, match="succeeded and left no manifest") as caught:
        Task().run()

    assert not isinstance(caught.value, AirflowFailException)


def test_a_pod_that_failed_after_its_manifest_was_written_is_a_success(world: World) -> None:
    world.kubernetes.script = lambda _: [RUNNING, ended(137, reason="OOMKilled", effect=world.leaves_manifest)]

    assert Task().run()["manifest"] == MANIFEST


def test_a_receipt_whose_manifest_is_not_there_counts_for_nothing(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException

    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_receipt_alone)]

    with pytest.raises(AirflowException, match="left no manifest"):
        Task().run()


def test_the_receipt_of_an_earlier_pod_does_not_speak_for_a_new_one(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException

    task = Task()
    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_manifest)]
    task.run()
    world.kubernetes.script = lambda _: [RUNNING, ended(1)]

    with pytest.raises(AirflowException, match="failed with exit code 1"):
        task.run()  # the task was cleared


def test_a_deferred_task_that_is_marked_failed_takes_its_pod_along(world: World) -> None:
    deferred = Task().start()

    asyncio.run(trigger_of(deferred).on_kill())

    assert len(world.kubernetes.deleted) == 1
    assert world.kubernetes.pods == {}


def test_a_task_that_is_marked_failed_while_it_starts_takes_its_pod_along(world: World) -> None:
    task = Task(dies_after_create=True)
    operator = task.operator()
    with pytest.raises(KeyboardInterrupt):
        operator.execute(task.context())

    operator.on_kill()

    assert world.kubernetes.pods == {}


def test_a_triggerer_that_restarts_leaves_the_pod_alone(world: World) -> None:
    deferred = Task().start()

    asyncio.run(trigger_of(deferred).cleanup())

    assert world.kubernetes.deleted == []


@pytest.mark.parametrize("when", ["after the deferral", "before the deferral"])
def test_a_worker_that_dies_is_followed_by_one_that_goes_on_with_the_pod(world: World, when: str) -> None:
    world.kubernetes.script = lambda _: [RUNNING, RUNNING, RUNNING, RUNNING, ended(effect=world.leaves_manifest)]
    task = Task(dies_after_create=when == "before the deferral")
    try:
        task.start()
    except KeyboardInterrupt:
        assert when == "before the deferral"

    told = task.run()

    assert told["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 1


def test_a_pod_that_ended_while_no_worker_looked_is_not_started_again(world: World) -> None:
    world.kubernetes.script = lambda _: [ended(effect=world.leaves_manifest)]
    task = Task()
    task.start()
    (name,) = world.kubernetes.pods
    world.kubernetes.read(name)

    told = task.run()

    assert told["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 1
    assert world.kubernetes.pods == {}


def test_a_pod_that_ended_and_was_collected_while_no_worker_looked_is_not_started_again(world: World) -> None:
    world.kubernetes.script = lambda _: [Moment(gone=True, effect=world.leaves_manifest)]
    task = Task()
    task.start()
    (name,) = world.kubernetes.pods
    world.kubernetes.read(name)

    assert task.run()["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 1


def test_bad_data_fails_without_another_try_and_says_the_line(world: World) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    refusal = world.refuses("InvalidInput", "row 3, label: unknown label 'x'")
    world.kubernetes.script = lambda _: [RUNNING, ended(2, effect=refusal)]

    with pytest.raises(AirflowFailException, match="step validate refused: row 3, label: unknown label 'x'"):
        Task().run()


def test_the_exit_code_of_a_refusal_is_enough_when_its_receipt_is_lost(world: World) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    world.kubernetes.script = lambda _: [RUNNING, ended(4)]

    with pytest.raises(AirflowFailException, match="exit code 4"):
        Task().run()


def test_a_store_that_did_not_answer_is_tried_again(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    refusal = world.refuses("Unavailable", "the registry does not answer")
    world.kubernetes.script = lambda _: [RUNNING, ended(6, effect=refusal)]
    task = Task()

    with pytest.raises(AirflowException, match="the registry does not answer") as caught:
        task.run()
    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_manifest)]

    assert not isinstance(caught.value, AirflowFailException)
    assert task.run()["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 2


def test_a_step_that_was_out_of_memory_says_so_and_is_tried_again(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    world.kubernetes.script = lambda _: [RUNNING, ended(137, reason="OOMKilled")]

    with pytest.raises(AirflowException, match="OOMKilled") as caught:
        Task().run()

    assert not isinstance(caught.value, AirflowFailException)
    assert len(world.kubernetes.pods) == 1, "a failed pod is kept for a look"


def test_a_log_that_can_not_be_read_fails_nothing(world: World) -> None:
    world.kubernetes.log = None
    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_manifest)]

    assert Task().run()["manifest"] == MANIFEST


def test_an_object_store_that_is_away_at_the_end_costs_no_second_pod(world: World, tmp_path: Path) -> None:
    world.kubernetes.script = lambda _: [RUNNING, ended(effect=world.leaves_manifest)]
    task = Task()
    deferred = task.start()
    world.settings(objects_url="s3://nowhere?endpoint=http://127.0.0.1:9")

    with pytest.raises(Exception, match=r"."):
        task.resume(deferred)
    world.settings()

    assert task.run()["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 1


def test_an_image_that_can_not_be_pulled_leaves_no_pod_behind(world: World) -> None:
    from airflow.sdk.exceptions import AirflowException

    world.kubernetes.script = lambda _: [Moment(phase="Pending", waiting="ErrImagePull")]

    with pytest.raises(AirflowException, match="Pending"):
        Task().run()

    assert world.kubernetes.pods == {}


def test_a_cluster_that_does_not_answer_leaves_the_pod_to_the_next_try(world: World) -> None:
    world.kubernetes.script = lambda _: [RUNNING, RUNNING, RUNNING, ended(effect=world.leaves_manifest)]
    task = Task()
    deferred = task.start()
    world.kubernetes.down = True

    with pytest.raises(Exception, match="the next try goes on with"):
        task.resume(deferred)
    world.kubernetes.down = False

    assert task.run()["manifest"] == MANIFEST
    assert len(world.kubernetes.created) == 1
    assert world.kubernetes.deleted == [world.kubernetes.created[0]["metadata"]["name"]]


def test_a_log_is_shown_while_the_step_runs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.kubernetes.script = lambda _: [*40 * [RUNNING], ended(effect=world.leaves_manifest)]
    task = Task(options={"logging_interval": 1, "poll_interval": 0.05})

    deferred = task.start()
    capsys.readouterr()
    event = asyncio.run(anext(trigger_of(deferred).run()))

    assert event.payload["status"] == "success"
    assert "a line of the step" in capsys.readouterr().out

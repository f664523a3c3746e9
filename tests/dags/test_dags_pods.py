"""The pod of a step: what it is allowed, what it is told, and what an installation can get wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

import pytest
from conftest import IMAGE, PREPARED, Task, World
from scripted_kubernetes import Body, environment_of

if TYPE_CHECKING:
    from airflow.sdk import Context

VALIDATED = {"label": "validate", "manifest": "steps/validate/abc/manifest.json"}


def pod_of(world: World, step: str = "validate", **given: Any) -> Body:
    Task(step=step, **given).start()
    (pod,) = world.kubernetes.created
    return pod


def test_a_step_is_one_argument_of_an_image_named_by_digest(world: World) -> None:
    container = pod_of(world)["spec"]["containers"][0]

    assert container["image"] == IMAGE
    assert container["args"] == ["validate"]
    assert not container.get("command")


def test_a_pod_may_do_nothing_that_a_step_does_not_need(world: World) -> None:
    spec = pod_of(world)["spec"]
    container = spec["containers"][0]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "spira-step"
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0


def test_the_only_places_to_write_are_volumes_of_limited_size(world: World) -> None:
    spec = pod_of(world)["spec"]

    assert {one["mountPath"] for one in spec["containers"][0]["volumeMounts"]} == {"/tmp", "/dev/shm"}
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"])
    assert environment_of({"spec": spec})["HOME"] == "/tmp"


def test_stores_and_keys_come_from_the_namespace_and_never_through_airflow(world: World) -> None:
    pod = pod_of(world)

    sources = pod["spec"]["containers"][0]["envFrom"]
    assert sources == [{"configMapRef": {"name": "spira-training"}}, {"secretRef": {"name": "spira-training"}}]
    assert not {name for name in environment_of(pod) if "KEY" in name or "SECRET" in name}


def test_a_step_is_told_its_configuration_inputs_and_where_its_receipt_goes(world: World) -> None:
    told = environment_of(pod_of(world, "train", options={"after": [VALIDATED]}))

    assert told["SPIRA_STEP_CONFIG"] == "configs/c.json"
    assert json.loads(told["SPIRA_STEP_PARAMETERS"]) == {"fold": 0, "part": 0, "parts": 1}
    assert json.loads(told["SPIRA_STEP_INPUTS"]) == {"validate": VALIDATED["manifest"]}
    assert json.loads(told["SPIRA_STEP_OUTSIDE"])["dataset"]["digest"] == "d"
    assert re.fullmatch(r"runs/d/manual__2026-01-01T00-00-00\+00-00-[0-9a-f]{8}/train.json", told["SPIRA_STEP_RECEIPT"])
    assert told["SPIRA_STEP_RESUME"] == "true"
    assert told["SPIRA_STEP_FORCE"] == "false"
    assert told["SPIRA_IMAGE"] == IMAGE


def test_a_run_that_may_not_reuse_forces_every_step(world: World) -> None:
    assert environment_of(pod_of(world, params={"allow_cache": False}))["SPIRA_STEP_FORCE"] == "true"


def test_inputs_of_mapped_tasks_come_as_lists_and_skipped_ones_are_left_out(world: World) -> None:
    piece = {"label": "train", "parameters": {}, "after": ["validate", "features@0", "features@1"]}
    shards = [{"label": f"features@{shard}", "manifest": f"m{shard}"} for shard in (0, 1)]

    told = environment_of(pod_of(world, "train", options={"piece": piece, "after": [VALIDATED, [*shards, None], None]}))

    assert json.loads(told["SPIRA_STEP_INPUTS"]) == {
        "validate": VALIDATED["manifest"], "features@0": "m0", "features@1": "m1",
    }  # fmt: skip


def test_a_task_marked_as_successful_by_hand_is_missed_by_name(world: World) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="no manifest of validate"):
        Task(step="train").start()

    assert world.kubernetes.created == []


def test_the_first_pod_is_told_the_form_of_the_run(world: World) -> None:
    params = {"manifest": "s3://b/rows.csv", "preset": "robust"}

    told = environment_of(pod_of(world, "prepare", options={"prepared": None}, params=params))

    assert json.loads(told["SPIRA_RUN_PARAMETERS"]) == params
    assert "SPIRA_STEP_CONFIG" not in told


@pytest.mark.parametrize(
    "extra",
    [
        {"manifest": "s3://b/new.csv", "from": "elsewhere"},
        {"from_trigger": True, "payload": {"manifest": "s3://b/new.csv", "series": "ward"}},
    ],
    ids=["posted", "watched"],
)
def test_a_run_that_a_new_data_set_started_takes_its_manifest_from_the_event(
    airflow: None, extra: dict[str, Any]
) -> None:
    from types import SimpleNamespace

    from spira.orchestration.pod_environment import run_parameters

    event = SimpleNamespace(extra=extra)
    given = {"params": {"manifest": None, "preset": "robust"}, "triggering_asset_events": {"asset": [event]}}

    assert run_parameters(cast("Context", given)) == {"manifest": "s3://b/new.csv", "preset": "robust"}


def test_a_gpu_is_asked_for_by_training_alone(world: World) -> None:
    world.settings(gpu_node_selector={"accelerator": "h200"})
    for step in ("validate", "train"):
        Task(step=step, params={"gpus": 2}, options={"after": [VALIDATED]}).start()

    validate, train = (pod["spec"] for pod in world.kubernetes.created)
    assert train["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert train["nodeSelector"] == {"accelerator": "h200"}
    assert train["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "nvidia.com/gpu" not in validate["containers"][0]["resources"]["limits"]
    assert not validate.get("tolerations")


def test_an_installation_changes_sizes_and_names(world: World) -> None:
    world.settings(sizes={"validate": {"memory_limit": "9Gi", "deadline_s": 60}}, namespace="elsewhere")

    pod = pod_of(world)

    assert pod["metadata"]["namespace"] == "elsewhere"
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "9Gi"
    assert pod["spec"]["activeDeadlineSeconds"] == 60


def test_pods_can_be_found_by_step_label_and_run(world: World) -> None:
    labels = pod_of(world, "train", options={"after": [VALIDATED]})["metadata"]["labels"]

    assert labels["spira/step"] == labels["spira/label"] == "train"
    assert labels["dag_id"] == "d"
    assert labels["run_id"].startswith("manual__2026")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "registry.example/spira/ml:latest"}, "image: .* has no digest"),
        ({"sizes": {"trian": {}}}, "sizes: names no step: trian"),
        ({"sizes": {"validate": {"cores": 3}}}, "sizes.validate: .*cores"),
        ({"pull_policy": "Always"}, "spira_training.pull_policy: Extra inputs"),
        ({"objects_url": None}, "spira_training.objects_url: "),
    ],
)
def test_a_wrong_installation_is_told_by_the_field_and_starts_nothing(
    world: World, changes: dict[str, Any], told: str
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    world.settings(**changes)

    with pytest.raises(AirflowFailException, match=told):
        Task().start()

    assert world.kubernetes.created == []


def test_a_missing_variable_is_told_with_what_to_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.setenv("AIRFLOW_VAR_SPIRA_TRAINING", "")

    with pytest.raises(AirflowFailException, match="spira_training: is not set"):
        Task().start()


def test_a_tag_is_taken_where_an_installation_says_so(world: World) -> None:
    world.settings(image="spira/ml:dev", allow_tags=True)

    assert pod_of(world)["spec"]["containers"][0]["image"] == "spira/ml:dev"


def test_a_step_that_the_plan_leaves_out_is_skipped(world: World) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    assert PREPARED["told"]["steps"]["cross-validate"] == []
    with pytest.raises(AirflowSkipException):
        Task(step="cross-validate").start()

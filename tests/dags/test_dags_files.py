"""The DAG files: light to parse, a form that people can fill in, tasks in their order; and a whole run."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from spira.apps.prepare import RunParameters
from spira.apps.rescore import RescoreParameters
from spira.orchestration.form import PRESETS
from spira.training.core.config import preset_names

HERE = Path(__file__).parent
DAGS = HERE.parents[1] / "dags"
NAMES = sorted(file.stem for file in DAGS.glob("*.py"))
HEAVY = ("torch", "torchaudio", "mlflow", "numpy", "pandas", "scipy", "sklearn", "boto3", "matplotlib")
PARSE = """
import json, os, sys, time
import airflow.sdk
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
for name in sys.argv[1].split(","):
    if not os.fork():
        begun = time.process_time()
        __import__(name)
        print(json.dumps([name, time.process_time() - begun, sorted(set(sys.argv[2:]) & set(sys.modules))]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def dag(airflow: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A DAG by its file's name."""
    monkeypatch.syspath_prepend(str(DAGS))

    def load(name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third parties' own, while they are imported
            return importlib.import_module(name).DAG

    return load


def environment(home: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}  # noqa: TID251 - a test's
    return inherited | {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"} | more


def test_a_dag_file_adds_less_than_300_ms_to_airflow_and_the_operator(tmp_path: Path) -> None:
    given = environment(tmp_path, _AIRFLOW__AS_LIBRARY="1")
    command = [sys.executable, "-c", PARSE, ",".join(NAMES), *HEAVY]

    out = subprocess.run(command, cwd=DAGS, env=given, check=True, capture_output=True, text=True).stdout

    parsed = {name: (seconds, loaded) for name, seconds, loaded in map(json.loads, out.splitlines())}
    assert sorted(parsed) == NAMES
    assert all(loaded == [] for _, loaded in parsed.values())
    assert all(seconds < 0.3 for seconds, _ in parsed.values()), parsed


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_file_knows_airflow_and_the_orchestration_alone(name: str) -> None:
    tree = ast.parse((DAGS / f"{name}.py").read_text())

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {module for module in imported if module.split(".")[0] == "spira"}
    assert all(module.startswith("spira.orchestration") for module in ours)
    assert {module.split(".")[0] for module in imported - ours} <= {"__future__", "airflow", "datetime", "typing"}


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_is_named_like_its_file_and_tells_its_owner_and_what_to_do(name: str, dag: Any) -> None:
    found = dag(name)

    assert found.dag_id == name
    assert "**Owner:**" in found.doc_md
    assert "**Triage**" in found.doc_md
    assert {task.owner for task in found.tasks} == {"spira-training"}


@pytest.mark.parametrize(("name", "form"), [("spira_training", RunParameters), ("spira_evaluation", RescoreParameters)])
def test_the_form_has_the_fields_that_the_first_pod_reads_with_the_same_defaults(
    name: str, form: Any, dag: Any
) -> None:
    params = dag(name).params
    shown = {key: params.get_param(key) for key in params}

    filled = {"model": "robust", "manifest": "s3://b/rows.csv"}
    values = {key: param.value for key, param in shown.items() if key not in filled} | filled
    given = {key: value for key, value in values.items() if key in shown}
    needed = {key: value for key, value in filled.items() if key in shown}
    assert set(shown) == set(form.model_fields)
    assert all(param.schema["title"] and param.description for param in shown.values())
    assert form.model_validate_json(json.dumps(given)) == form(**needed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preset", "best"), ("shards", 0), ("gpus", 99), ("seed", -1), ("overrides", ["epochs"]),
        ("evaluation_sha256", "abc"), ("model_name", "Not A Name"), ("cross_validate", "yes"),
    ],
)  # fmt: skip
def test_the_form_refuses_what_no_run_can_mean(field: str, value: Any, dag: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    params = dag("spira_training").params

    with pytest.raises(ParamValidationError):
        params.get_param(field).resolve(value)


def test_the_form_offers_every_preset() -> None:
    assert sorted(PRESETS) == sorted(preset_names())


def test_tasks_come_in_the_order_of_the_plan_and_a_person_before_the_end(dag: Any) -> None:
    found = dag("spira_training")

    order = [task.task_id for task in found.topological_sort() if not task.task_id.startswith("plan-")]
    assert order[:5] == ["prepare", "validate", "features", "train", "ensemble"]
    assert sorted(order[5:7]) == ["cross-validate", "evaluate"]
    assert order[7:] == ["publish", "approve", "confirm"]
    assert [task.task_id for task in found.tasks if task.is_mapped] == ["features", "train", "ensemble"]


def test_infrastructure_gets_more_tries_with_growing_pauses(dag: Any) -> None:
    for task in dag("spira_training").tasks:
        if task.task_type == "StepPod":
            assert task.retries >= 3
            assert task.retry_exponential_backoff > 1


def test_an_accepted_data_set_starts_a_run(dag: Any) -> None:
    (asset,) = dag("spira_training").schedule

    assert asset.name == "spira.datasets.accepted"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two runs of the same form, the second with nothing left to do."""
    home = tmp_path_factory.mktemp("airflow")
    given = environment(home, AIRFLOW__CORE__DAGS_FOLDER=str(DAGS), AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING")
    form = json.dumps({"manifest": "s3://b/rows.csv", "shards": 2})
    command = [sys.executable, str(HERE / "whole_run.py"), str(DAGS), str(home), form, "2"]
    done = subprocess.run(command, env=given, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_a_run_goes_from_the_form_to_a_confirmed_version(runs: list[dict[str, Any]]) -> None:
    first = runs[0]

    assert first["state"] == "success"
    assert first["xcoms"]["confirm/-1"]["version"] == "7"
    assert first["xcoms"]["confirm/-1"]["alias"] == "challenger"
    assert first["states"]["cross-validate/-1"] == "skipped"


def test_shards_fan_out_and_each_is_named(runs: list[dict[str, Any]]) -> None:
    first = runs[0]

    assert {"features@0", "features@1"} < set(first["names"])
    assert {"features/0", "features/1"} < set(first["xcoms"])
    assert first["xcoms"]["train/0"]["told"]["inputs"] == ["features@0", "features@1", "validate"]


def test_a_second_run_finds_every_step_done(runs: list[dict[str, Any]]) -> None:
    first, second = runs

    receipts = {task: xcom for task, xcom in second["xcoms"].items() if isinstance(xcom, dict) and "reused" in xcom}
    assert len(receipts) == 8
    assert {task for task, receipt in receipts.items() if not receipt["reused"]} == {"prepare/-1"}
    assert {t: r["manifest"] for t, r in receipts.items()} == {t: first["xcoms"][t]["manifest"] for t in receipts}

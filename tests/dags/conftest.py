"""The real operator and its real trigger, against a scripted cluster and a folder as object store."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity

from spira.infra.objects.file_objects import FileObjects
from spira.orchestration.receipts import Receipt, Refusal, write_receipt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from scripted_kubernetes import Body, Kubernetes, environment_of, serving  # noqa: E402

DIGEST = "sha256:" + 64 * "a"
IMAGE = f"registry.example/spira/ml@{DIGEST}"
MANIFEST = "steps/validate/abc/manifest.json"
PREPARED: dict[str, Any] = {
    "label": "prepare",
    "manifest": "plans/p.json",
    "told": {
        "config": "configs/c.json",
        "outside": {"dataset": {"location": "s3://b/rows.csv", "digest": "d"}},
        "steps": {
            "validate": [{"label": "validate", "parameters": {}, "after": []}],
            "train": [{"label": "train", "parameters": {"fold": 0, "part": 0, "parts": 1}, "after": ["validate"]}],
            "cross-validate": [],
        },
    },
}


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow as a library: no database, and nobody's logging is changed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "_AIRFLOW__AS_LIBRARY": "1",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__WORKERS__API_RETRY_WAIT_MIN": "0",
            "AIRFLOW__WORKERS__API_RETRY_WAIT_MAX": "0.01",
        }.items():
            patch.setenv(name, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third parties' own, while they are imported
            pods = importlib.import_module("spira.orchestration.pods")
            triggers = importlib.import_module("airflow.providers.cncf.kubernetes.triggers.pod")
        for patient in (pods.StepPod._write_logs, triggers.KubernetesPodTrigger._get_pod):
            patch.setattr(patient.retry, "wait", tenacity.wait_none())  # as often as ever, without the seconds between
        yield


class States(dict[str, Any]):
    """Airflow's store of a task's state, which outlives a try."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


@dataclass
class Task:
    """One task instance: its tries, each in a new operator as in a new process."""

    step: str = "validate"
    options: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    states: States = field(default_factory=States)
    xcom: dict[str, Any] = field(default_factory=dict)
    tries: int = 0
    dies_after_create: bool = False

    def operator(self) -> Any:
        from spira.orchestration.pods import StepPod

        quick = {"poll_interval": 0.02, "startup_check_interval_seconds": 0.02, "logging_interval": None}
        given = {"task_id": self.step, "step": self.step, "prepared": PREPARED, **quick, **self.options}
        return StepPod(**given)

    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="d", task_id=self.step, run_id="manual__2026-01-01T00:00:00+00:00", map_index=-1,
            try_number=self.tries, xcom_push=self._push, start_date=None,
        )  # fmt: skip
        return {
            "ti": ti,
            "run_id": ti.run_id,
            "dag": SimpleNamespace(parent_dag=None),
            "params": self.params,
            "task_state_store": self.states,
        }

    def start(self) -> Any:
        """A new try up to its deferral; gives the deferral, or None when it was over at once."""
        from airflow.sdk.exceptions import TaskDeferred

        self.tries += 1
        self.xcom.pop("return_value", None)
        try:
            self.operator().execute(self.context())
        except TaskDeferred as deferred:
            return deferred
        return None

    def resume(self, deferred: Any) -> None:
        from airflow.sdk.exceptions import TaskDeferred

        while deferred is not None:
            event = asyncio.run(_first(trigger_of(deferred).run()))
            try:
                getattr(self.operator(), deferred.method_name)(self.context(), event=event.payload)
                deferred = None
            except TaskDeferred as again:
                deferred = again

    def run(self) -> Any:
        """A whole try; gives its XCom."""
        self.resume(self.start())
        return self.xcom.get("return_value")

    def _push(self, key: str, value: Any) -> None:
        if self.dies_after_create:
            self.dies_after_create = False
            raise KeyboardInterrupt
        self.xcom[key] = value


def trigger_of(deferred: Any) -> Any:
    """The trigger as the triggerer makes it: from its class path and arguments."""
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


async def _first(events: Any) -> Any:
    return await anext(events)


@dataclass
class World:
    """The cluster, the object store, and what a step's process would leave in it."""

    kubernetes: Kubernetes
    objects: FileObjects
    settings: Callable[..., None]

    def leaves_manifest(self, pod: Body) -> None:
        self.objects.put(MANIFEST, b"{}")
        self._leave(pod, Receipt(label="validate", manifest=MANIFEST, told={"n": 3}))

    def leaves_receipt_alone(self, pod: Body) -> None:
        self._leave(pod, Receipt(label="validate", manifest="steps/validate/none/manifest.json"))

    def refuses(self, error: str, message: str) -> Callable[[Body], None]:
        return lambda pod: self._leave(pod, Refusal(label="validate", error=error, message=message))

    def _leave(self, pod: Body, receipt: Receipt | Refusal) -> None:
        write_receipt(self.objects, environment_of(pod)["SPIRA_STEP_RECEIPT"], receipt)


@pytest.fixture
def world(airflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    kubernetes, objects = Kubernetes(), FileObjects(tmp_path / "objects")

    def settings(**changes: Any) -> None:
        value = {"image": IMAGE, "objects_url": f"file:{tmp_path}/objects"} | changes
        monkeypatch.setenv("AIRFLOW_VAR_SPIRA_TRAINING", json.dumps(value))

    with serving(kubernetes, tmp_path) as kubeconfig:
        extra = {"kube_config_path": str(kubeconfig), "in_cluster": False}
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes", "extra": extra}))
        settings()
        yield World(kubernetes=kubernetes, objects=objects, settings=settings)

"""`make airflow` for as long as a script runs, and what the script asks over Airflow's REST API."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import httpx
from processes import Background, Failed, free_port, wait_until
from stores import ROOT

LIMIT_S = 30.0
STARTUP_S = 300.0
SETTLE_S = 15.0
"""An answer that comes sooner after its question can meet the question's own late event, and the task fails."""
ENDED = {"success", "failed"}


def start_airflow(folder: Path, *, settings: Mapping[str, Any], kube_config: Path, keys: Mapping[str, str]) -> Airflow:
    """Airflow as a person starts it, on free ports, with its home below `folder`."""
    standalone = _standalone()
    port, home = free_port("127.0.0.1"), folder / "airflow"
    given = {
        **os.environ,  # noqa: TID251  # a script of its own
        **keys,
        "AWS_DEFAULT_REGION": "us-east-1",
        "KUBECONFIG": str(kube_config),
        "AIRFLOW_VAR_SPIRA_TRAINING": json.dumps(dict(settings)),
        # another Airflow of this machine keeps its own
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port("127.0.0.1")),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port("127.0.0.1")),
    }
    environment = standalone.environment(given, home=home, port=port)
    command = [str(ROOT / ".venv" / "bin" / "airflow"), "standalone"]
    process = Background(command, log=folder / "airflow.log", environment=environment, folder=home)
    airflow = Airflow(process, f"http://127.0.0.1:{port}")
    try:
        airflow.wait_ready()
    except BaseException:
        airflow.end()
        raise
    return airflow


class Airflow:
    """One server; all its users are administrators."""

    def __init__(self, process: Background, url: str) -> None:
        self._process = process
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/api/v2", timeout=LIMIT_S)

    def end(self) -> None:
        self._http.close()
        self._process.end()

    def wait_ready(self) -> None:
        """Until it answers and knows the DAG."""

        def token() -> str | None:
            self._process.check()
            try:
                answer = httpx.get(f"{self.url}/auth/token", timeout=LIMIT_S)
            except httpx.HTTPError:
                return None
            return str(answer.json()["access_token"]) if answer.is_success else None

        self._http.headers["Authorization"] = f"Bearer {wait_until('Airflow', token, limit_s=STARTUP_S)}"
        wait_until("the DAG spira_training", lambda: self._found("/dags/spira_training"), limit_s=STARTUP_S)

    def import_errors(self) -> list[str]:
        return [f"{one['filename']}: {one['stack_trace']}" for one in self._get("/importErrors")["import_errors"]]

    def trigger(self, dag: str, parameters: Mapping[str, Any]) -> str:
        """The run's id."""
        told = self._sent("POST", f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": dict(parameters)})
        return str(told["dag_run_id"])

    def state(self, dag: str, run: str) -> str:
        return str(self._get(f"/dags/{dag}/dagRuns/{quote(run)}")["state"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances?limit=200")[
            "task_instances"
        ]
        return found

    def wait_for(self, dag: str, run: str, *, limit_s: float) -> str:
        """The run's end."""

        def ended() -> str | None:
            self._process.check()
            state = self.state(dag, run)
            return state if state in ENDED else None

        return wait_until(f"run {run}", ended, limit_s=limit_s, every_s=2)

    def wait_for_question(self, dag: str, run: str, *, limit_s: float) -> dict[str, Any]:
        """What a person is asked; raises Failed when the run ends without a question."""

        def question() -> dict[str, Any] | None:
            self._process.check()
            if self.state(dag, run) in ENDED:
                raise Failed(f"run {run} ended without a question: {self.summary(dag, run)}")
            return self._found(f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/approve/-1/hitlDetails")

        return wait_until("the question of task approve", question, limit_s=limit_s, every_s=2)

    def approve(self, dag: str, run: str) -> None:
        time.sleep(SETTLE_S)
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/approve/-1/hitlDetails"
        self._sent("PATCH", path, {"chosen_options": ["Approve"], "params_input": {}})

    def mark_failed(self, dag: str, run: str, task: str, *, map_index: int) -> None:
        """As the button of the page does."""
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/{map_index}"
        self._sent("PATCH", path, {"new_state": "failed"})

    def clear_failed(self, dag: str, run: str) -> None:
        """All tasks of the run that failed, or could not begin for that, are to be done again."""
        asked = {"dag_run_id": run, "dry_run": False, "only_failed": True, "reset_dag_runs": True}
        self._sent("POST", f"/dags/{dag}/clearTaskInstances", asked)

    def log_of(self, dag: str, run: str, task: str, *, map_index: int = -1, attempt: int = 1) -> str:
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/logs/{attempt}"
        asked = {"map_index": map_index, "full_content": True}
        answer = self._http.get(path, params=asked, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return "\n".join(str(line.get("event", line)) for line in answer.json()["content"] if isinstance(line, dict))

    def value_of(self, dag: str, run: str, task: str, *, map_index: int = -1) -> Any:
        """What the task returned."""
        path = f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}/xcomEntries/return_value"
        return self._get(f"{path}?map_index={map_index}&deserialize=true")["value"]

    def summary(self, dag: str, run: str) -> str:
        return ", ".join(f"{one['task_id']}[{one['map_index']}] {one['state']}" for one in self.tasks(dag, run))

    def _get(self, path: str) -> Any:
        answer = self._http.get(path)
        if not answer.is_success:
            raise Failed(f"GET {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def _sent(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = self._http.request(method, path, json=dict(body))
        if not answer.is_success:
            raise Failed(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def _found(self, path: str) -> dict[str, Any] | None:
        answer = self._http.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


def _standalone() -> ModuleType:
    """The script behind `make airflow`, for its environment."""
    spec = importlib.util.spec_from_file_location("standalone", ROOT / "images" / "airflow" / "standalone.py")
    if spec is None or spec.loader is None:
        raise Failed("images/airflow/standalone.py is gone")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

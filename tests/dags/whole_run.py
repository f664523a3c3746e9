"""A whole run of the training DAG in this process, by Airflow's own `dag.test`, printed as JSON.

`python whole_run.py DAGS FOLDER CONF [TIMES]`. The cluster is scripted: the pod of a step runs the step contract with a
toy body in place of the science, `prepare` the plan of a form. AIRFLOW_HOME names an empty folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from scripted_kubernetes import RUNNING, Body, Kubernetes, Moment, ended, environment_of, serving

from spira.infra.objects.file_objects import FileObjects
from spira.infra.objects.port import Objects
from spira.orchestration.contract import Request, run_step
from spira.orchestration.manifest import Outside
from spira.orchestration.planning import plan
from spira.orchestration.process import store_config
from spira.orchestration.receipts import Receipt, write_receipt
from spira.orchestration.steps import STEPS, step_named
from spira.orchestration.workbench import Workbench

CONFIG: dict[str, Any] = {section: {} for step in STEPS for section in step.sections} | {"seed": 1}
FACTS: dict[str, dict[str, Any]] = {
    "evaluate": {"auc": 0.93, "auc_low": 0.9, "auc_high": 0.96, "n": 40, "verdict": "PASS", "gates": []},
    "publish": {"model": "robust", "version": "7", "alias": "challenger"},
}


def kubelet(objects: Objects, environment: dict[str, str], name: str) -> Receipt:
    if name == "prepare":
        return _prepare(objects, json.loads(environment["SPIRA_RUN_PARAMETERS"]))
    request = Request(
        step=step_named(name),
        config=json.loads(objects.get(environment["SPIRA_STEP_CONFIG"])),
        parameters=json.loads(environment["SPIRA_STEP_PARAMETERS"]),
        inputs=json.loads(environment["SPIRA_STEP_INPUTS"]),
        outside={k: Outside(**v) for k, v in json.loads(environment["SPIRA_STEP_OUTSIDE"]).items()},
    )

    def body(bench: Workbench) -> None:
        bench.write("out", f"{name} {sorted(bench.inputs)} {bench.parameters}".encode())

    done = run_step(request, body, objects=objects, force=json.loads(environment["SPIRA_STEP_FORCE"]))
    return Receipt(
        label=environment["SPIRA_STEP_LABEL"],
        manifest=done.manifest_key,
        reused=done.reused,
        told=FACTS.get(name, {}) | {"inputs": sorted(request.inputs)},
    )


def _prepare(objects: Objects, form: dict[str, Any]) -> Receipt:
    steps = plan(folds=3, cross_validate=form["cross_validate"], shards=form["shards"], parts=form["parts"])
    pieces = {
        step.name: [
            {"label": one.label, "parameters": dict(one.parameters), "after": list(one.after)}
            for one in steps
            if one.step.name == step.name
        ]
        for step in STEPS
    }
    outside = {name: {"location": "/x", "digest": form["manifest"]} for name in ("dataset", "pseudonyms", "registry")}
    told = {"config": store_config(CONFIG, objects=objects), "outside": outside, "steps": pieces}
    return Receipt(label="prepare", manifest=objects.put("plans/p.json", json.dumps(told).encode()).key, told=told)


def main(dags: str, folder: Path, conf: dict[str, Any], times: int) -> None:
    from airflow.utils.db import initdb

    initdb()
    objects, kubernetes = FileObjects(folder / "objects"), Kubernetes()

    def script(pod: Body) -> list[Moment]:
        name, environment = pod["spec"]["containers"][0]["args"][0], environment_of(pod)

        def work(_: Body) -> None:
            write_receipt(objects, environment["SPIRA_STEP_RECEIPT"], kubelet(objects, environment, name))

        return [RUNNING, ended(effect=work)]

    kubernetes.script = script
    with serving(kubernetes, folder) as kubeconfig:
        extra = {"kube_config_path": str(kubeconfig), "in_cluster": False}
        settings = {"image": f"spira/ml@sha256:{64 * 'a'}", "objects_url": f"file:{folder}/objects"}
        os.environ |= {  # noqa: TID251 - what an installation sets
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra}),
            "AIRFLOW_VAR_SPIRA_TRAINING": json.dumps(settings),
        }
        print(json.dumps([_run(dags, conf, kubernetes) for _ in range(times)]))


def _run(dags: str, conf: dict[str, Any], kubernetes: Kubernetes) -> dict[str, Any]:
    sys.path.insert(0, dags)
    import spira_training
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    before = len(kubernetes.created)
    run = spira_training.DAG.test(run_conf=conf, mark_success_pattern="approve")
    with create_session() as session:
        found = session.query(XComModel).filter_by(run_id=run.run_id, key="return_value").all()
        xcoms = {f"{one.task_id}/{one.map_index}": one.value for one in found}
        states = {f"{ti.task_id}/{ti.map_index}": str(ti.state) for ti in run.get_task_instances(session=session)}
        names = {str(ti.rendered_map_index) for ti in run.get_task_instances(session=session)}
    return {
        "state": str(run.state),
        "states": states,
        "names": sorted(names),
        "xcoms": xcoms,
        "pods": [pod["metadata"]["labels"]["spira/label"] for pod in kubernetes.created[before:]],
    }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4]))

"""A training run on a real cluster, as an operator has it: `make e2e-training`.

    KUBECONFIG            the cluster; or SPIRA_TEST_CLUSTER, a folder whose program `up` starts one
    NODE_ADDRESS          an address of this machine that pods reach (default: the node's, where it is this one)
    REGISTRY, IMAGE_TOOL  see images/build.py; or SPIRA_E2E_IMAGE, an image by digest that the cluster can pull

A namespace of its own gets charts/training; S3, MLflow and Airflow run on this machine; recordings are synthetic. The
DAG is triggered over REST, a person's approval too. All that was started is ended, and the namespace deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cluster
from airflow_server import Airflow, start_airflow
from processes import Failed, call, wait_until
from stores import ROOT, Stores, start_stores
from table import Table

from spira.infra.mlflow_registry import MlflowRegistry
from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.orchestration.manifest import Manifest, read_manifest

DAG = "spira_training"
MODEL = "spira-e2e"
PARTICIPANTS = 40
RUN_S = 1800.0
SMALL = {"cpu": "100m", "memory": "512Mi", "memory_limit": "3Gi"}
"""Of every pod here: a step waits for no room on a small machine."""
STEPS = ("prepare", "validate", "features", "train", "ensemble", "evaluate", "cross-validate", "publish", "rescore")
LONG_TRAINING = ["training.epochs=400", "training.patience=400"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the logs' folder for a look")
    arguments = parser.parse_args()
    for sign in (signal.SIGINT, signal.SIGTERM):  # also where whoever started this ignores them
        signal.signal(sign, interrupt)
    table = Table()
    try:
        with scratch(keep=arguments.keep) as folder, ExitStack() as stack:
            exercise(table, folder, stack)
    except Failed as failure:
        print(f"\n{failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    finally:
        print(f"\n{table}", flush=True)
    return 0 if table.passed else 1


def interrupt(*_: object) -> None:
    """So that everything that was started is ended."""
    raise KeyboardInterrupt


def exercise(table: Table, folder: Path, stack: ExitStack) -> None:
    with table.row("cluster") as row:
        config = cluster.join_cluster()
        address = cluster.node_address()
        row.told = f"{config}; pods reach this machine at {address}"
    with table.row("image of the steps, built and pushed") as row:
        image = row.told = step_image()
    with table.row("S3 and MLflow servers") as row:
        stores = start_stores(folder, address=address)
        stack.callback(stores.end)
        row.told = f"{stores.s3}, {stores.tracking_uri}"
    with table.row("charts/training in a namespace under PodSecurity `restricted`") as row:
        namespace = stack.enter_context(cluster.namespace(stores))
        row.told = namespace.name
    with table.row("Airflow's account may start pods, and read no secret"):
        check_rights(namespace)
    with table.row("network: a step pod reaches the stores and nothing else of this machine") as row:
        row.told = check_network(namespace, stores, image)
    with table.row("synthetic recordings in the bucket") as row:
        manifest = row.told = upload_recordings(stores, folder)
    with table.row("Airflow up, and the DAG without errors") as row:
        airflow = start_airflow(
            folder,
            settings=pod_settings(image, stores, namespace),
            kube_config=namespace.kube_config(folder / "airflow.kubeconfig"),
            keys=stores.keys,
        )
        stack.callback(airflow.end)
        if errors := airflow.import_errors():
            raise Failed("\n".join(errors))
        row.told = airflow.url
    os.environ.update(stores.keys, AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL_S3=stores.s3)  # noqa: TID251
    run = Runs(table=table, airflow=airflow, namespace=namespace, objects=open_objects(stores.objects_url), image=image)
    parameters = {"manifest": manifest, "preset": "smoke", "model_name": MODEL}
    first = run.first(parameters)
    run.registered(stores, first)
    run.manifests(first)
    run.logs(first)
    run.all_reused(parameters, first)
    run.refused(parameters)
    long = {**parameters, "overrides": LONG_TRAINING}
    run.killed({**long, "seed": 1})
    run.stopped({**long, "seed": 2})


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of the DAG and what each must have left."""

    table: Table
    airflow: Airflow
    namespace: cluster.Namespace
    objects: Objects
    image: str

    def first(self, parameters: Mapping[str, Any]) -> str:
        with self.table.row("DAG triggered over REST; pods run to the approval") as row:
            run = self.airflow.trigger(DAG, parameters)
            question = self.airflow.wait_for_question(DAG, run, limit_s=RUN_S)
            row.told = str(question["subject"])
        self.approved(run)
        return run

    def approved(self, run: str) -> None:
        with self.table.row("approval answered over REST; the run ends") as row:
            self.airflow.approve(DAG, run)
            state = self.airflow.wait_for(DAG, run, limit_s=300)
            if state != "success":
                raise Failed(f"run {run} {state}: {self.airflow.summary(DAG, run)}")
            row.told = json.dumps(self.airflow.value_of(DAG, run, "confirm"))

    def registered(self, stores: Stores, run: str) -> None:
        with self.table.row("the version is registered, with alias challenger") as row:
            told = self.airflow.value_of(DAG, run, "publish")["told"]
            registry = MlflowRegistry(stores.tracking_uri, "unused")
            found = registry.resolve(MODEL, "challenger")
            if (found.name, found.version) != (told["model"], str(told["version"])):
                raise Failed(f"challenger is {found.name}/{found.version}, the run published {told}")
            row.told = f"{found.name}/{found.version} {found.digest[:12]}"

    def manifests(self, run: str) -> None:
        with self.table.row("every step left a manifest whose outputs are whole, made by this image") as row:
            manifests = self.manifests_of(run)
            for label, manifest in manifests.items():
                if manifest.image != self.image:
                    raise Failed(f"{label} says it was made by {manifest.image!r}")
                for name, artifact in manifest.outputs.items():
                    if self.objects.stat(artifact.key).size != artifact.size:
                        raise Failed(f"{label}: output {name} has another size than its manifest says")
            row.told = ", ".join(manifests)

    def logs(self, run: str) -> None:
        with self.table.row("the pods' logs are in Airflow's task logs") as row:
            seen = {}
            for task in self.pod_tasks(run):
                log = self.airflow.log_of(DAG, run, task["task_id"], map_index=task["map_index"])
                seen[task["task_id"]] = sum("[base]" in line for line in log.splitlines())
            silent = [task for task, lines in seen.items() if not lines]
            if silent:
                raise Failed(f"no line of the pod in the log of {', '.join(silent)}")
            row.told = f"lines: {seen}"

    def all_reused(self, parameters: Mapping[str, Any], first: str) -> None:
        with self.table.row("the same run again: every step is reused") as row:
            before = {info.key for info in self.objects.list("steps/")}
            run = self.airflow.trigger(DAG, parameters)
            self.airflow.wait_for_question(DAG, run, limit_s=RUN_S)
            receipts = self.receipts_of(run)
            done_again = [label for label, receipt in receipts.items() if not receipt["reused"] and label != "prepare"]
            if done_again:
                raise Failed(f"done again: {', '.join(done_again)}")
            if {info.key for info in self.objects.list("steps/")} != before:
                raise Failed("something was written below steps/")
            if self.manifests_of(run) != self.manifests_of(first):
                raise Failed("its manifests are not the first run's")
            row.told = f"{len(receipts)} receipts"
        self.approved(run)

    def refused(self, parameters: Mapping[str, Any]) -> None:
        with self.table.row("a manifest that is not there: refused at once, without a retry") as row:
            run = self.airflow.trigger(DAG, {**parameters, "manifest": f"{parameters['manifest']}.gone"})
            state = self.airflow.wait_for(DAG, run, limit_s=300)
            [prepare] = [task for task in self.airflow.tasks(DAG, run) if task["task_id"] == "prepare"]
            if state != "failed" or prepare["try_number"] != 1:
                raise Failed(f"the run is {state}, prepare was tried {prepare['try_number']} times")
            log = self.airflow.log_of(DAG, run, "prepare")
            row.told = next(line for line in log.splitlines() if ".gone" in line)[:160]

    def killed(self, parameters: Mapping[str, Any]) -> None:
        """A node that dies under the training pod, after its first checkpoint."""
        with self.table.row("training pod killed after a checkpoint; the retry goes on from there") as row:
            run = self.airflow.trigger(DAG, parameters)
            checkpoint = self.waiting(run, "a checkpoint of train", self.checkpoint, limit_s=900)
            [pod] = self.training_pods()
            self.namespace.kill(pod["metadata"]["name"])
            killed_at = time.monotonic()
            self.waiting(run, "another pod of train", lambda: self.other_pod(pod), limit_s=600)
            back_s = time.monotonic() - killed_at
            self.airflow.wait_for_question(DAG, run, limit_s=RUN_S)
            tries = {task["task_id"]: task["try_number"] for task in self.airflow.tasks(DAG, run)}
            if tries["train"] != 2:
                raise Failed(f"train was tried {tries['train']} times")
            epoch = self.first_epoch(run, attempt=2)
            if epoch <= 1:
                raise Failed("the second try began with the first epoch")
            row.told = f"{checkpoint.rpartition('/')[2]} was there; a new pod after {back_s:.0f} s, from epoch {epoch}"
        self.approved(run)

    def stopped(self, parameters: Mapping[str, Any]) -> None:
        """An operator who ends training for now, and goes on later."""
        with self.table.row("training marked as failed: its pod ends; cleared: it goes on from its checkpoint") as row:
            run = self.airflow.trigger(DAG, parameters)
            before = {info.key for info in self.objects.list("steps/train/")}
            self.waiting(run, "a checkpoint of train", lambda: self.checkpoint(besides=before), limit_s=900)
            self.airflow.mark_failed(DAG, run, "train", map_index=0)
            began = time.monotonic()
            wait_until("the end of the pod", lambda: None if self.training_pods() else True, limit_s=120)
            gone_s = time.monotonic() - began
            if (state := self.airflow.wait_for(DAG, run, limit_s=300)) != "failed":
                raise Failed(f"the run is {state} although training was stopped")
            self.airflow.clear_failed(DAG, run)
            self.airflow.wait_for_question(DAG, run, limit_s=RUN_S)
            [train] = [task for task in self.airflow.tasks(DAG, run) if task["task_id"] == "train"]
            epoch = self.first_epoch(run, attempt=train["try_number"])
            if epoch <= 1:
                raise Failed("it began again with the first epoch")
            row.told = f"pod gone after {gone_s:.0f} s; went on at epoch {epoch}"
        self.approved(run)

    def first_epoch(self, run: str, *, attempt: int) -> int:
        """The first that the pod of this try told of in its log."""
        log = self.airflow.log_of(DAG, run, "train", map_index=0, attempt=attempt)
        found = re.search(r"\[base\].*? epoch (\d+)", log)
        if found is None:
            raise Failed(f"try {attempt} of train told no epoch")
        return int(found[1])

    def checkpoint(self, *, besides: Collection[str] = ()) -> str | None:
        found = (info.key for info in self.objects.list("steps/train/") if "/scratch/" in info.key)
        return next((key for key in found if key not in besides), None)

    def other_pod(self, killed: Mapping[str, Any]) -> bool | None:
        uids = {pod["metadata"]["uid"] for pod in self.training_pods()}
        return bool(uids - {killed["metadata"]["uid"]}) or None

    def training_pods(self) -> list[dict[str, Any]]:
        """Those that run."""
        return [pod for pod in self.namespace.pods(spira__step="train") if pod["status"]["phase"] == "Running"]

    def waiting(self, run: str, what: str, probe: Callable[[], Any], *, limit_s: float) -> Any:
        """Until it is found, as long as the run goes on."""

        def going_on() -> Any:
            state = self.airflow.state(DAG, run)
            if state in {"failed", "success"}:
                raise Failed(f"run {run} is {state} while waiting for {what}: {self.airflow.summary(DAG, run)}")
            return probe()

        return wait_until(what, going_on, limit_s=limit_s)

    def pod_tasks(self, run: str) -> Iterator[dict[str, Any]]:
        for task in self.airflow.tasks(DAG, run):
            if task["task_id"] in STEPS and task["state"] == "success":
                yield task

    def receipts_of(self, run: str) -> dict[str, dict[str, Any]]:
        values = [
            self.airflow.value_of(DAG, run, task["task_id"], map_index=task["map_index"])
            for task in self.pod_tasks(run)
        ]
        return {value["label"]: value for value in values}

    def manifests_of(self, run: str) -> dict[str, Manifest]:
        """By label; what `prepare` leaves is a plan."""
        receipts = self.receipts_of(run)
        return {
            label: read_manifest(self.objects, one["manifest"]) for label, one in receipts.items() if label != "prepare"
        }


def step_image() -> str:
    """By digest, as the cluster pulls it."""
    given = os.environ.get("SPIRA_E2E_IMAGE")  # noqa: TID251  # a script of its own
    if given:
        return given
    own = os.environ.get("SPIRA_TEST_CLUSTER")  # noqa: TID251
    settings = {"IMAGE_TOOL": f"{own}/image", "REGISTRY": "the cluster's"} if own else {}
    made = json.loads(call(sys.executable, str(ROOT / "images" / "build.py"), "ml", environment=settings, limit_s=3600))
    reference: str | None = made["ml"].get("reference")
    if reference is None:
        raise Failed("the image was not pushed: name a registry that the cluster pulls from with REGISTRY")
    return reference


def pod_settings(image: str, stores: Stores, namespace: cluster.Namespace) -> dict[str, Any]:
    return {
        "image": image,
        "objects_url": stores.objects_url,
        "namespace": namespace.name,
        "config_map": cluster.CONFIG_MAP,
        "secret": cluster.SECRET,
        "environment": {"OMP_NUM_THREADS": "1", "SPIRA_CHECKPOINT_EVERY_S": "2"},
        "sizes": dict.fromkeys(STEPS, SMALL),
    }


def upload_recordings(stores: Stores, folder: Path) -> str:
    where = folder / "cohort"
    people = ("--participants", str(PARTICIPANTS), "--task", "sustained", "--noise-clips", "0")
    call(sys.executable, "-m", "spira.apps.cli", "data", "synthesize", "--out", str(where), *people, "--json")
    return f"{stores.upload(where, 'synthetic')}/manifest.csv"


def check_rights(namespace: cluster.Namespace) -> None:
    """What charts/training grants, asked of the API server."""
    account = f"system:serviceaccount:{namespace.name}:{cluster.AIRFLOW}"
    expected = {
        ("create", "pods"): True,
        ("get", "pods/log"): True,
        ("list", "events"): True,
        ("get", "secrets"): False,
        ("create", "pods/exec"): False,
        ("create", "rolebindings"): False,
    }
    for (verb, resource), allowed in expected.items():
        if cluster.may(account, verb, resource, namespace=namespace.name) != allowed:
            raise Failed(f"{cluster.AIRFLOW} {'may not' if allowed else 'may'} {verb} {resource}")


def check_network(namespace: cluster.Namespace, stores: Stores, image: str) -> str:
    """A pod of the steps' image tries the stores' ports, another of this machine and the API server."""
    with cluster.listening(stores.address) as other:
        told = namespace.reach(
            image, {"s3": (stores.address, stores.s3_port), "mlflow": (stores.address, stores.mlflow_port),
                    "other": (stores.address, other), "kubernetes": ("kubernetes.default.svc", 443)},
        )  # fmt: skip
    expected = {"s3": True, "mlflow": True, "other": False, "kubernetes": False}
    if told != expected:
        raise Failed(f"reached: {told}; the policy says {expected}")
    return ", ".join(f"{name} {'reached' if reached else 'refused'}" for name, reached in told.items())


@contextmanager
def scratch(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="spira-e2e-"))
    try:
        yield folder
    finally:
        if keep:
            print(f"logs: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

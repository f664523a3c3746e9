"""The cluster of KUBECONFIG: a namespace of our own with what charts/training puts there, and a look at its pods."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Failed, call, is_ours, wait_until
from stores import ROOT, Stores

RELEASE = "training"
CONFIG_MAP = SECRET = "spira-training"
AIRFLOW = "spira-airflow"
TOKEN_S = 6 * 3600
_TRY = """
import json, socket, sys, time

def reached(address, port):
    try:
        socket.create_connection((address, port), timeout=4).close()
    except OSError:
        return False
    return True

time.sleep(3)  # a new pod may be covered by its policy a moment after it has its address
print(json.dumps({name: reached(*where) for name, where in json.loads(sys.argv[1]).items()}))
"""


def join_cluster() -> Path:
    """The kube config; starts the cluster that SPIRA_TEST_CLUSTER names where KUBECONFIG names none."""
    starter = os.environ.get("SPIRA_TEST_CLUSTER")  # noqa: TID251  # a script of its own
    if starter:
        for word in shlex.split(call(f"{starter}/up")):
            name, is_one, value = word.partition("=")
            if is_one:
                os.environ[name] = os.path.expandvars(value)  # noqa: TID251
    config = os.environ.get("KUBECONFIG")  # noqa: TID251
    missing = [program for program in ("kubectl", "helm") if shutil.which(program) is None]
    if not config or missing:
        raise Failed(f"needs a cluster in KUBECONFIG, and kubectl and helm (not found: {', '.join(missing) or 'none'})")
    return Path(config)


def node_address() -> str:
    """An address of this machine that pods reach: NODE_ADDRESS, or the node's own where the node is this machine."""
    named = os.environ.get("NODE_ADDRESS")  # noqa: TID251
    if named:
        return named
    addresses = kubectl_json("get", "nodes")["items"][0]["status"]["addresses"]
    internal: list[str] = [one["address"] for one in addresses if one["type"] == "InternalIP"]
    found = next(filter(is_ours, internal), None)
    if found is None:
        raise Failed("the node is another machine: name an address of this one that pods reach with NODE_ADDRESS")
    return found


def kubectl(*words: str, stdin: str | None = None) -> str:
    return call("kubectl", *words, stdin=stdin)


def kubectl_json(*words: str) -> Any:
    return json.loads(kubectl(*words, "--output", "json"))


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """Where the steps' pods run."""

    name: str

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        selector = ",".join(f"{key.replace('__', '/')}={value}" for key, value in labels.items())
        found: list[dict[str, Any]] = kubectl_json("--namespace", self.name, "get", "pods", "--selector", selector)[
            "items"
        ]
        return found

    def reach(self, image: str, places: Mapping[str, tuple[str, int]]) -> dict[str, bool]:
        """Which places a pod like a step's opens a TCP connection to."""
        pod = _pod("reach", image, ["python", "-c", _TRY, json.dumps(places)])
        kubectl("--namespace", self.name, "apply", "--filename", "-", stdin=json.dumps(pod))
        wait_until("the pod reach", lambda: self._ended("reach"), limit_s=600)
        told: dict[str, bool] = json.loads(kubectl("--namespace", self.name, "logs", "reach"))
        kubectl("--namespace", self.name, "delete", "pod", "reach", "--wait=false")
        return told

    def _ended(self, pod: str) -> bool | None:
        phase = kubectl_json("--namespace", self.name, "get", "pod", pod)["status"]["phase"]
        return True if phase in {"Succeeded", "Failed"} else None

    def kill(self, pod: str) -> None:
        """As a node that dies: no grace."""
        kubectl("--namespace", self.name, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")

    def events(self) -> str:
        return kubectl("--namespace", self.name, "get", "events", "--sort-by=.lastTimestamp")

    def kube_config(self, file: Path) -> Path:
        """For Airflow: the token of a ServiceAccount that may do what the chart's Role says, and nothing else."""
        view = kubectl_json("config", "view", "--minify", "--raw")
        path = f"/api/v1/namespaces/{self.name}/serviceaccounts/{AIRFLOW}/token"
        asked = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_S},
        }
        token = json.loads(kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(asked)))["status"][
            "token"
        ]
        view["users"] = [{"name": AIRFLOW, "user": {"token": token}}]
        view["contexts"][0]["context"] |= {"user": AIRFLOW, "namespace": self.name}
        file.touch(mode=0o600)
        file.write_text(json.dumps(view), encoding="utf-8")
        return file


def may(account: str, verb: str, resource: str, *, namespace: str) -> bool:
    """What the API server says of the account's rights."""
    name, _, part = resource.partition("/")
    group = "rbac.authorization.k8s.io" if name == "rolebindings" else ""
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": part}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": asked},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    answer = json.loads(kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])


@contextmanager
def listening(address: str) -> Iterator[int]:
    """A port of this machine that would take a connection."""
    with socket.create_server((address, 0)) as server:
        yield server.getsockname()[1]


@contextmanager
def namespace(stores: Stores) -> Iterator[Namespace]:
    """A new namespace under the strictest pod security, with the stores' secret and the chart; deleted at the end."""
    name = f"spira-e2e-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    try:
        kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        kubectl("--namespace", name, "apply", "--filename", "-", stdin=_secret(stores))
        install(name, chart_values(stores))
        yield Namespace(name=name)
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def install(namespace_name: str, values: Mapping[str, Any]) -> None:
    chart = str(ROOT / "charts" / "training")
    options = ("--install", "--namespace", namespace_name, "--values", "-", "--wait")
    call("helm", "upgrade", RELEASE, chart, *options, stdin=json.dumps(values))


def chart_values(stores: Stores) -> dict[str, Any]:
    peers = [{"ipBlock": {"cidr": f"{stores.address}/32"}}]
    return {
        "stores": {
            "objectsUrl": stores.objects_url,
            "s3": {"endpoint": stores.s3},
            "mlflow": {"trackingUri": stores.tracking_uri},
        },
        "configMap": {"name": CONFIG_MAP},
        "secret": {"name": SECRET},
        "airflow": {"serviceAccount": {"create": True, "name": AIRFLOW}},
        "networkPolicy": {
            "stores": [
                {"name": "objects", "to": peers, "ports": [stores.s3_port]},
                {"name": "MLflow", "to": peers, "ports": [stores.mlflow_port]},
            ]
        },
    }


def _secret(stores: Stores) -> str:
    """Keys made for this run; nothing else accepts them."""
    values = {"SPIRA_PSEUDONYM_KEY": secrets.token_hex(32), **stores.keys}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque", "stringData": values}
    )


def _pod(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """One container as a step has it, under the strictest pod security."""
    container = {
        "name": "base",
        "image": image,
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": security,
            "containers": [container],
        },
    }

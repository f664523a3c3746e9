"""Airflow on this machine, with this checkout's DAGs and the cluster of KUBECONFIG: what `make airflow` runs.

    KUBECONFIG                   the cluster where step pods run; `kubernetes_default` becomes a connection to it
    SPIRA_OBJECTS_URL            the object store, as this machine reaches it (s3://BUCKET/PREFIX?endpoint=URL),
    AWS_ACCESS_KEY_ID, …         with its credentials
    AIRFLOW_VAR_SPIRA_TRAINING   where and how step pods run, as JSON; by default the image that `make images` pushed
                                 last, SPIRA_OBJECTS_URL and SPIRA_NAMESPACE
    AIRFLOW_HOME, AIRFLOW_PORT   default: var/airflow and 8080

Everything it keeps lies in AIRFLOW_HOME (SQLite, logs). It listens on loopback alone, for there everybody who reaches
it is an administrator. Needs the standard library, and Airflow beside this interpreter.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MADE = ROOT / "var" / "images.json"
ADDRESS = "127.0.0.1"


def main() -> None:
    given = os.environ  # noqa: TID251  # a script of its own
    home = Path(given.get("AIRFLOW_HOME") or ROOT / "var" / "airflow").absolute()
    port = int(given.get("AIRFLOW_PORT") or 8080)
    variables = environment(given, home=home, port=port)
    if "AIRFLOW_CONN_KUBERNETES_DEFAULT" not in variables:
        tell("KUBECONFIG names no cluster: the DAGs show, and their pods can't start")
    if "AIRFLOW_VAR_SPIRA_TRAINING" not in variables:
        variables |= pod_settings(given)
    home.mkdir(parents=True, exist_ok=True)
    tell(f"http://{ADDRESS}:{port} in about a minute; Ctrl-C ends it; logs and database in {home}")
    program = Path(sys.executable).with_name("airflow")
    os.execve(program, [str(program), "standalone"], variables)  # noqa: S606  # no shell is what we want


def environment(given: Mapping[str, str], *, home: Path, port: int) -> dict[str, str]:
    """The whole environment of Airflow's processes, on top of what is given."""
    url = f"http://{ADDRESS}:{port}"
    kube_config = given.get("KUBECONFIG")
    return {
        # Beside a connection that names one, the operator's trigger refuses a second.
        **{name: value for name, value in given.items() if name != "KUBECONFIG"},
        **(connection(Path(kube_config)) if kube_config else {}),
        "AIRFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{given.get('PATH', '')}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(max(4, os.cpu_count() or 1)),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__HOST": ADDRESS,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # Importing Airflow alone takes seconds, and much longer beside other work.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "180",
    }


def connection(kube_config: Path) -> dict[str, str]:
    """The connection that the Kubernetes operator uses when it is told no other."""
    extra = {"in_cluster": False, "kube_config_path": str(kube_config.absolute())}
    return {"AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra})}


def pod_settings(given: Mapping[str, str]) -> dict[str, str]:
    """The variable `spira_training`, as far as it can be had; says what is missing."""
    image, objects = pushed_image(), given.get("SPIRA_OBJECTS_URL", "")
    if not image or not objects:
        missing = [] if image else ["an image (make images REGISTRY=…)"]
        missing += [] if objects else ["an object store (SPIRA_OBJECTS_URL=s3://…)"]
        tell(f"no step can run before there is {' and '.join(missing)}")
        return {}
    settings: dict[str, Any] = {"image": image, "objects_url": objects}
    if namespace := given.get("SPIRA_NAMESPACE"):
        settings["namespace"] = namespace
    return {"AIRFLOW_VAR_SPIRA_TRAINING": json.dumps(settings)}


def pushed_image() -> str:
    try:
        made = json.loads(MADE.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return ""
    reference: str = made.get("ml", {}).get("reference", "")
    return reference


def tell(line: str) -> None:
    print(f"airflow: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

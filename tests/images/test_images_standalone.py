"""`make airflow`: which environment Airflow gets, and what is said when something is missing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("/home/airflow")


@pytest.fixture
def standalone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, without images that were pushed."""
    file = ROOT / "images" / "airflow" / "standalone.py"
    spec = importlib.util.spec_from_file_location("standalone", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "MADE", tmp_path / "images.json")
    return module


def test_the_cluster_is_told_by_the_connection_alone(standalone: ModuleType) -> None:
    """Given twice, the operator's trigger refuses both."""
    told = standalone.environment({"KUBECONFIG": "/etc/kube", "PATH": "/bin"}, home=HOME, port=8080)
    connection = json.loads(told["AIRFLOW_CONN_KUBERNETES_DEFAULT"])
    assert "KUBECONFIG" not in told
    assert connection == {
        "conn_type": "kubernetes",
        "extra": {"in_cluster": False, "kube_config_path": "/etc/kube"},
    }


def test_without_a_cluster_a_connection_of_the_callers_own_stays(standalone: ModuleType) -> None:
    own = {"AIRFLOW_CONN_KUBERNETES_DEFAULT": "kubernetes://"}
    assert standalone.environment(own, home=HOME, port=8080)["AIRFLOW_CONN_KUBERNETES_DEFAULT"] == "kubernetes://"


def test_a_server_where_everybody_is_an_administrator_listens_on_loopback(standalone: ModuleType) -> None:
    told = standalone.environment({}, home=HOME, port=8099)
    assert told["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] == "True"
    assert told["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8099/execution/"


def test_it_shows_our_dags_alone(standalone: ModuleType) -> None:
    told = standalone.environment({}, home=HOME, port=8080)
    assert told["AIRFLOW__CORE__DAGS_FOLDER"] == str(ROOT / "dags")
    assert told["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"


def test_pods_get_the_image_that_was_pushed_last(standalone: ModuleType) -> None:
    from spira.orchestration.pod_settings import read_pod_settings

    reference = f"registry/spira/ml@sha256:{'0' * 64}"
    standalone.MADE.write_text(json.dumps({"ml": {"tag": "spira/ml:1", "reference": reference}}), encoding="utf-8")
    given = {"SPIRA_OBJECTS_URL": "s3://bucket/training", "SPIRA_NAMESPACE": "team"}
    settings = read_pod_settings(standalone.pod_settings(given)["AIRFLOW_VAR_SPIRA_TRAINING"])
    assert (settings.image, settings.objects_url, settings.namespace) == (reference, "s3://bucket/training", "team")


def test_what_is_missing_is_said_with_the_way_out(standalone: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert standalone.pod_settings({}) == {}
    told = capsys.readouterr().err
    assert "make images REGISTRY=" in told
    assert "SPIRA_OBJECTS_URL=s3://" in told

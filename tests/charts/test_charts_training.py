"""charts/training, rendered by Helm's own engine for every file of ci/, keeps the house's rules.

The real thing, objects in a cluster and what they allow, is tried by `make e2e-training`.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python.chart", reason="no Helm engine: the package helm-python-sdk is missing")
errors = pytest.importorskip("helm_python.errors")

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "training"
CI_FILES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = ("1.31", "1.34")
NAMESPACE = "spira-training"
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "Namespace", "PersistentVolume", "PriorityClass"}
Manifest = dict[str, Any]


def read(file: Path) -> Manifest:
    found: Manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def render_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """By template; raises Helm's error when the values are refused."""
    texts: dict[str, str] = helm.Chart.load(str(CHART)).render(dict(values), name="training", namespace=NAMESPACE)
    return texts


def render(values: Mapping[str, Any]) -> list[Manifest]:
    """The objects."""
    texts = render_texts(values)
    documents = [yaml.safe_load_all(text) for path, text in texts.items() if path.endswith(".yaml")]
    return [document for one in documents for document in one if document]


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in objects if one["kind"] == kind]


def changed(values: Mapping[str, Any], path: str, value: Any) -> Manifest:
    result: Any = copy.deepcopy(dict(values))
    *parents, last = path.split(".")
    place = result
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return result  # type: ignore[no-any-return]  # the copy of a mapping is one


@pytest.fixture(params=CI_FILES, ids=lambda file: file.stem)
def values(request: pytest.FixtureRequest) -> Manifest:
    return read(request.param)


@pytest.fixture
def objects(values: Manifest) -> list[Manifest]:
    return render(values)


@pytest.fixture
def minimal() -> Manifest:
    return read(CHART / "ci" / "minimal-values.yaml")


class TestEveryCiFile:
    def test_has_nothing_that_helm_lints(self, values: Manifest) -> None:
        report = helm.lint(str(CHART), values, strict=True, namespace=NAMESPACE)
        severe = [one for one in report["messages"] if one["severity"] not in {"INFO", 1}]
        assert severe == []

    @pytest.mark.parametrize("version", KUBERNETES)
    def test_renders_what_kubernetes_understands(self, objects: list[Manifest], version: str) -> None:
        validate = pytest.importorskip("kubernetes_validate", reason="the package kubernetes-validate is missing")
        for one in objects:
            validate.validate(one, version, strict=True)

    def test_labels_every_object_and_puts_it_into_a_namespace(self, values: Manifest, objects: list[Manifest]) -> None:
        for one in objects:
            labels = one["metadata"]["labels"]
            assert labels["app.kubernetes.io/part-of"] == "spira"
            assert labels["app.kubernetes.io/instance"] == "training"
            assert values.get("labels", {}).items() <= labels.items()
            assert one["kind"] not in CLUSTER_WIDE
            assert one["metadata"]["namespace"]

    def test_makes_no_secret_and_writes_none_down(self, objects: list[Manifest]) -> None:
        text = json.dumps(objects)
        assert of_kind(objects, "Secret") == []
        assert not re.search(r"AWS_SECRET_ACCESS_KEY|SPIRA_PSEUDONYM_KEY|PASSWORD", text)

    def test_gives_no_account_a_token_in_its_pods(self, objects: list[Manifest]) -> None:
        accounts = of_kind(objects, "ServiceAccount")
        assert accounts
        assert all(one["automountServiceAccountToken"] is False for one in accounts)

    def test_lets_airflow_do_what_the_operator_does_in_this_namespace_and_no_more(
        self, values: Manifest, objects: list[Manifest]
    ) -> None:
        [role], [binding] = of_kind(objects, "Role"), of_kind(objects, "RoleBinding")
        rights = {(one["resources"][0], verb) for one in role["rules"] for verb in one["verbs"]}
        account = values.get("airflow", {}).get("serviceAccount", {})
        assert rights == {
            *(("pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")),
            ("pods/log", "get"),
            ("events", "list"),
            ("events", "watch"),
        }
        assert all(len(one["resources"]) == 1 and one["apiGroups"] == [""] for one in role["rules"])
        assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == NAMESPACE
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert binding["subjects"] == [
            {
                "kind": "ServiceAccount",
                "name": account.get("name", "airflow-worker"),
                "namespace": account.get("namespace") or NAMESPACE,
            }
        ]

    def test_refuses_every_call_to_a_pod_and_lets_pods_call_dns_and_the_named_stores_alone(
        self, values: Manifest, objects: list[Manifest]
    ) -> None:
        given = values.get("networkPolicy", {})
        policies = of_kind(objects, "NetworkPolicy")
        if given.get("enabled") is False:
            assert policies == []
            return
        [policy] = policies
        dns, *stores = policy["spec"]["egress"]
        assert policy["spec"]["podSelector"] == {}
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["ingress"] == []
        assert {port["port"] for port in dns["ports"]} == set(given.get("dns", {}).get("ports", [53]))
        assert stores == [
            {"to": one["to"], "ports": [{"port": port, "protocol": "TCP"} for port in one["ports"]]}
            for one in given["stores"]
        ]

    def test_tells_steps_the_stores_as_their_settings_are_called(
        self, values: Manifest, objects: list[Manifest]
    ) -> None:
        from spira.apps.training_settings import TrainingSettings

        [config] = of_kind(objects, "ConfigMap")
        settings = {f"SPIRA_{name.upper()}" for name in TrainingSettings.model_fields}
        told = config["data"]
        spira = {name for name in told if name.startswith("SPIRA_")} - set(values["stores"].get("extra", {}))
        assert spira <= settings
        assert told["SPIRA_OBJECTS_URL"] == values["stores"]["objectsUrl"]
        assert told["SPIRA_MLFLOW_TRACKING_URI"] == values["stores"]["mlflow"]["trackingUri"]


def test_names_are_those_that_the_dag_expects(minimal: Manifest) -> None:
    from spira.orchestration.pod_settings import PodSettings

    objects = render(minimal)
    expected = {name: field.default for name, field in PodSettings.model_fields.items()}
    [config], [account] = of_kind(objects, "ConfigMap"), of_kind(objects, "ServiceAccount")
    assert config["metadata"]["name"] == expected["config_map"]
    assert account["metadata"]["name"] == expected["service_account"]
    assert read(CHART / "values.yaml")["secret"]["name"] == expected["secret"]
    assert expected["namespace"] == NAMESPACE


def test_steps_fit_into_the_limits_that_the_chart_sets(minimal: Manifest) -> None:
    from spira.orchestration.sizes import SIZES

    [limits] = of_kind(render(minimal), "LimitRange")
    [most] = [one["max"] for one in limits["spec"]["limits"]]
    for step, size in SIZES.items():
        assert amount(size.memory_limit) <= amount(most["memory"]), step
        assert amount(size.cpu) <= amount(most["cpu"]), step


def test_every_value_of_the_full_file_shows_in_what_is_rendered() -> None:
    """A value that no template reads is a promise that is not kept."""
    full = read(CHART / "ci" / "full-values.yaml")
    text = "\n".join(render_texts(full).values())
    silent = [path for path, value in leaves(full) if not isinstance(value, bool) and str(value) not in text]
    assert silent == []


def test_the_full_file_names_every_value() -> None:
    """So that the test above sees all of them; lists and free-form parts count as one."""
    free = ("labels", "stores.extra", "serviceAccount.annotations", "quota.hard", "limitRange.", "networkPolicy.dns.to")
    full = read(CHART / "ci" / "full-values.yaml")
    known = {path for path, _ in leaves(read(CHART / "values.yaml")) if not path.startswith(free)}
    assert known <= {path for path, _ in leaves(full)}


def test_every_value_is_described() -> None:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    scalar = re.compile(r"^\s+[A-Za-z]+: \S")
    described = re.compile(r"^\s*# ")
    free = re.compile(r"^\s+(pods|requests\.|limits\.|cpu|memory|ephemeral|kubernetes\.io)")
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if scalar.match(line) and not free.match(line) and not described.match(before)
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("stores.objectsUrl", "file:/data", "objectsUrl"),
        ("stores.objectsUrl", "s3://key:secret@bucket/training", "objectsUrl"),
        ("stores.mlflow.trackingUri", "sqlite:///mlflow.db", "trackingUri"),
        ("stores.extra", {"AWS_SECRET_ACCESS_KEY": "x"}, "AWS_SECRET_ACCESS_KEY"),
        ("stores.extra", {"SPIRA_STEP_CONFIG": "x"}, "SPIRA_STEP_CONFIG"),
        ("stores.objectUrl", "s3://b", "objectUrl"),
        ("quota.hard", {"pods": "many"}, "pods"),
        ("networkPolicy.stores", [{"name": "s3", "to": [], "ports": [443]}], "to"),
        ("networkPolicy.stores", [{"name": "s3", "to": [{"ipBlock": {"cidr": "10.0.0.1"}}], "ports": [443]}], "cidr"),
        ("networkPolicy.stores", [{"name": "s3", "to": [{"podSelector": {}}], "ports": [0]}], "ports"),
        ("serviceAccount.name", "Step_1", "serviceAccount"),
        ("image", "x", "image"),
    ],
)
def test_a_wrong_value_is_refused_by_name(minimal: Manifest, path: str, value: Any, named: str) -> None:
    with pytest.raises(errors.HelmValuesError, match=named):
        render(changed(minimal, path, value))


def test_without_stores_nothing_is_rendered() -> None:
    with pytest.raises(errors.HelmValuesError, match=r"objectsUrl"):
        render({})


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Paths of everything that is no mapping."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from ((path, leaf) for _, leaf in leaves(inner, path))
    else:
        yield path, value


def amount(quantity: str) -> float:
    """Of a Kubernetes quantity, in its base unit."""
    number, unit = re.fullmatch(r"([0-9.]+)(\w*)", quantity).groups()  # type: ignore[union-attr]  # or the test fails
    return float(number) * {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}[unit]

"""`spira prepare`: a form becomes a plan, or one clear line for each thing that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spira.apps.pod_process import run_pod_process
from spira.apps.prepare import config_of_parameters, read_parameters
from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import Conflict, InvalidInput, NotFound, SpiraError
from spira.kernel.ids import sha256_hex
from spira.orchestration.receipts import Receipt, Refusal, read_receipt

RECEIPT = "runs/d/r/prepare.json"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    rows = [f"p{n}.wav,p{n},{'patient' if n % 2 else 'control'},{n % 4}" for n in range(16)]
    file.write_text("\n".join(["path,participant_id,label,fold", *rows]) + "\n")
    return file


class Pod:
    """The process of a pod, told by its environment."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.objects = FileObjects(tmp_path / "objects")
        self._setenv = monkeypatch.setenv
        for name, value in {
            "SPIRA_OBJECTS_URL": f"file:{tmp_path}/objects",
            "SPIRA_MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
            "SPIRA_PSEUDONYM_KEY": 64 * "ab",
            "SPIRA_STEP_RECEIPT": RECEIPT,
            "SPIRA_STEP_LABEL": "prepare",
        }.items():
            self._setenv(name, value)

    def prepare(self, **form: Any) -> dict[str, Any]:
        self._setenv("SPIRA_RUN_PARAMETERS", json.dumps(form))
        return run_pod_process("prepare")

    @property
    def receipt(self) -> Receipt | Refusal | None:
        return read_receipt(self.objects, RECEIPT)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, monkeypatch)


def test_a_form_becomes_configuration_digests_and_pieces(pod: Pod, manifest: Path) -> None:
    told = pod.prepare(manifest=str(manifest), cross_validate=True, shards=2, parts=5, seed=7)["told"]

    config = json.loads(pod.objects.get(told["config"]))
    assert config["seed"] == 7
    assert config["publication"]["model_name"] == told["model"] == "robust"
    assert told["folds"] == 4
    assert told["outside"]["dataset"]["location"] == str(manifest)
    assert [piece["label"] for piece in told["steps"]["features"]] == ["features@0", "features@1"]
    assert len(told["steps"]["train"]) == 4 * 5
    assert told["steps"]["cross-validate"][0]["after"][-1] == "ensemble@3"
    assert isinstance(pod.receipt, Receipt)
    assert pod.receipt.told == told


def test_the_same_form_gives_the_same_plan(pod: Pod, manifest: Path) -> None:
    assert pod.prepare(manifest=str(manifest)) == pod.prepare(manifest=str(manifest))


def test_empty_fields_of_a_form_are_left_out(pod: Pod, manifest: Path) -> None:
    plain = pod.prepare(manifest=str(manifest))

    assert pod.prepare(manifest=str(manifest), noise="", evaluation="", model_name="") == plain


@pytest.mark.parametrize(
    ("form", "kind", "told"),
    [
        ({}, InvalidInput, "manifest: is missing"),
        ({"manifest": "/nowhere/rows.csv"}, InvalidInput, "rows.csv: the manifest does not exist"),
        ({"manifest": "dataset:ward"}, NotFound, "no data set of the series 'ward' was accepted"),
        ({"preset": "best"}, NotFound, "preset 'best' does not exist; there are .*robust"),
        ({"overrides": ["training.epochs=0"]}, InvalidInput, "training.epochs"),
        (
            {"overrides": ["windows.kind=pad", "windows.step_s=1.0"]},
            InvalidInput,
            "windows.step_s: has no meaning for windows.kind 'pad'",
        ),
        ({"overrides": ["seed=3"], "seed": 4}, InvalidInput, "overrides, seed=3: contradicts the form's own field"),
        ({"gpus": 1, "overrides": ["training.device=cpu"]}, InvalidInput, "training.device=cpu: contradicts"),
        ({"preset": "smoke", "parts": 9}, InvalidInput, "parts: 9 parts for 1 members"),
        ({"evaluation_sha256": 64 * "0"}, InvalidInput, "evaluation: is missing"),
        ({"model_name": "Not A Name"}, InvalidInput, "is no model name"),
        ({"epochs": 3}, InvalidInput, "epochs: Extra inputs"),
    ],
)
def test_what_is_wrong_with_a_form_is_told_before_anything_is_computed(
    pod: Pod, manifest: Path, form: dict[str, Any], kind: type[SpiraError], told: str
) -> None:
    given = form if "manifest" in form or not form else {"manifest": str(manifest)} | form

    with pytest.raises(kind, match=told):
        pod.prepare(**given)

    assert isinstance(pod.receipt, Refusal)
    assert pod.receipt.permanent


def test_a_frozen_data_set_is_taken_by_its_digest_alone(pod: Pod, manifest: Path) -> None:
    frozen = {"evaluation": str(manifest), "evaluation_sha256": sha256_hex(manifest.read_bytes())}

    told = pod.prepare(manifest=str(manifest), **frozen)["told"]
    manifest.write_text(manifest.read_text().replace("p15", "p99"))

    assert told["outside"]["evaluation"]["location"] == str(manifest)
    with pytest.raises(Conflict, match="not the frozen one"):
        pod.prepare(manifest=str(manifest), **frozen)


def test_a_gpu_that_was_asked_for_must_be_there() -> None:
    assert config_of_parameters(read_parameters('{"gpus": 2}')).training.device == "cuda"
    assert config_of_parameters(read_parameters("{}")).training.device == "auto"


def test_label_dependent_noise_needs_its_switch() -> None:
    with pytest.raises(InvalidInput, match="label"):
        config_of_parameters(read_parameters('{"preset": "spira-v1-3.2"}'))

    allowed = read_parameters('{"preset": "spira-v1-3.2", "allow_label_dependent_noise": true}')
    assert config_of_parameters(allowed).augmentation.allow_label_dependent is True


def test_a_step_that_is_refused_leaves_the_refusal_as_its_receipt(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIRA_STEP_CONFIG", "configs/gone.json")

    with pytest.raises(NotFound, match="gone"):
        run_pod_process("validate")

    assert isinstance(pod.receipt, Refusal)
    assert pod.receipt.error == "NotFound"


def test_a_rescore_without_a_model_in_the_registry_is_refused(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIRA_RUN_PARAMETERS", json.dumps({"model": "robust", "manifest": "rows.csv"}))

    with pytest.raises(NotFound, match="'robust' has no version with the alias production or challenger"):
        run_pod_process("rescore")

    assert isinstance(pod.receipt, Refusal)

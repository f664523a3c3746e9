"""The whole of training by its commands, on made-up audio: manifest to registered model, scored alike everywhere."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from spira.apps.cli import main
from spira.apps.training_inputs import open_model
from spira.apps.training_settings import KEY_FILE, in_workspace
from spira.infra.mlflow_registry import MlflowRegistry, load_pyfunc
from spira.infra.objects.file_objects import FileObjects
from spira.infra.registry_aliases import version_behind
from spira.kernel.errors import Conflict, NotFound
from spira.privacy.pseudonyms import is_pseudonym

PEOPLE = 30
FIT = ("training.epochs=20", "training.batch_recordings=4", "training.patience=10", 'publication.tolerated=["*"]')
"""A toy that need not stand the bias battery."""
RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A workspace in which a model was trained once."""

    folder: Path
    told: dict[str, Any]

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def objects(self) -> FileObjects:
        return FileObjects(self.workspace / "objects")

    def output(self, step: str, name: str) -> bytes:
        (info,) = [info for info in self.objects.list(f"steps/{step}/") if info.key.endswith(f"/{name}")]
        return self.objects.get(info.key)


def voice(seed: int) -> bytes:
    """A hummed tone of 1.2 s; patients (odd seeds) tremble."""
    random = np.random.default_rng(seed)
    times = np.arange(int(1.2 * RATE)) / RATE
    phase = 2 * np.pi * random.uniform(100, 140) * times + (seed % 2) * 2.0 * np.sin(2 * np.pi * 9 * times)
    tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 8)) + 0.003 * random.standard_normal(len(times))
    out = io.BytesIO()
    soundfile.write(out, tone, RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


def data_set(folder: Path) -> Path:
    rows = ["path,speaker_id,label,sex,age,fold,matched_pair"]
    for n in range(PEOPLE):
        (folder / f"voice{n:02d}.wav").write_bytes(voice(n))
        rows.append(f"voice{n:02d}.wav,speaker{n:02d},{n % 2},{'fm'[n // 2 % 2]},{30 + n},{n // 2 % 2},{n // 2}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def spira(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The JSON that a command prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([*words, "--json"])
    told = capsys.readouterr().out
    assert (caught.value.code or 0) == code, told
    return json.loads(told)


def train_words(folder: Path, *more: str) -> Sequence[str]:
    manifest, workspace = str(folder / "manifest.csv"), str(folder / "workspace")
    settings = [word for text in FIT for word in ("--set", text)]
    words = ["--manifest", manifest, "--workspace", workspace, "--preset", "smoke", "--name", "tremor"]
    return ["train", *words, *settings, *more]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("training")
    data_set(folder)
    return Trained(folder=folder, told=run_once(folder))


def run_once(folder: Path) -> dict[str, Any]:
    from spira.apps.training_run import TrainRequest, run_training

    request = TrainRequest(
        manifest=str(folder / "manifest.csv"),
        preset="smoke",
        workspace=folder / "workspace",
        name="tremor",
        overrides=FIT,
        cross_validate=True,
    )
    return run_training(request)


def test_the_result_carries_every_promised_figure(trained: Trained) -> None:
    told = trained.told

    promised = {"model", "auc", "auc_low", "auc_high", "uar", "sensitivity", "specificity", "ece", "n", "matched"}
    assert promised | {"slices", "gates", "baseline", "folds", "test"} <= told.keys()
    assert (told["model"], told["n"], told["matched"]["pairs"]) == ("tremor/1", PEOPLE, PEOPLE // 2)
    assert told["test"]["n"] == PEOPLE // 2 + 1
    assert {gate["verdict"] for gate in told["gates"]} <= {"PASS", "FAIL", "NOT ENOUGH DATA"}
    assert told["auc"] > 0.9


def test_a_second_run_does_nothing_again(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    told = spira(capsys, *train_words(trained.folder, "--cross-validate"))

    assert set(told["steps"].values()) == {"reused"}
    assert told["model"] == "tremor/1"


def test_a_damaged_output_is_made_again_and_said(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    (info,) = [info for info in trained.objects.list("steps/evaluate/") if info.key.endswith("scores.json")]
    before = trained.objects.get(info.key)
    trained.objects.put(info.key, b"{}")

    told = spira(capsys, *train_words(trained.folder, "--cross-validate"))

    assert told["repaired"] == {"evaluate": ["scores.json"]}
    assert trained.output("evaluate", "scores.json") == before


def test_scores_are_equal_to_the_bit_everywhere(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluation, the model opened again, `spira predict` and the registered pyfunc."""
    evaluated = [one["score"] for one in json.loads(trained.output("evaluate", "scores.json"))]
    held_out = [n for n in range(PEOPLE) if n // 2 % 2 == 0]
    files = [trained.folder / f"voice{n:02d}.wav" for n in held_out]
    settings = in_workspace(trained.workspace)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)

    _, model = open_model(settings, "tremor@challenger")
    opened = [model.screen({"sustained": file.read_bytes()}) for file in files]
    words = ["predict", "tremor/1", *map(str, files), "--workspace", str(trained.workspace)]
    predicted = spira(capsys, *words)["predictions"]
    rows = [{"metadata": "{}", "sustained": file.read_bytes()} for file in files]
    answered = registry.load("tremor", "1").predict(rows)

    assert [one.scores["final"] for one in opened] == evaluated
    assert [one["scores"]["final"] for one in predicted] == evaluated
    assert [json.loads(one["scores"])["final"] for one in answered] == evaluated
    assert [one["diagnosis"] for one in answered] == [one.diagnosis for one in opened]


def test_nobody_is_named_in_anything_that_is_stored(trained: Trained) -> None:
    stored = b"".join(trained.objects.get(info.key) for info in trained.objects.list() if info.key.endswith(".json"))

    cohort = json.loads(trained.output("validate", "cohort.json"))
    assert all(is_pseudonym(one["participant"]) for one in cohort["recordings"])
    assert b"speaker0" not in stored
    assert (trained.workspace / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (trained.workspace / KEY_FILE).read_text().strip().encode() not in stored


def test_the_registry_tells_what_was_registered(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = ["--workspace", str(trained.workspace)]

    (listed,) = spira(capsys, "models", "list", *workspace)
    shown = spira(capsys, "models", "show", "tremor", *workspace)

    assert listed == {"name": "tremor", "versions": ["1"], "aliases": {"challenger": "1"}}
    assert shown["metrics"]["pooled.auc"] == trained.told["auc"]
    assert shown["datasets"].keys() == {"cohort", "features"}
    assert spira(capsys, "models", "show", "nothing", *workspace, code=3)["error"] == "NotFound"


def test_a_registered_model_holds_no_pickle_and_fixes_its_libraries(trained: Trained) -> None:
    settings = in_workspace(trained.workspace)

    folder = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root).fetch("tremor", "1")

    assert not [file for file in folder.rglob("*") if file.suffix in {".pkl", ".pickle", ".pt", ".pth"}]
    assert "torch==" in (folder / "requirements.txt").read_text()
    assert load_pyfunc(folder).predict([{"metadata": "{}", "sustained": voice(1)}])[0]["diagnosis"]


def test_a_model_is_not_evaluated_on_people_it_was_trained_on(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "tremor", "--manifest", str(trained.folder / "manifest.csv")]

    told = spira(capsys, *words, "--workspace", str(trained.workspace), code=2)

    fitted = [row for row in range(2, PEOPLE + 2) if (row - 2) // 2 % 2]
    assert [problem["where"] for problem in told["problems"]] == [f"manifest, row {row}" for row in fitted]
    assert told["problems"][0]["what"] == "tremor/1 was trained on this person"


def test_figures_on_people_who_were_seen_are_given_with_a_failed_gate(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "tremor", "--manifest", str(trained.folder / "manifest.csv"), "--allow-seen"]

    told = spira(capsys, *words, "--workspace", str(trained.workspace))

    gates = {gate["name"]: gate for gate in told["gates"]}
    assert (told["model"], told["n"], told["verdict"]) == ("tremor/1", PEOPLE, "FAIL")
    assert gates["unseen-people"]["reason"] == f"{PEOPLE // 2 - 1} of {PEOPLE} people were seen in training"


def test_a_model_is_evaluated_on_people_it_never_saw(
    trained: Trained, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The frozen baseline comes with the registered version; a second time nothing is done again."""
    lines = (trained.folder / "manifest.csv").read_text().splitlines()
    manifest, report = trained.folder / "unseen.csv", tmp_path / "sub" / "report.html"
    manifest.write_text("\n".join([lines[0], *(line for n, line in enumerate(lines[1:]) if n // 2 % 2 == 0)]) + "\n")
    words = ["evaluate", "tremor@challenger", "--manifest", str(manifest), "--report", str(report)]

    told = spira(capsys, *words, "--workspace", str(trained.workspace))

    gates = {gate["name"]: gate["verdict"] for gate in told["gates"]}
    assert (told["model"], told["n"], told["baseline"]["n"]) == ("tremor/1", PEOPLE // 2 + 1, PEOPLE // 2 + 1)
    assert (gates["unseen-people"], gates["data"], gates["champion"]) == ("PASS", "PASS", "NOT ENOUGH DATA")
    assert told["auc"] == trained.told["test"]["auc"]
    assert b"Evaluation of tremor/1" in report.read_bytes()


def test_the_card_and_the_evidence_are_kept_with_the_version(trained: Trained) -> None:
    settings = in_workspace(trained.workspace)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)

    card = registry.evidence("tremor", "1", "card.md").decode()
    people = json.loads(registry.evidence("tremor", "1", "people.json"))
    baseline = json.loads(registry.evidence("tremor", "1", "baseline.json"))

    assert f"AUC {trained.told['auc']:.3f}" in card
    assert all(gate["reason"].replace("<", "&lt;") in card for gate in trained.told["test"]["gates"])
    assert len(people["seen"]) == PEOPLE // 2 - 1
    assert (len(baseline["coefficients"]), baseline["people"]) == (60, PEOPLE // 2 - 1)
    assert registry._client.get_model_version("tremor", "1").description.startswith("# Model card: tremor")
    with pytest.raises(NotFound, match="no evidence 'none'"):
        registry.evidence("tremor", "1", "none")


def test_an_alias_is_found_without_mlflow_as_with_it(trained: Trained) -> None:
    settings = in_workspace(trained.workspace)
    place = (settings.mlflow_tracking_uri, settings.mlflow_artifact_root)

    light = version_behind(*place, name="tremor", alias="challenger")

    assert light == MlflowRegistry(*place).resolve("tremor", "challenger")
    assert version_behind(*place, name="tremor", alias="nobody") is None
    assert version_behind(*place, name="nothing", alias="challenger") is None


def test_every_bad_recording_is_named_at_once(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = trained.folder / "bad.txt", trained.folder / "voice00.wav"
    bad.write_text("no audio")

    words = ["predict", "tremor", str(bad), str(good), "/none.wav", "--workspace", str(trained.workspace)]
    told = spira(capsys, *words, code=2)

    assert [problem["where"] for problem in told["problems"]] == [str(bad), "/none.wav"]


def test_a_bad_manifest_fails_with_all_problems_and_leaves_nothing_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = data_set(tmp_path)
    manifest.write_text(manifest.read_text().replace("voice03", "none03").replace("voice05", "none05"))

    told = spira(capsys, *train_words(tmp_path), code=2)
    checked = spira(capsys, "data", "validate", str(manifest), code=2)

    found = [f"{problem['where']}: {problem['what']}" for problem in told["problems"]]
    assert found == [f"manifest.csv, row {row}, path: the file does not exist" for row in (5, 7)]
    assert checked["problems"] == told["problems"]
    assert not list(FileObjects(tmp_path / "workspace" / "objects").list("steps/"))


def test_unknown_words_are_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data_set(tmp_path)

    assert "unknown_key" in spira(capsys, *train_words(tmp_path, "--set", "unknown_key=1"), code=2)["message"]
    assert spira(capsys, *train_words(tmp_path, "--from", "fit"), code=3)["error"] == "NotFound"
    assert spira(capsys, *train_words(tmp_path, "--name", "Bad Name"), code=2)["error"] == "InvalidInput"
    assert not (tmp_path / "workspace" / "objects").exists()


def test_a_model_whose_files_changed_is_not_fetched(trained: Trained) -> None:
    settings = in_workspace(trained.workspace)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)

    (weights,) = (trained.workspace / "mlflow").rglob("weights.safetensors")
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    try:
        with pytest.raises(Conflict, match="not the one that was registered"):
            registry.fetch("tremor", "1")
    finally:
        weights.write_bytes(good)
    with pytest.raises(NotFound):
        registry.resolve("tremor", "production")


def test_a_model_that_fails_a_gate_is_not_registered(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """No shift of a score is tolerated: the figures, the reasons and the report are told, and the exit code."""
    asked = ("battery.max_shift=1e-9", "battery.min_people=5", "publication.tolerated=[]")
    words = [word for text in asked for word in ("--set", text)]
    told = spira(capsys, *train_words(trained.folder, *words), code=2)

    report = trained.workspace / "reports" / "tremor" / "evaluate.html"
    assert told["message"].startswith("the model is not registered, since it fails shift: ")
    assert str(report) in told["message"]
    assert report.is_file()
    assert {"gate shift: band to 4 kHz", "report of evaluate"} <= {problem["where"] for problem in told["problems"]}
    assert (told["model"], told["verdict"], told["auc"]) == ("tremor", "FAIL", trained.told["test"]["auc"])
    (listed,) = spira(capsys, "models", "list", "--workspace", str(trained.workspace))
    assert listed["versions"] == ["1"]


def test_a_challenger_is_compared_with_the_champion(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1 in production, and the same model again: equal on everybody whom it never saw."""
    settings = in_workspace(trained.workspace)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    registry.resolve("tremor", "1")
    registry._client.set_registered_model_alias("tremor", "production", "1")
    words = ["--set", "evaluation.min_test_people=10", "--set", "evaluation.slices=[]"]
    try:
        told = spira(capsys, *train_words(trained.folder, *words))
    finally:
        registry._client.delete_registered_model_alias("tremor", "production")

    champion = told["champion"]
    assert (told["model"], champion["model"], champion["n"]) == ("tremor/2", "tremor/1", PEOPLE // 2 + 1)
    assert [one["endpoint"] for one in champion["endpoints"]] == ["AUC", "sensitivity at specificity 0.8"]
    assert {one["difference"] for one in champion["endpoints"]} == {0.0}
    (gate,) = [gate for gate in told["gates"] if gate["name"] == "champion"]
    assert gate["verdict"] == "PASS"
    assert gate["reason"].startswith("is not worse than tremor/1")
    done = {label for label, state in told["steps"].items() if state == "done"}
    assert done == {"evaluate", "publish"}

"""The main job as a newcomer runs it, small: recordings → model → platform → answers, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PEOPLE = "40"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    var = tmp_path_factory.mktemp("demo")
    told = _spira("demo", "--people", PEOPLE, "--preset", "smoke", "--no-cross-validate", "--var", str(var), "--json")
    return var, json.loads(told.splitlines()[-1])


def test_a_hospital_gets_one_answer_for_each_person(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo

    answers = told["answers"]

    assert set(answers) == {"control", "patient"}
    assert {answer["status"] for answer in answers.values()} == {"completed"}
    assert all(answer["diagnosis"] in {"positive", "negative", "inconclusive"} for answer in answers.values())


def test_the_worker_gives_the_score_of_the_evaluation_and_of_predict_to_the_bit(
    demo: tuple[Path, dict[str, Any]],
) -> None:
    var, told = demo
    served = {label: answer["scores"]["final"] for label, answer in told["answers"].items()}

    predicted = json.loads(
        _spira("predict", told["training"]["model"], *told["recordings"].values(), "--workspace", str(var), "--json")
    )["predictions"]

    by_file = {one["audio"]: one["scores"]["final"] for one in predicted}
    assert {label: by_file[file] for label, file in told["recordings"].items()} == served
    assert set(served.values()) <= _evaluated_scores(var)


def test_the_figures_come_with_their_number_of_people_and_intervals(demo: tuple[Path, dict[str, Any]]) -> None:
    _, told = demo
    test = told["training"]["test"]

    assert test["n"] == int(PEOPLE) // 5
    assert test["auc_low"] <= test["auc"] <= test["auc_high"]


def test_nothing_is_left_running(demo: tuple[Path, dict[str, Any]]) -> None:
    var, _ = demo

    running = [line for line in Path("/proc").glob("[0-9]*/cmdline") if _mentions(line, str(var))]

    assert not running
    assert not list((var / "run").glob("*.pid"))


def _evaluated_scores(var: Path) -> set[float]:
    tables = [json.loads(file.read_text()) for file in var.glob("objects/steps/evaluate/**/scores.json")]
    assert len(tables) == 1
    return {row["score"] for row in tables[0]}


def _mentions(cmdline: Path, text: str) -> bool:
    try:
        return text.encode() in cmdline.read_bytes()
    except OSError:
        return False


def _spira(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "spira.apps.cli", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout

"""`spira demo`: the main job from end to end, by the same commands that people use.

    recordings → train (cross-validated) → register → start the platform → a hospital's two requests → stop it

Each stage is a `spira` command run as a process, so that the demo can't do what a user couldn't.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from spira.apps.training_views import show_metrics

demo_app = typer.Typer(add_completion=False)

MODEL = "demo"
TASK = "sustained"
HELD_OUT_FOLD = 0
SYNTHETIC_PEOPLE = 120
_PASSWORD_BYTES = 24


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the demo trains on."""

    manifest: Path
    noise: Path | None
    synthetic: bool


@demo_app.command()
def demo(
    *,
    manifest: Annotated[Path | None, typer.Option(help="Real recordings; without them voices are synthesized.")] = None,
    noise: Annotated[Path | None, typer.Option(help="Noise recordings to train robustness with.")] = None,
    preset: Annotated[str, typer.Option(help="Training preset.")] = "robust",
    cross_validate: Annotated[bool, typer.Option(help="Also pool the scores of all held-out folds.")] = True,
    people: Annotated[int, typer.Option(help="Size of the synthetic cohort.")] = SYNTHETIC_PEOPLE,
    var: Annotated[Path, typer.Option(help="Folder of everything the demo makes.")] = Path("var/demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print figures and answers as JSON.")] = False,
) -> None:
    """Recordings become a model, the model is served, and a hospital gets two answers. Leaves no process behind."""
    var = var.absolute()
    console = Console(highlight=False)
    var.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    data = Data(manifest=manifest, noise=noise, synthetic=False) if manifest else _synthetic(var, people)
    told = _trained(data, var=var, preset=preset, cross_validate=cross_validate)
    unseen = _unseen(data, var=var)
    with _platform(var) as running:
        answers = {label: _ask(recording, var=var, url=running["api"]) for label, recording in sorted(unseen.items())}
    if as_json:
        recordings = {label: str(path) for label, path in unseen.items()}
        typer.echo(json.dumps({"training": told, "answers": answers, "recordings": recordings}))
        return
    show_metrics(told, slices=False)
    console.print(_answers_table(answers))
    if data.synthetic:
        console.print("[bold yellow]These voices are synthetic: the figures prove nothing clinical.[/]")
    _show_where(console, told, running, var=var)
    console.print(f"done in {time.monotonic() - started:.0f} s; nothing is left running")


def _synthetic(var: Path, people: int) -> Data:
    made = _spira(
        "data", "synthesize", "--out", str(var / f"synthetic-{people}"), "--participants", str(people), var=var
    )
    return Data(manifest=Path(made["manifest"]), noise=Path(made["noise_manifest"]), synthetic=True)


def _trained(data: Data, *, var: Path, preset: str, cross_validate: bool) -> dict[str, Any]:
    noise = ["--noise", str(data.noise)] if data.noise else []
    pooled = ["--cross-validate"] if cross_validate else []
    words = ["--manifest", str(data.manifest), *noise, "--preset", preset, "--name", MODEL, "--workspace", str(var)]
    told: dict[str, Any] = _spira("train", *words, *pooled, var=var)
    return told


def _unseen(data: Data, *, var: Path) -> dict[str, Path]:
    """By label, a recording of one person of the held-out fold: nobody in it was seen in training."""
    out = var / "unseen"
    words = ["--fold", str(HELD_OUT_FOLD), "--task", TASK, "--participants", "1", "--out", str(out), "--replace"]
    _spira("data", "export", str(data.manifest), *words, var=var)
    with (out / "manifest.csv").open(newline="") as file:
        return {row["label"]: out / row["path"] for row in csv.DictReader(file)}


@contextmanager
def _platform(var: Path) -> Iterator[dict[str, Any]]:
    try:
        yield _spira("up", "--model", MODEL, "--var", str(var), "--port", "0", "--mlflow-port", "0", var=var)
    finally:
        _spira("down", "--var", str(var), var=var, as_json=False)


def _ask(recording: Path, *, var: Path, url: str) -> dict[str, Any]:
    """As a hospital would: a hospital and its user are made, the user signs in, submits and waits."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = f"demo-{secrets.token_hex(6)}"
    secret = {"SPIRA_PASSWORD": password}
    hospital = _spira("hospitals", "create", f"Demo {user}", var=var)
    email = ["--email", f"{user}@hospital.example"]
    _spira("users", "create", user, *email, "--role", "clinician", "--hospital", hospital["id"], var=var, more=secret)
    words = ["--model", MODEL, "--sustained", str(recording), "--url", url, "--username", user]
    answer: dict[str, Any] = _spira("infer", *words, var=var, more=secret)
    return answer


def _spira(*words: str, var: Path, as_json: bool = True, more: Mapping[str, str] | None = None) -> Any:
    """Run a command with its progress on our standard error; its JSON, or the end of the demo with its exit code."""
    command = [sys.executable, "-m", "spira.apps.cli", *words, *(["--json"] if as_json else [])]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, env=_environment(var) | dict(more or {}), text=True
    )
    if done.returncode != 0:
        raise typer.Exit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1]) if as_json else None


def _answers_table(answers: Mapping[str, dict[str, Any]]) -> Table:
    table = Table(title=f"Two people of fold {HELD_OUT_FOLD}, whom the model never saw, asked over HTTP")
    for column in ("truth", "answer", "score", "model", "inference"):
        table.add_column(column)
    for label, answer in answers.items():
        score = f"{answer['scores']['final']:.3f}" if answer["scores"] else answer["reason"]
        served = f"{answer['model']}/{answer['model_version']}"
        table.add_row(label, answer["diagnosis"] or answer["status"], score, served, answer["inference_id"])
    return table


def _show_where(console: Console, told: Mapping[str, Any], running: Mapping[str, Any], *, var: Path) -> None:
    console.print(f"API docs  {running['docs']}, MLflow {running['mlflow']}", soft_wrap=True)
    console.print(f"          (stopped now; again with: spira up --var {var})", soft_wrap=True)
    for name, report in told["reports"].items():
        console.print(f"report    {report} ({name})", soft_wrap=True)


def _environment(var: Path) -> dict[str, str]:
    inherited = dict(os.environ)  # noqa: TID251 - children get what this process got
    return inherited | {
        "SPIRA_OBJECTS_URL": f"file:{var}/objects",
        "SPIRA_DOCUMENTS_URL": f"sqlite:{var}/documents.sqlite3",
        "SPIRA_BROKER_URL": f"sqlite:{var}/broker.sqlite3",
    }

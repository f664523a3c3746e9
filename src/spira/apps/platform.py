"""The whole platform as local processes: API, one worker per model, results process, MLflow's pages."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from spira.apps import local
from spira.apps.serving_settings import PlatformSettings
from spira.infra.mlflow_registry import MlflowRegistry
from spira.infra.stores import open_documents
from spira.kernel.clock import utc_now
from spira.kernel.errors import Conflict, NotFound, Unavailable
from spira.serving.core.inference import NewModel, ServedModel
from spira.serving.use_cases import models as catalogue

READY_S = 120.0
ALIASES = ("production", "challenger")
"""A model is served by the first of these that it has; only here, in a cluster versions are pinned."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where the platform answers."""

    api_url: str
    docs_url: str
    mlflow_url: str | None
    models: tuple[ServedModel, ...]


def up(
    settings: PlatformSettings, *, models: Sequence[str] | None, mlflow: bool, tell: Callable[[str], None] = print
) -> Running:
    """Start everything, wait until it is ready. `models` None serves all that the registry offers.

    Raises Conflict when it runs already, NotFound when a model is not in the registry, and Unavailable, with
    everything stopped again, when a process does not come up.
    """
    run = _run_folder(settings)
    if any(process.is_running() for process in local.remembered(run)):
        raise Conflict(f"the platform runs already (pid files in {run}); `spira down` stops it")
    served = offer_models(settings, models)
    port = _port(settings.port)
    mlflow_port = _port(settings.mlflow_port) if mlflow else None
    try:
        _start(settings, served, port=port, mlflow_port=mlflow_port, tell=tell)
    except BaseException:
        down(settings)
        raise
    return Running(
        api_url=f"http://127.0.0.1:{port}",
        docs_url=f"http://127.0.0.1:{port}/docs/",
        mlflow_url=f"http://127.0.0.1:{mlflow_port}" if mlflow_port else None,
        models=tuple(served),
    )


def down(settings: PlatformSettings, *, grace_s: float = 20.0) -> int:
    """Stop what `up` started in the same folder; gives how many processes that were."""
    run = _run_folder(settings)
    processes = local.remembered(run)
    running = [process for process in processes if process.members()]
    local.stop(processes, run=run, grace_s=grace_s)
    for file in run.glob("*.alive"):
        file.unlink()
    return len(running)


def offer_models(settings: PlatformSettings, names: Sequence[str] | None) -> list[ServedModel]:
    """Put registered models on offer in the version that their alias names now."""
    documents = open_documents(settings.documents_url)
    catalogue.declare(documents)
    found = _registered(settings, names)
    return [catalogue.offer_model(new, documents=documents, clock=utc_now) for new in found]


def _registered(settings: PlatformSettings, names: Sequence[str] | None) -> list[NewModel]:
    database = settings.mlflow_tracking_uri.removeprefix("sqlite:///")
    if database != settings.mlflow_tracking_uri and not Path(database).exists():
        if names:
            raise NotFound(f"model {names[0]!r} is not in the registry: it is empty; `spira train` registers one")
        return []
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    known = {model.name: model.aliases for model in registry.list()}
    if missing := sorted(set(names or ()) - set(known)):
        raise NotFound(f"model {missing[0]!r} is not in the registry; it has {', '.join(known) or 'none'}")
    aliased = {name: next((a for a in ALIASES if a in known[name]), None) for name in names or known}
    return [_new_model(registry, name, alias) for name, alias in aliased.items() if alias is not None]


def _new_model(registry: MlflowRegistry, name: str, alias: str) -> NewModel:
    version = registry.resolve(name, alias)
    described = next(registry.fetch(name, version.version).rglob("model.json"), None)
    needed = json.loads(described.read_text()).get("required_recordings") if described else None
    return NewModel(
        name=name, version=version.version, digest=version.digest, required_recordings=tuple(needed or ("sustained",))
    )


def _start(
    settings: PlatformSettings,
    served: Sequence[ServedModel],
    *,
    port: int,
    mlflow_port: int | None,
    tell: Callable[[str], None],
) -> None:
    run = _run_folder(settings)
    started: dict[str, subprocess.Popen[bytes]] = {}

    def start(name: str, *command: str, **more: str) -> None:
        environment = _environment(settings) | more | {"SPIRA_HEARTBEAT_FILE": str(run / f"{name}.alive")}
        tell(f"starting {name}")
        _, started[name] = local.start(name, command, environment=environment, run=run, log=settings.var_dir / "log")

    start("api", sys.executable, "-m", "spira.apps.api", SPIRA_PORT=str(port))
    start("results", sys.executable, "-m", "spira.apps.results")
    for model in served:
        words = ("-m", "spira.apps.worker")
        start(
            f"worker.{model.name}",
            sys.executable,
            *words,
            SPIRA_MODEL=model.name,
            SPIRA_MODEL_VERSION=model.registry_version,
        )
    if mlflow_port is not None:
        start("mlflow", *_mlflow_command(settings, mlflow_port), MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    checks: dict[str, Callable[[], bool]] = {"api": lambda: _answers(f"http://127.0.0.1:{port}/readyz")}
    for name in started:
        if name == "results" or name.startswith("worker."):
            checks[name] = (run / f"{name}.alive").exists
    if mlflow_port is not None:
        checks["mlflow"] = lambda: _answers(f"http://127.0.0.1:{mlflow_port}/health")
    _wait(checks, started, log=settings.var_dir / "log", tell=tell)


def _wait(
    checks: dict[str, Callable[[], bool]],
    started: dict[str, subprocess.Popen[bytes]],
    *,
    log: Path,
    tell: Callable[[str], None],
) -> None:
    deadline = time.monotonic() + READY_S
    waiting = dict(checks)
    while waiting:
        tell(f"waiting for {', '.join(waiting)}")
        for name, process in started.items():
            if process.poll() is not None:
                raise Unavailable(f"{name} ended with status {process.returncode}: {_last_lines(log / f'{name}.log')}")
        waiting = {name: check for name, check in waiting.items() if not check()}
        if waiting and time.monotonic() > deadline:
            name = next(iter(waiting))
            raise Unavailable(f"{name} was not ready within {READY_S:g} s: {_last_lines(log / f'{name}.log')}")
        time.sleep(0.1 if waiting else 0.0)


def _mlflow_command(settings: PlatformSettings, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", settings.mlflow_tracking_uri),
        *("--artifacts-destination", settings.mlflow_artifact_root),
    ]


def _environment(settings: PlatformSettings) -> dict[str, str]:
    """This process's environment, with the stores of `settings`."""
    stores = ("objects_url", "documents_url", "broker_url", "mlflow_tracking_uri", "mlflow_artifact_root")
    chosen = {f"SPIRA_{name.upper()}": str(getattr(settings, name)) for name in stores}
    inherited = dict(os.environ)  # noqa: TID251 - children get what this process got
    return inherited | chosen | {"SPIRA_KEYS_DIR": str(settings.var_dir / "keys")}


def _run_folder(settings: PlatformSettings) -> Path:
    return settings.var_dir / "run"


def _port(wanted: int) -> int:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            raise Conflict(f"port {wanted} is taken; choose another, or 0 for a free one") from error
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - a loopback address made here
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _last_lines(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
    return " | ".join(lines[-5:]) or f"see {file}"

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
from dataclasses import dataclass, field
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
    registry = _has_registry(settings)  # before MLflow's server makes its file
    if models and not registry:
        raise NotFound(f"model {models[0]!r} is not in the registry: it is empty; `spira train` registers one")
    port = _port(settings.port)
    mlflow_port = _port(settings.mlflow_port) if mlflow else None
    started = _Started(settings=settings, tell=tell)
    try:
        started.core(port=port, mlflow_port=mlflow_port)
        served = offer_models(settings, models) if registry else []  # slow, while the others come up
        started.workers(served)
        started.wait()
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


def _has_registry(settings: PlatformSettings) -> bool:
    """Asked before the registry's library is loaded, which takes seconds and makes the file."""
    database = settings.mlflow_tracking_uri.removeprefix("sqlite:///")
    return database == settings.mlflow_tracking_uri or Path(database).exists()


def _registered(settings: PlatformSettings, names: Sequence[str] | None) -> list[NewModel]:
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    known = {model.name: model.aliases for model in registry.list()}
    if missing := sorted(set(names or ()) - set(known)):
        raise NotFound(f"model {missing[0]!r} is not in the registry; it has {', '.join(known) or 'none'}")
    aliased = {name: next((a for a in ALIASES if a in known[name]), None) for name in names or known}
    return [_new_model(registry, name, alias) for name, alias in aliased.items() if alias is not None]


def _new_model(registry: MlflowRegistry, name: str, alias: str) -> NewModel:
    version = registry.resolve(name, alias)
    described = next(registry.fetch(name, version.version).rglob("model.json"), None)
    needed = json.loads(described.read_text())["settings"]["required_recordings"] if described else None
    return NewModel(
        name=name, version=version.version, digest=version.digest, required_recordings=tuple(needed or ("sustained",))
    )


@dataclass(kw_only=True)
class _Started:
    """Processes on their way, and how each one shows that it is ready."""

    settings: PlatformSettings
    tell: Callable[[str], None]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    checks: dict[str, Callable[[], bool]] = field(default_factory=dict)

    def core(self, *, port: int, mlflow_port: int | None) -> None:
        self._start("api", "-m", "spira.apps.api", SPIRA_PORT=str(port))
        self.checks["api"] = lambda: _answers(f"http://127.0.0.1:{port}/readyz")
        self._start("results", "-m", "spira.apps.results")
        if mlflow_port is not None:
            options = _mlflow_options(self.settings, mlflow_port)
            self._start("mlflow", "-m", "mlflow", "server", *options, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
            self.checks["mlflow"] = lambda: _answers(f"http://127.0.0.1:{mlflow_port}/health")

    def workers(self, served: Sequence[ServedModel]) -> None:
        for model in served:
            chosen = {"SPIRA_MODEL": model.name, "SPIRA_MODEL_VERSION": model.registry_version}
            self._start(f"worker.{model.name}", "-m", "spira.apps.worker", **chosen)

    def wait(self) -> None:
        """Until all are ready; raises Unavailable when one ends, or is not ready within READY_S."""
        deadline = time.monotonic() + READY_S
        waiting = dict(self.checks)
        while waiting:
            self.tell(f"waiting for {', '.join(waiting)}")
            self._raise_when_one_ended()
            waiting = {name: check for name, check in waiting.items() if not check()}
            if waiting and time.monotonic() > deadline:
                raise self._failed(next(iter(waiting)), f"was not ready within {READY_S:g} s")
            time.sleep(0.1 if waiting else 0.0)

    def _start(self, name: str, *words: str, **more: str) -> None:
        run, log = _run_folder(self.settings), self.settings.var_dir / "log"
        alive = run / f"{name}.alive"
        environment = _environment(self.settings) | more | {"SPIRA_HEARTBEAT_FILE": str(alive)}
        self.tell(f"starting {name}")
        _, process = local.start(name, [sys.executable, *words], environment=environment, run=run, log=log)
        self.processes[name] = process
        self.checks[name] = alive.exists

    def _raise_when_one_ended(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise self._failed(name, f"ended with status {process.returncode}")

    def _failed(self, name: str, what: str) -> Unavailable:
        return Unavailable(f"{name} {what}: {_last_lines(self.settings.var_dir / 'log' / f'{name}.log')}")


def _mlflow_options(settings: PlatformSettings, port: int) -> list[str]:
    return [
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
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

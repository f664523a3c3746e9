"""What can go wrong in the middle of a run: one clear line, nothing half published, and the next run goes on there."""

from __future__ import annotations

import http.server
import json
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spira.apps.training_inputs import outside_inputs
from spira.apps.training_run import TrainRequest, config_of_request
from spira.apps.training_settings import environment_of, in_workspace
from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import InvalidInput, SpiraError, Unavailable
from spira.orchestration.contract import Done
from spira.orchestration.planning import Planned, plan
from spira.orchestration.process import Run, run_locally
from spira.orchestration.workbench import Progress

RATE = 16_000
FIT = ("training.epochs=2", "training.batch_recordings=4", 'publication.tolerated=["*"]')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of twelve people and a workspace whose recordings are checked already."""
    made = tmp_path_factory.mktemp("faults")
    rows = ["path,participant_id,label,fold"]
    for n in range(12):
        random = np.random.default_rng(n)
        phase = 2 * np.pi * random.uniform(100, 160) * np.arange(int(1.2 * RATE)) / RATE
        tone = 0.1 * np.sin(np.outer(np.arange(1, 6), phase)).sum(0) / 3 + 0.003 * random.standard_normal(len(phase))
        soundfile.write(made / f"{n}.wav", tone, RATE, subtype="PCM_16")
        rows.append(f"{n}.wav,person{n},{n % 2},{n // 2 % 2}")
    (made / "manifest.csv").write_text("\n".join(rows) + "\n")
    return made


@dataclass
class Watched:
    """Remembers what was done, and does something when a step is over."""

    when: str = ""
    act: Callable[[], None] = lambda: None
    done: dict[str, bool] = field(default_factory=dict)

    def planned(self, steps: Sequence[Planned]) -> None:
        pass

    def progressed(self, label: str, progress: Progress) -> None:
        pass

    def finished(self, label: str, done: Done) -> None:
        self.done[label] = done.reused
        if label == self.when:
            self.act()


def run(folder: Path, watched: Watched, *more: str, registry: str = "") -> dict[str, Done]:
    """A run as `spira train` makes it, seen by `watched`."""
    request = TrainRequest(
        manifest=str(folder / "manifest.csv"), preset="smoke", overrides=(*FIT, *more), workspace=folder / "workspace"
    )
    config, settings = config_of_request(request), in_workspace(request.workspace)
    settings = settings.model_copy(update={"mlflow_tracking_uri": registry}) if registry else settings
    outside = outside_inputs(
        settings, config.dataset, manifest=request.manifest, noise=None, model=config.publication.model_name
    )
    given = Run(
        steps=plan(folds=2, cross_validate=False),
        config=config.model_dump(mode="json"),
        outside=outside,
        environment=environment_of(settings),
    )
    return run_locally(given, objects=FileObjects(folder / "workspace" / "objects"), watcher=watched)


def manifests(folder: Path, step: str) -> list[str]:
    keys = (info.key for info in FileObjects(folder / "workspace" / "objects").list(f"steps/{step}/"))
    return [key for key in keys if key.endswith("manifest.json")]


def test_a_recording_that_vanishes_after_it_was_checked_is_named_and_the_next_run_goes_on(folder: Path) -> None:
    lost, kept = folder / "3.wav", folder / "3.kept"
    vanished = Watched(when="validate", act=lambda: (lost.rename(kept), None)[1])

    with pytest.raises(SpiraError, match=r"3\.wav does not exist"):
        run(folder, vanished)
    assert manifests(folder, "features") == []
    kept.rename(lost)
    again = Watched(when="features", act=_stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, again)

    assert again.done == {"validate": True, "features": False}


def _stop() -> None:
    raise KeyboardInterrupt


def test_a_loss_that_is_no_number_stops_the_fit_and_leaves_no_model(folder: Path) -> None:
    watched = Watched()

    with pytest.raises(InvalidInput, match=r"training\.learning_rate.*the loss became .*epoch 1") as caught:
        run(folder, watched, "training.learning_rate=1e30", "training.warmup_steps=1")

    assert "clip_norm" in caught.value.problems[0].hint
    assert manifests(folder, "train") == []
    assert "features" in watched.done


@contextmanager
def registry_without_models() -> Iterator[tuple[str, Callable[[], None]]]:
    """A registry that knows no model, until it is gone."""

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}).encode()
            self.send_response(404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    is_open = True

    def close() -> None:
        nonlocal is_open
        if is_open:
            server.shutdown()
            server.server_close()
            thread.join()
            is_open = False

    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", close
    finally:
        close()


def test_a_registry_that_is_gone_at_publish_loses_nothing_but_the_publishing(folder: Path) -> None:
    with registry_without_models() as (address, close):
        watched = Watched(when="evaluate", act=close)
        with pytest.raises(Unavailable, match=r"registry|MLflow"):
            run(folder, watched, registry=address)
    assert manifests(folder, "publish") == []
    again = Watched()

    done = run(folder, again)

    assert all(again.done[label] for label in ("validate", "features", "train", "ensemble"))
    assert again.done["publish"] is False
    assert "published.json" in done["publish"].manifest.outputs


def test_a_store_that_takes_only_the_beginning_of_an_output_leaves_no_step_done(folder: Path) -> None:
    """A limit on the size of files stands for a full disk: the write fails in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = set(manifests(folder, "features"))

    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(Unavailable, match=r"(?i)too large|no space|can't be (written|stored)"):
            run(folder, Watched(), "features.n_mels=48")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert set(manifests(folder, "features")) == before
    again = Watched(when="features", act=_stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, again, "features.n_mels=48")

    assert again.done == {"validate": True, "features": False}

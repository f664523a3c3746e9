"""One fit in two processes, started by torchrun, over gloo on this machine's CPU."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spira.apps.steps.train_ranks import Job, _error, fit_in_processes
from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import InvalidInput
from spira.training.core.cohort import Cohort, Recording, split
from spira.training.core.compute import Compute
from spira.training.core.config import TrainingConfig, config_of
from spira.training.core.member import Member, facts_file
from spira.training.core.strict_json import parse
from spira.training.use_cases.shards import Shards
from spira.training.use_cases.train import fit_members

PEOPLE, FRAMES, BINS, WINDOWS = 25, 60, 3, 2
WORDS = (
    "network.architecture=spiraconv-v2",
    "network.dropout=0.0",
    "network.members=1",
    "training.epochs=2",
    "training.batch_recordings=5",
    "training.warmup_steps=3",
    "training.patience=null",
    "training.device=cpu",
    "training.class_balance=loss",
)


def config() -> TrainingConfig:
    return config_of(parse("{}", name="toy"), name="toy", overrides=WORDS)


@pytest.fixture
def cohort() -> Cohort:
    return Cohort(
        recordings=tuple(
            Recording(
                row=n + 2,
                location=f"{n}.wav",
                sha256=f"{n:064x}",
                duration_s=1.0,
                participant=f"p-{n:03d}",
                label=1 if n % 3 == 0 else 0,
                fold=None,
                matched_pair=None,
                age=None,
                facets={},
            )
            for n in range(PEOPLE)
        )
    )


def job_of(folder: Path, cohort: Cohort, given: TrainingConfig) -> Job:
    random = np.random.default_rng(1)
    values = random.standard_normal((PEOPLE * WINDOWS, FRAMES, BINS)).astype(np.float32)
    shard = {
        "values": torch.from_numpy(values),
        "mask": torch.ones(PEOPLE * WINDOWS, FRAMES, dtype=torch.bool),
        "recording": torch.arange(PEOPLE).repeat_interleave(WINDOWS),
    }
    save_file(shard, folder / "version-00.safetensors")
    return Job(
        config=given,
        sides={0: split(cohort, fold=0, folds=4, validation_share=0.25, seed=1)},
        files={0: (folder / "version-00.safetensors",)},
        objects_url=f"file:{folder}/objects",
        scratch="scratch",
        resume=False,
        checkpoint_every_s=0.0,
    )


def test_two_processes_fit_what_one_does_and_keep_its_checkpoints(tmp_path: Path, cohort: Cohort) -> None:
    job = job_of(tmp_path, cohort, config())
    told: list[int] = []

    files = fit_in_processes(job, cohort, folder=tmp_path, processes=2, tell=lambda done, *_: told.append(done))

    together = Member.of_files(files, number=0)
    compute = Compute(device=torch.device("cpu"))
    with Shards(job.files) as windows:
        (alone,) = fit_members(
            cohort, windows, job.sides, config=job.config, compute=compute, checkpoints=Nowhere(), tell=Nowhere().tell
        )
    assert together.facts.curves["loss"] == pytest.approx(alone.facts.curves["loss"], abs=1e-5)
    for name, tensor in alone.weights.items():
        assert torch.allclose(together.weights[name], tensor, atol=1e-4), name
    assert told == sorted(told)
    assert len(told) == 2 * len(range(0, together.facts.fitted, 5))
    assert [info.key for info in FileObjects(tmp_path / "objects").list()] == ["scratch/member-0"]
    assert facts_file(0) in files


def test_what_a_process_refused_is_refused_with_its_reason(tmp_path: Path) -> None:
    problem = {"where": "training.learning_rate", "what": "the loss became nan", "hint": ""}
    told = {"error": "InvalidInput", "message": "training.learning_rate: the loss became nan", "problems": [problem]}
    (tmp_path / "error-1.json").write_text(json.dumps(told))

    error = _error(tmp_path, 1, ["torchrun's own lines\n"])

    assert isinstance(error, InvalidInput)
    assert error.problems[0].where == "training.learning_rate"
    assert "torchrun's own lines" in str(_error(tmp_path / "elsewhere", 1, ["torchrun's own lines\n"]))


class Nowhere:
    """Keeps and tells nothing."""

    def load(self, name: str) -> bytes | None:
        return None

    def save(self, name: str, data: bytes) -> None:
        pass

    def tell(self, done: int, total: int, note: str = "") -> None:
        pass

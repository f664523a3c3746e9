"""Step `train` on several GPUs: one process each, started by torchrun, on what the step left in a folder.

    step train -> job.json, cohort.json -> torchrun -> rank 0 … n -> out/ -> step train

Each process sees its share of every batch, and all hold the same weights. The first one keeps checkpoints, tells how
far it is (JSON lines on its output) and writes the members.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, SpiraError
from spira.orchestration.process import error_from
from spira.training.core.cohort import Cohort, Split
from spira.training.core.config import TrainingConfig

_TOLD_LINES = 30


class Job(BaseModel):
    """What the processes are told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: TrainingConfig
    sides: dict[int, Split]
    """By the members' numbers."""
    files: dict[int, tuple[Path, ...]]
    """Of the features, by version."""
    objects_url: str
    scratch: str
    """Prefix of the checkpoints in the object store."""
    resume: bool
    checkpoint_every_s: float


def fit_in_processes(
    job: Job, cohort: Cohort, *, folder: Path, processes: int, tell: Callable[..., None]
) -> dict[str, bytes]:
    """The members' files by name; raises what a process raised, or SpiraError with the last lines they wrote."""
    (folder / "out").mkdir()
    (folder / "job.json").write_text(job.model_dump_json())
    (folder / "cohort.json").write_text(cohort.model_dump_json())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*torchrun, "-m", "spira.apps.steps.train_ranks", str(folder)]
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        for line in running.stdout or ():
            progress = _progress(line)
            if progress is None:
                lines.append(line)
            else:
                tell(progress["done"], progress["total"], progress["note"])
    if running.returncode != 0:
        raise _error(folder, running.returncode, lines)
    return {file.name: file.read_bytes() for file in sorted((folder / "out").iterdir())}


def main(arguments: Sequence[str]) -> int:
    """One process of the fit."""
    from spira.training.adapters.torch_ranks import TorchRanks
    from spira.training.core.compute import Compute

    folder = Path(arguments[0])
    job = Job.model_validate_json((folder / "job.json").read_bytes())
    try:
        with TorchRanks(Compute.of(job.config.training, index=_local_rank())) as ranks:
            _fit(job, folder, ranks)
    except SpiraError as error:
        problems = [one.as_dict() for one in error.problems] if isinstance(error, InvalidInput) else []
        told = {"error": type(error).__name__, "message": str(error), "problems": problems}
        (folder / f"error-{_local_rank()}.json").write_text(json.dumps(told))
        return 1
    return 0


def _fit(job: Job, folder: Path, ranks: Any) -> None:
    from spira.apps.steps.checkpoints import ScratchCheckpoints
    from spira.training.core.compute import Compute
    from spira.training.use_cases.shards import Shards
    from spira.training.use_cases.train import fit_members

    with Shards(job.files) as windows:
        members = fit_members(
            Cohort.model_validate_json((folder / "cohort.json").read_bytes()),
            windows,
            job.sides,
            config=job.config,
            compute=Compute.of(job.config.training, index=_local_rank()),
            checkpoints=ScratchCheckpoints(objects=open_objects(job.objects_url), scratch=job.scratch, tell=_tell),
            tell=_tell,
            resume=job.resume,
            checkpoint_every_s=job.checkpoint_every_s,
            ranks=ranks,
        )
    if ranks.rank == 0:
        for member in members:
            for name, data in member.files().items():
                (folder / "out" / name).write_bytes(data)


def _local_rank() -> int:
    import os

    return int(os.environ["LOCAL_RANK"])  # noqa: TID251 - torchrun tells each process its number so


def _tell(done: int, total: int, note: str = "") -> None:
    sys.stdout.write(json.dumps({"done": done, "total": total, "note": note}) + "\n")
    sys.stdout.flush()


def _progress(line: str) -> Mapping[str, Any] | None:
    if not line.startswith('{"done": '):
        return None
    found: dict[str, Any] = json.loads(line)
    return found


def _error(folder: Path, code: int, lines: Sequence[str]) -> SpiraError:
    for file in sorted(folder.glob("error-*.json")):
        return error_from(json.loads(file.read_text()))
    return SpiraError("\n".join([f"the processes of the fit ended with code {code}", *lines[-_TOLD_LINES:]]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

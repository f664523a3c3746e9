"""kill -9 at any batch: does a fit that is killed and resumed, again and again, give the bits of an unbroken one?

A toy data set passes the real steps `validate` and `features`; then step `train` runs in processes of its own that
are killed after a random batch, or while it is being saved, and started again with resume. What counts is the digest
of the step's outputs: weights, curves, scores of the validation people.

    python tests/chaos/train.py --kills 50        # what `make chaos-train` runs
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import soundfile

from spira.apps.steps.bodies import body_of
from spira.apps.training_inputs import outside_inputs
from spira.apps.training_settings import TrainingSettings, in_workspace
from spira.infra.objects.file_objects import FileObjects
from spira.infra.objects.port import Objects
from spira.orchestration.contract import Done, Request, find_done, run_step
from spira.orchestration.planning import plan
from spira.orchestration.workbench import Progress
from spira.training.core.config import TrainingConfig, read_preset

PEOPLE = 24
RATE = 16_000
RECIPES = {
    "robust": ("robust", "training.epochs=40", "training.batch_recordings=3", "network.members=2"),
    "spiraconv": (
        "smoke",
        "training.epochs=6",
        "training.batch_recordings=3",
        "training.mixup_alpha=0.3",
        "network.members=2",
    ),
}
INTERVALS_S = (0.0, 0.02, 0.2)
"""Between two checkpoints: 0 saves after every batch, so that many kills fall into a save."""
_CHAINS = 5
"""Kills of one fit, before it is left to end."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill, and where the next process went on."""

    recipe: str
    interval_s: float
    killed_at: int
    resumed_at: int
    batch_s: float

    @property
    def lost(self) -> int:
        return self.killed_at - self.resumed_at

    @property
    def lost_s(self) -> float:
        return self.lost * self.batch_s


@dataclass(frozen=True, kw_only=True)
class Bed:
    """A store in which everything before `train` is done."""

    request: Request
    settings: TrainingSettings
    objects: Objects

    def train(self, objects: Objects, *, interval_s: float, line: TextIO, resume: bool) -> Done:
        """The step itself; every batch is told on `line` before the next begins."""
        settings = self.settings.model_copy(update={"checkpoint_every_s": interval_s})

        def tell(progress: Progress) -> None:
            line.write(f"{progress.done}\n")
            line.flush()

        return run_step(self.request, body_of("train", settings), objects=objects, tell=tell, resume=resume)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = chaos(Path(folder), kills=given.kills, seed=given.seed)
    sys.stdout.write(json.dumps(found) + "\n" if given.json else _table(found))
    return 0 if found["unequal"] == 0 and len(found["kills"]) >= given.kills else 1


def chaos(folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Fits that are killed until there were `kills`; each is compared with the unbroken one."""
    chance = random.Random(seed)
    beds = {name: prepare(folder / name, words) for name, words in RECIPES.items()}
    unbroken = {name: _unbroken(bed) for name, bed in beds.items()}
    found: list[Kill] = []
    fits = unequal = 0
    while len(found) < kills:
        name = chance.choice(sorted(beds))
        interval_s, expected = chance.choice(INTERVALS_S), unbroken[name]
        chain = min(_CHAINS, kills - len(found))
        killed, digest = _chain(beds[name], expected, chance=chance, kills=chain, interval_s=interval_s, recipe=name)
        found += killed
        fits += 1
        unequal += digest != expected.digest
    return {
        "seed": seed,
        "fits": fits,
        "unequal": unequal,
        "batches": {name: one.batches for name, one in unbroken.items()},
        "kills": [{**one.__dict__, "lost": one.lost, "lost_s": one.lost_s} for one in found],
    }


@dataclass(frozen=True, kw_only=True)
class Unbroken:
    digest: str
    batches: int
    seconds: float
    """From the first batch to the last."""


class _Stamped(io.StringIO):
    """Lines, and when the first and the last came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def write(self, text: str) -> int:
        self.times.append(time.monotonic())
        return super().write(text)


def prepare(folder: Path, words: Sequence[str]) -> Bed:
    """Do `validate` and `features` for a toy data set."""
    folder.mkdir(parents=True)
    preset, *overrides = words
    config = read_preset(preset, overrides=[*overrides, "training.patience=null", "dataset.task=sustained"])
    settings = in_workspace(folder / "workspace")
    objects = FileObjects(folder / "workspace" / "objects")
    outside = outside_inputs(settings, config.dataset, manifest=str(_data_set(folder)), noise=None)
    done: dict[str, Done] = {}
    for planned in plan(folds=4, cross_validate=False):
        request = Request(
            step=planned.step,
            config=_json(config),
            parameters=planned.parameters,
            inputs={label: done[label].manifest_key for label in planned.after},
            outside={name: one for name, one in outside.items() if name in planned.step.outside},
        )
        if planned.step.name == "train":
            return Bed(request=request, settings=settings, objects=objects)
        done[planned.label] = run_step(request, body_of(planned.step.name, settings), objects=objects)
    raise AssertionError("there is a step `train`")


def _unbroken(bed: Bed) -> Unbroken:
    lines = _Stamped()
    done = bed.train(bed.objects, interval_s=30.0, line=lines, resume=False)
    bed.objects.delete(done.manifest_key)
    batches, seconds = len(lines.times), lines.times[-1] - lines.times[0]
    return Unbroken(digest=done.manifest.digest, batches=batches, seconds=seconds)


def _chain(
    bed: Bed, expected: Unbroken, *, chance: random.Random, kills: int, interval_s: float, recipe: str
) -> tuple[list[Kill], str]:
    """One fit, killed some times and then left to end; gives the kills that fell within it and its digest."""
    found: list[Kill] = []
    killed_at: int | None = None
    for resume in range(kills + 1):
        last = resume == kills
        after = None if last else chance.randrange(1, max(2, (expected.batches - (killed_at or 0)) // 2))
        told = _one_process(bed, interval_s=interval_s, resume=resume > 0, kill_after=after, delay_s=chance.random())
        if killed_at is not None and told:
            found.append(
                Kill(
                    recipe=recipe,
                    interval_s=interval_s,
                    killed_at=killed_at,
                    resumed_at=told[0] - 1,
                    batch_s=expected.seconds / expected.batches,
                )
            )
        killed_at = told[-1] if told else None
    done = find_done(bed.request, objects=bed.objects)
    if done is None:
        return found, "the step's process ended without a manifest"
    bed.objects.delete(done.manifest_key)
    return found, done.manifest.digest


def _one_process(bed: Bed, *, interval_s: float, resume: bool, kill_after: int | None, delay_s: float) -> list[int]:
    """The step in a process; SIGKILL follows its `kill_after`-th line by a part of a batch. Gives what it told."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        with os.fdopen(write_end, "w") as line:
            try:
                bed.train(bed.objects, interval_s=interval_s, line=line, resume=resume)
            finally:
                line.flush()
                os._exit(0)
    os.close(write_end)
    told = []
    with os.fdopen(read_end) as lines:
        for word in lines:
            told.append(int(word))
            if len(told) == kill_after:
                time.sleep(0.004 * delay_s)
                os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told


def _json(config: TrainingConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _data_set(folder: Path) -> Path:
    """Hummed tones of 1.2 s; those of patients tremble."""
    rows = ["path,participant_id,label"]
    for n in range(PEOPLE):
        chance = np.random.default_rng(n)
        times = np.arange(int(1.2 * RATE)) / RATE
        phase = 2 * np.pi * chance.uniform(100, 140) * times + (n % 2) * 2.0 * np.sin(2 * np.pi * 9 * times)
        tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 8)) + 0.003 * chance.standard_normal(len(times))
        soundfile.write(folder / f"voice{n:02d}.wav", tone, RATE, subtype="PCM_16")
        rows.append(f"voice{n:02d}.wav,person{n:02d},{'patient' if n % 2 else 'control'}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def _table(found: dict[str, Any]) -> str:
    lines = [
        f"seed {found['seed']}",
        f"{'recipe':<12}{'checkpoints':>12}{'killed at':>11}{'went on at':>12}{'lost':>16}",
    ]
    for one in found["kills"]:
        every = "every batch" if one["interval_s"] == 0 else f"{one['interval_s']:g} s"
        lost = f"{one['lost']} = {one['lost_s']:.2f} s"
        at = f"{one['killed_at']}/{found['batches'][one['recipe']]}"
        lines.append(f"{one['recipe']:<12}{every:>12}{at:>11}{one['resumed_at']:>12}{lost:>16}")
    equal = found["fits"] - found["unequal"]
    lines.append(f"{len(found['kills'])} kills in {found['fits']} fits; {equal} of them bit-equal to the unbroken fit")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

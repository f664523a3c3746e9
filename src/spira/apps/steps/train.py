"""Step `train`: the members of one fold's ensemble, or a part of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from spira.apps.steps.bench import cohort_of, config_of, labels_of, teller
from spira.apps.training_settings import TrainingSettings
from spira.infra.logs import get_logger
from spira.kernel.errors import NotFound
from spira.kernel.ids import sha256_hex
from spira.orchestration.contract import Workbench, digest_of
from spira.training.core.cohort import held_out, split

_DIGEST = 64
log = get_logger()


def train(bench: Workbench, settings: TrainingSettings) -> None:
    from spira.training.core.compute import Compute, repeatable
    from spira.training.core.member import member_numbers
    from spira.training.use_cases.shards import Shards
    from spira.training.use_cases.train import fit_members

    config, cohort = config_of(bench), cohort_of(bench)
    compute = Compute.of(config.training)
    fold = held_out(cohort, bench.parameters["fold"], folds=config.split.folds, kind=config.split.kind)
    sides = {
        number: split(
            cohort,
            fold=fold,
            folds=config.split.folds,
            validation_share=config.split.validation_share,
            seed=config.seed,
            kind=config.split.kind,
            test_share=config.split.test_share,
            member=number,
        )
        for number in member_numbers(
            members=config.network.members, part=bench.parameters["part"], parts=bench.parameters["parts"]
        )
    }
    with Shards(_files(bench)) as windows:
        members = fit_members(
            cohort,
            windows,
            sides,
            config=config,
            compute=compute,
            checkpoints=_BenchCheckpoints(bench=bench),
            tell=teller(bench),
            resume=bench.resume,
            checkpoint_every_s=settings.checkpoint_every_s,
        )
    for member in members:
        for name, data in member.files().items():
            bench.write(name, data)
    with repeatable(config.training, compute):
        bench.write_json("fit.json", {"held_out_fold": fold, "trained_on": _trained_on(bench), **compute.facts()})


@dataclass(frozen=True, kw_only=True)
class _BenchCheckpoints:
    """The port `Checkpoints` below the step's scratch prefix, where another configuration's are never met.

    A checkpoint begins with the digest of the rest: one that was damaged is told and taken for none.
    """

    bench: Workbench

    def load(self, name: str) -> bytes | None:
        try:
            stored = self.bench.objects.get(f"{self.bench.scratch}/{name}")
        except NotFound:
            return None
        digest, data = stored[:_DIGEST], stored[_DIGEST:]
        if sha256_hex(data).encode() == digest:
            return data
        log.warning("checkpoint-damaged", name=name, effect="this member starts anew")
        teller(self.bench)(0, 1, f"the checkpoint of {name} is damaged: it starts anew")
        return None

    def save(self, name: str, data: bytes) -> None:
        self.bench.objects.put(f"{self.bench.scratch}/{name}", sha256_hex(data).encode() + data)


def _files(bench: Workbench) -> dict[int, list[Path]]:
    """Files of the features by version."""
    from spira.training.use_cases.features import version_of

    files = defaultdict(list)
    for label in labels_of(bench, "features"):
        for name in sorted(bench.inputs[label].outputs):
            files[version_of(name)].append(bench.fetch(label, name))
    return files


def _trained_on(bench: Workbench) -> dict[str, str]:
    """Digests of the cohort and of its features, in however many shards they came."""
    shards = [bench.inputs[label].digest for label in labels_of(bench, "features")]
    return {
        "cohort": bench.inputs["validate"].digest_over(("cohort.json",)),
        "features": shards[0] if len(shards) == 1 else digest_of(shards),
    }

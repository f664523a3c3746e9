"""A real, tiny fit on made-up audio."""

from __future__ import annotations

import io
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import NotFound
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, Recording, Split, split
from spira.training.core.config import TrainingConfig, read_preset
from spira.training.core.figures import Scored, auc
from spira.training.ports import Checkpoints
from spira.training.use_cases.evaluate import score
from spira.training.use_cases.features import FeatureRequest, assemble, compute_shards, version_of
from spira.training.use_cases.train import Fitted, Versions, train
from spira.voice.decode import SAMPLE_RATE
from spira.voice.score import ScreeningModel

OVERRIDES = ("training.epochs=5", "training.patience=null", "network.members=2", "features.n_mfcc=8")


class MadeUp:
    """Recordings that are computed when read: patients' voices tremble."""

    def read(self, location: str) -> bytes:
        seed = int(location)
        random = np.random.default_rng(seed)
        times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
        phase = 2 * np.pi * random.uniform(100, 140) * times + (seed % 2) * 2.0 * np.sin(2 * np.pi * 9 * times)
        tone = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 8)) + 0.003 * random.standard_normal(len(times))
        return wav(tone.astype(np.float32))


def wav(samples: np.typing.NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()


class StoredCheckpoints:
    """Checkpoints in a folder; may end the process after some saves."""

    def __init__(self, root: Path, *, killed_after: int = -1) -> None:
        self.objects = FileObjects(root)
        self.saves = 0
        self.killed_after = killed_after

    def load(self, name: str) -> bytes | None:
        try:
            return self.objects.get(name)
        except NotFound:
            return None

    def save(self, name: str, data: bytes) -> None:
        self.objects.put(name, data)
        self.saves += 1
        if self.saves == self.killed_after:
            os.kill(os.getpid(), signal.SIGKILL)


def quiet(done: int, total: int, note: str = "") -> None:
    """Hears nothing."""


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(
        recordings=tuple(
            Recording(
                row=n + 2,
                location=str(n),
                sha256=sha256_hex(MadeUp().read(str(n))),
                duration_s=1.0,
                participant=f"p-{n:03d}",
                label=1 if n % 2 else 0,
                fold=None,
                matched_pair=None,
                age=None,
                facets={},
            )
            for n in range(32)
        )
    )


@pytest.fixture(scope="module")
def config() -> TrainingConfig:
    return read_preset("smoke", overrides=OVERRIDES)


@pytest.fixture(scope="module")
def shards(cohort: Cohort, config: TrainingConfig) -> dict[str, bytes]:
    return dict(compute_shards(cohort, request_of(config), recordings=MadeUp(), tell=quiet))


@pytest.fixture(scope="module")
def versions(shards: dict[str, bytes]) -> Versions:
    return {version_of(name): assemble([data]) for name, data in shards.items()}


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a fit is given."""

    cohort: Cohort
    versions: Versions
    sides: Split
    config: TrainingConfig

    def fit(self, checkpoints: Checkpoints, *, config: TrainingConfig | None = None, resume: bool = False) -> Fitted:
        return train(
            self.cohort,
            self.versions,
            self.sides,
            config=config or self.config,
            trained_on={"cohort": "0" * 64},
            code_version="test",
            checkpoints=checkpoints,
            tell=quiet,
            resume=resume,
        )

    def score(self, model: ScreeningModel, *, backwards: bool = False) -> list[Scored]:
        indexes = self.sides.test[::-1] if backwards else self.sides.test
        return score(model, self.cohort, indexes, recordings=MadeUp(), tell=quiet)


@pytest.fixture(scope="module")
def material(cohort: Cohort, versions: Versions, config: TrainingConfig) -> Material:
    sides = split(cohort, fold=0, folds=4, validation_share=0.25, seed=1)
    return Material(cohort=cohort, versions=versions, sides=sides, config=config)


@pytest.fixture(scope="module")
def unbroken(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return material.fit(StoredCheckpoints(tmp_path_factory.mktemp("unbroken")))


def request_of(config: TrainingConfig) -> FeatureRequest:
    return FeatureRequest(
        windows=config.windows, features=config.features, augmentation=config.augmentation, seed=config.seed
    )


def weights(fitted: Fitted, folder: Path) -> bytes:
    fitted.model.save(folder)
    return (folder / "weights.safetensors").read_bytes()


def test_the_loss_falls_and_the_classes_are_told_apart(material: Material, unbroken: Fitted) -> None:
    scored = material.score(unbroken.model)

    assert auc([one.score for one in scored], [one.label for one in scored]).value > 0.9
    for member in (0, 1):
        losses = unbroken.curves[f"member{member}.loss"]
        assert losses[-1] < losses[0]


def test_a_fit_that_is_killed_and_resumed_equals_an_unbroken_one(
    tmp_path: Path, material: Material, unbroken: Fitted
) -> None:
    child = os.fork()
    if child == 0:
        material.fit(StoredCheckpoints(tmp_path / "c", killed_after=7))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    checkpoints = StoredCheckpoints(tmp_path / "c")

    resumed = material.fit(checkpoints, resume=True)

    assert os.WTERMSIG(status) == signal.SIGKILL
    assert checkpoints.saves == 3
    assert weights(resumed, tmp_path / "a") == weights(unbroken, tmp_path / "b")
    assert (resumed.curves, resumed.model.settings) == (unbroken.curves, unbroken.model.settings)


def test_without_resume_a_checkpoint_is_not_read(tmp_path: Path, material: Material) -> None:
    short = read_preset("smoke", overrides=[*OVERRIDES, "training.epochs=1"])
    checkpoints = StoredCheckpoints(tmp_path)
    material.fit(checkpoints, config=short)

    material.fit(checkpoints, config=short)

    assert checkpoints.saves == 4


def test_a_saved_and_loaded_model_scores_the_same_to_the_bit(
    tmp_path: Path, material: Material, unbroken: Fitted
) -> None:
    unbroken.model.save(tmp_path)

    loaded = ScreeningModel.load(tmp_path)

    assert material.score(loaded, backwards=True)[::-1] == material.score(unbroken.model)


def test_features_depend_neither_on_threads_nor_on_the_order_of_rows(
    cohort: Cohort, config: TrainingConfig, shards: dict[str, bytes]
) -> None:
    again = dict(compute_shards(cohort, request_of(config), recordings=MadeUp(), tell=quiet, threads=1))
    turned = Cohort(recordings=cohort.recordings[::-1])
    backwards = dict(compute_shards(turned, request_of(config), recordings=MadeUp(), tell=quiet))

    assert again == shards
    for name, data in backwards.items():
        ours, theirs = assemble([shards[name]]), assemble([data])
        assert ours["values"].flip(0).equal(theirs["values"])


def test_the_clean_version_has_no_noise_and_the_others_have(versions: Versions, cohort: Cohort) -> None:
    assert set(versions) == {0, 1}
    assert not versions[0]["values"].equal(versions[1]["values"])
    assert versions[0]["recording"].tolist() == list(range(len(cohort.recordings)))

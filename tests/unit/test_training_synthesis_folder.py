"""A synthetic cohort on disk: whole or absent, reused when it is the same, loud about what it is not."""

from __future__ import annotations

import csv
import json
import wave
from collections import defaultdict
from pathlib import Path

import pytest

from spira.infra.folders import appearing_whole
from spira.kernel.errors import Conflict
from spira.training.core.manifest import MANIFEST_COLUMNS, NOISE_COLUMNS
from spira.training.core.synthesis.cohort import CohortParameters
from spira.training.use_cases.synthesize import Cohort, synthesize

SMALL = CohortParameters(participants=10, tasks=("sustained",), noise_clips=3, seed=5)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return synthesize(SMALL, tmp_path_factory.mktemp("cohorts") / "small")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_manifest_names_every_recording_in_columns_of_ours(cohort: Cohort) -> None:
    found = rows(cohort.manifest)

    assert tuple(found[0]) == MANIFEST_COLUMNS
    assert {row["path"] for row in found} == {
        str(file.relative_to(cohort.folder)) for file in (cohort.folder / "recordings").iterdir()
    }
    assert {row["label_source"] for row in found} == {"synthetic"}
    assert len(found) == cohort.recordings == 10


def test_recordings_are_mono_16_bit_at_16_khz(cohort: Cohort) -> None:
    for file in cohort.folder.rglob("*.wav"):
        with wave.open(str(file)) as wav:
            assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 16_000)


def test_no_participant_is_in_two_folds(cohort: Cohort) -> None:
    folds = defaultdict(set)
    for row in rows(cohort.manifest):
        folds[row["participant_id"]].add(row["fold"])

    assert all(len(found) == 1 for found in folds.values())
    assert set.union(*folds.values()) == {"0", "1", "2", "3", "4"}


def test_names_and_the_order_of_rows_tell_nothing_of_the_label(cohort: Cohort) -> None:
    found = rows(cohort.manifest)

    assert [row["path"] for row in found] == sorted(row["path"] for row in found)
    assert not any(word in row["path"] for row in found for word in ("control", "patient", row["cause"] or "patient"))


def test_the_noise_manifest_names_clips_with_kind_and_group(cohort: Cohort) -> None:
    found = rows(cohort.noise_manifest)

    assert tuple(found[0]) == NOISE_COLUMNS
    assert all((cohort.noise_manifest.parent / row["path"]).is_file() for row in found)


def test_the_folder_says_loudly_that_it_is_synthetic(cohort: Cohort) -> None:
    text = (cohort.folder / "README.txt").read_text(encoding="utf-8")

    assert text.startswith("SYNTHETIC")
    assert "proves nothing clinical" in text


def test_the_same_parameters_give_the_same_bytes_elsewhere(cohort: Cohort, tmp_path: Path) -> None:
    again = synthesize(SMALL, tmp_path / "again")

    assert contents(again.folder) == contents(cohort.folder)


def test_processes_do_not_change_a_byte(tmp_path: Path) -> None:
    parameters = CohortParameters(participants=24, tasks=("sustained",), noise_clips=0, seed=5)

    alone, two = (synthesize(parameters, tmp_path / str(n), processes=n) for n in (1, 2))

    assert contents(alone.folder) == contents(two.folder)


def test_a_whole_cohort_with_the_same_parameters_is_reused(cohort: Cohort) -> None:
    before = contents(cohort.folder)

    again = synthesize(SMALL, cohort.folder)

    assert again.reused
    assert (again.participants, again.recordings, again.noise_clips) == (10, 10, 3)
    assert contents(cohort.folder) == before


def test_a_damaged_cohort_is_not_reused(tmp_path: Path) -> None:
    made = synthesize(SMALL, tmp_path / "cohort")
    next((made.folder / "recordings").iterdir()).unlink()

    with pytest.raises(Conflict, match="--replace"):
        synthesize(SMALL, made.folder)
    mended = synthesize(SMALL, made.folder, replace=True)

    assert not mended.reused
    assert len(list((made.folder / "recordings").iterdir())) == 10


def test_another_cohort_is_not_overwritten_unasked(cohort: Cohort) -> None:
    other = CohortParameters(participants=10, tasks=("sustained",), noise_clips=3, seed=6)

    with pytest.raises(Conflict):
        synthesize(other, cohort.folder)

    assert json.loads((cohort.folder / "cohort.json").read_text())["parameters"]["seed"] == 5


def test_an_interrupted_cohort_leaves_nothing(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(SMALL, tmp_path / "cohort", advance=interrupt)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_fails_to_fill_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").write_text("old")

    def fill() -> None:
        with appearing_whole(target, replace=True) as folder:
            (folder / "new").write_text("new")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fill()

    assert contents(tmp_path) == {"data/old": b"old"}


def test_a_folder_that_was_filled_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").write_text("old")

    with appearing_whole(target, replace=True) as folder:
        (folder / "new").write_text("new")

    assert contents(tmp_path) == {"data/new": b"new"}


def test_a_folder_made_by_somebody_else_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "data"

    def race() -> None:
        with appearing_whole(target) as folder:
            (folder / "ours").write_text("ours")
            target.mkdir()
            (target / "theirs").write_text("theirs")

    with pytest.raises(Conflict, match="somebody else"):
        race()

    assert contents(tmp_path) == {"data/theirs": b"theirs"}

"""Write a synthetic cohort to a folder: recordings, manifests, and a loud note about what it is not."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import wave
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from spira.infra.folders import appearing_whole
from spira.kernel.errors import Conflict
from spira.training.core.manifest import MANIFEST_COLUMNS, NOISE_COLUMNS, as_csv
from spira.training.core.synthesis.cohort import CohortParameters, Pcm16, noise_clips, recordings_of
from spira.training.core.synthesis.glottis import SAMPLE_RATE
from spira.training.core.synthesis.people import Person, draw_people

WARNING = (
    "SYNTHETIC: every voice in this cohort is computed. It shows that the software runs; it proves nothing clinical, "
    "and a model trained on it must never be used on a person."
)
_DESCRIPTION = "cohort.json"
_WORTH_PROCESSES = 24  # people; below, starting processes takes longer than the work


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """A finished cohort on disk."""

    folder: Path
    participants: int
    recordings: int
    noise_clips: int
    reused: bool

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.csv"

    @property
    def noise_manifest(self) -> Path:
        return self.folder / "noise" / "manifest.csv"


def synthesize(
    parameters: CohortParameters,
    out: Path,
    *,
    processes: int = 1,
    replace: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Cohort:
    """Make the cohort of `parameters` in `out`, or reuse it when it is there, whole and made from the same ones.

    `advance` is called once per participant. The result does not depend on `processes`. Raises Conflict when `out`
    holds something else (unless `replace`); nothing half-written is ever seen at `out`.
    """
    found = _existing(parameters, out)
    if found is not None:
        return found
    if not replace and out.is_dir() and any(out.iterdir()):
        raise Conflict(f"{out} holds something else than this cohort; choose another folder or pass --replace")
    people = draw_people(parameters.participants, seed=parameters.seed)
    with appearing_whole(out, replace=replace) as folder:
        rows = _write_recordings(people, parameters, folder, processes=processes, advance=advance)
        noises = _write_noises(parameters, folder / "noise")
        (folder / "manifest.csv").write_bytes(as_csv(MANIFEST_COLUMNS, rows))
        (folder / "README.txt").write_text(_readme(parameters), encoding="utf-8")
        described = {"parameters": parameters.as_dict(), "files": _digests(folder)}
        (folder / _DESCRIPTION).write_text(json.dumps(described, indent=1), encoding="utf-8")
    return Cohort(folder=out, participants=len(people), recordings=len(rows), noise_clips=len(noises), reused=False)


def _existing(parameters: CohortParameters, out: Path) -> Cohort | None:
    """The cohort at `out`, if it has these parameters and every file still has its size and manifest its digest."""
    try:
        described = json.loads((out / _DESCRIPTION).read_text(encoding="utf-8"))
        if described["parameters"] != json.loads(json.dumps(parameters.as_dict())):
            return None
        if _digests(out) != described["files"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    names = [name for name in described["files"] if name.endswith(".wav")]
    noises = sum(name.startswith("noise/") for name in names)
    return Cohort(
        folder=out,
        participants=parameters.participants,
        recordings=len(names) - noises,
        noise_clips=noises,
        reused=True,
    )


def _write_recordings(
    people: Sequence[Person],
    parameters: CohortParameters,
    folder: Path,
    *,
    processes: int,
    advance: Callable[[], None],
) -> list[dict[str, str]]:
    (folder / "recordings").mkdir()
    rows: list[dict[str, str]] = []
    for written in _each(partial(_write_person, parameters=parameters, folder=folder), people, processes=processes):
        rows.extend(written)
        advance()
    return sorted(rows, key=lambda row: row["path"])  # by pseudonym: the order of the rows tells nothing


def _each(
    work: Callable[[Person], list[dict[str, str]]], people: Sequence[Person], *, processes: int
) -> Iterator[list[dict[str, str]]]:
    if processes < 2 or len(people) < _WORTH_PROCESSES:
        yield from map(work, people)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, people, chunksize=2)


def _write_person(person: Person, *, parameters: CohortParameters, folder: Path) -> list[dict[str, str]]:
    rows = []
    for recording in recordings_of(person, parameters):
        path = f"recordings/{person.participant_id}-{recording.task}.wav"
        _write_wav(folder / path, recording.samples)
        row = {
            "path": path,
            "participant_id": person.participant_id,
            "label": person.label,
            "recording_id": recording.recording_id,
            "task": recording.task,
            "sex": person.sex,
            "age": str(person.age),
            "site": person.site,
            "device": recording.device,
            "mask": person.mask,
            "cause": person.cause,
            "collected_at": person.collected_at,
            "label_source": "synthetic",
            "fold": str(person.fold),
            "matched_pair": "" if person.matched_pair is None else str(person.matched_pair),
        }
        rows.append(row)
    return rows


def _write_noises(parameters: CohortParameters, folder: Path) -> list[dict[str, str]]:
    folder.mkdir()
    rows = []
    for clip in noise_clips(parameters):
        _write_wav(folder / f"{clip.name}.wav", clip.samples)
        rows.append({"path": f"{clip.name}.wav", "kind": clip.kind, "group": clip.group})
    (folder / "manifest.csv").write_bytes(as_csv(NOISE_COLUMNS, rows))
    return rows


def _write_wav(path: Path, samples: Pcm16) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.ascontiguousarray(samples, dtype="<i2").tobytes())


def _digests(folder: Path) -> dict[str, str]:
    """What tells a whole cohort from a damaged one: recordings by size, small text files by SHA-256."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.suffix == ".wav":
            found[name] = str(file.stat().st_size)
        elif file.suffix in {".csv", ".txt"}:
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def _readme(parameters: CohortParameters) -> str:
    return f"""{WARNING}

{parameters.participants} made-up participants, half "patients", seed {parameters.seed}. Their voices are glottal
pulses sent through formant filters. "Patients" differ on average as published for SPIRA: more and longer pauses, higher
and less steady pitch, more jitter, shimmer and breath; the classes overlap. Age, sex, site, phone, mask, level and ward
noise were drawn without looking at the label. The column label_source says "synthetic" in every row.

manifest.csv         recordings (path is relative to this folder)
noise/manifest.csv   ward noise; clips of one group belong to one room
cohort.json          the parameters, and what a whole cohort holds
"""

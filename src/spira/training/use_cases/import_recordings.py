"""Bring recordings and their table into a folder of ours: pseudonyms, names that tell nothing, a manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from spira.infra.folders import appearing_whole
from spira.kernel.errors import Conflict, InvalidInput, Problem, Unavailable
from spira.training.core.dataset import Table
from spira.training.core.foreign import ForeignRow, Layout, left_out, noise_paths, read_foreign, relations
from spira.training.core.manifest import MANIFEST_COLUMNS, NOISE_COLUMNS, as_csv
from spira.training.ports import Pseudonym

_AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """What to import: a folder of recordings, its tables, and how their columns are called."""

    folder: Path
    tables: Sequence[Table]
    noise: Table | None = None
    layout: Layout = "columns"
    mapping: Mapping[str, str] = field(default_factory=dict)
    noise_mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came in; `left_out` are columns of theirs that don't come along."""

    manifest: Path
    noise_manifest: Path | None
    participants: int
    recordings: int
    noise_clips: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A file and the SHA-256 of its bytes, which is its name from here on: the old one may name a person."""

    file: Path
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.sha256[:32]}{self.file.suffix.lower()}"


@dataclass(frozen=True, kw_only=True)
class _Noise:
    found: _Found
    kind: str
    group: str


def import_recordings(
    source: Source,
    out: Path,
    *,
    pseudonym: Pseudonym,
    replace: bool = False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Imported:
    """Copy the recordings, as they are, to `out` and write `manifest.csv` (and `noise/manifest.csv`).

    Raises InvalidInput with every problem of every row at once, before anything is written; Conflict when `out` holds
    something (unless `replace`). `out` appears whole or not at all. Files of one participant get one pseudonym;
    original names and ids are written nowhere.
    """
    if not replace and out.is_dir() and any(out.iterdir()):
        raise Conflict(f"{out} holds something; choose another folder or pass --replace")
    rows, problems = _rows(source)
    clips = noise_paths(source.noise, source.noise_mapping) if source.noise is not None else []
    total = len(rows) + len(clips)
    recordings = []
    for done, row in enumerate(rows, start=1):
        recordings.append(_find(source.folder, row.path, row.problem, problems))
        advance(done, total)
    noises = list(_noises(source, clips, problems, lambda done: advance(len(rows) + done, total)))
    pairs = [(row, found) for row, found in zip(rows, recordings, strict=True) if found is not None]
    problems += _same_audio(pairs)
    if problems:
        raise InvalidInput.of(problems)
    with appearing_whole(out, replace=replace) as folder:
        _write_recordings(pairs, folder, pseudonym)
        _write_noises(noises, folder)
    return Imported(
        manifest=out / "manifest.csv",
        noise_manifest=out / "noise" / "manifest.csv" if noises else None,
        participants=len({row.participant for row, _ in pairs}),
        recordings=len(pairs),
        noise_clips=len(noises),
        left_out=_left_out(source),
    )


def _rows(source: Source) -> tuple[list[ForeignRow], list[Problem]]:
    rows: list[ForeignRow] = []
    problems: list[Problem] = []
    for table in source.tables:
        understood, found = read_foreign(table, layout=source.layout, mapping=source.mapping)
        if not table.rows:
            found.append(Problem(where=table.name, what="has no rows"))
        rows += understood
        problems += found
    return rows, problems + relations(rows)


def _left_out(source: Source) -> tuple[str, ...]:
    columns = (left_out(table, layout=source.layout, mapping=source.mapping) for table in source.tables)
    return tuple(sorted({column for table in columns for column in table}))


def _noises(
    source: Source,
    clips: Sequence[tuple[int, Mapping[str, str]]],
    problems: list[Problem],
    heard: Callable[[int], None],
) -> Iterable[_Noise]:
    """Each clip once, from the folder or from beside its table; a clip of no known group is a group of its own."""
    if source.noise is None:
        return
    name, beside = source.noise.name, Path(source.noise.base or source.folder)
    seen: set[str] = set()
    for done, (line, clip) in enumerate(clips, start=1):

        def problem(where: str, what: str, hint: str = "", *, line: int = line) -> Problem:
            return Problem(where=f"{name}, row {line}, {where}", what=what, hint=hint)

        near = _below(source.folder, clip["path"]) is None and _below(beside, clip["path"]) is not None
        found = _find(beside if near else source.folder, clip["path"], problem, problems)
        heard(done)
        if found is None or found.sha256 in seen:
            continue
        seen.add(found.sha256)
        group = hashlib.sha256(clip["group"].encode()).hexdigest()[:12] if clip.get("group") else found.sha256[:12]
        yield _Noise(found=found, kind=clip.get("kind", "") or "ambient", group=group)


def _find(
    folder: Path, path: str, problem: Callable[[str, str, str], Problem], problems: list[Problem]
) -> _Found | None:
    """The file of a row, never outside of `folder`; what is wrong goes to `problems`."""
    if not path:
        problems.append(problem("path", "is empty", ""))
        return None
    file = _below(folder, path)
    if file is None:
        problems.append(problem("path", f"{_short(path)} is not in {folder}", "paths start at the folder"))
    elif file.suffix.lower() not in _AUDIO:
        problems.append(problem("path", f"{_short(path)} is no recording by its name", ", ".join(sorted(_AUDIO))))
    elif file.stat().st_size == 0:
        problems.append(problem("path", f"{_short(path)} is empty", ""))
    else:
        return _Found(file=file, sha256=_sha256(file))
    return None


def _below(folder: Path, path: str) -> Path | None:
    """`path` under `folder`; leading folders of the machine where a table was written are dropped until it fits."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    root = folder.resolve()
    if "\0" in path or ".." in parts:
        return None
    for start in range(len(parts)):
        file = root.joinpath(*parts[start:]) if parts[start] != "/" else None
        if file is not None and file.is_file():
            return file if file.resolve().is_relative_to(root) else None
    return None


def _same_audio(pairs: Iterable[tuple[ForeignRow, _Found]]) -> list[Problem]:
    """Copies under two names; rows that name one file twice are told by their paths already."""
    same: dict[str, list[tuple[ForeignRow, _Found]]] = defaultdict(list)
    for row, found in pairs:
        if all(found.file != other.file for _, other in same[found.sha256]):
            same[found.sha256].append((row, found))
    return [
        row.problem("path", f"is the same audio as in {group[0][0].table}, row {group[0][0].line}", "keep one of them")
        for group in same.values()
        for row, _ in group[1:]
    ]


def _write_recordings(pairs: Sequence[tuple[ForeignRow, _Found]], folder: Path, pseudonym: Pseudonym) -> None:
    """In the order of the new names, which tells nothing; the old order often tells the class."""
    (folder / "recordings").mkdir()
    rows = []
    for row, found in sorted(pairs, key=lambda pair: pair[1].sha256):
        path = f"recordings/{found.name}"
        _copy(found, folder / path)
        who = {"participant_id": pseudonym(row.participant), "recording_id": f"r-{found.sha256[:24]}"}
        rows.append({**row.values, "path": path, "label": row.label, **who})
    (folder / "manifest.csv").write_bytes(as_csv(MANIFEST_COLUMNS, rows))


def _write_noises(noises: Sequence[_Noise], folder: Path) -> None:
    if not noises:
        return
    (folder / "noise").mkdir()
    for noise in noises:
        _copy(noise.found, folder / "noise" / noise.found.name)
    rows = [{"path": noise.found.name, "kind": noise.kind, "group": noise.group} for noise in noises]
    (folder / "noise" / "manifest.csv").write_bytes(as_csv(NOISE_COLUMNS, rows))


def _copy(found: _Found, target: Path) -> None:
    """Bytes only: times and rights of the original stay behind."""
    shutil.copyfile(found.file, target)
    if _sha256(target) != found.sha256:
        raise Unavailable(f"{found.file} changed while it was imported; run the import again")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _short(path: str) -> str:
    return repr(path if len(path) <= 120 else f"…{path[-119:]}")

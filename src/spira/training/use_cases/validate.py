"""The door of training: reads every recording once, tells all problems at once, lets pseudonyms in and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, NoiseClip, Recording
from spira.training.core.dataset import (
    CLASS_NAMES,
    DatasetConfig,
    Row,
    RowProblem,
    Table,
    read_noise,
    read_paths,
    read_rows,
)
from spira.training.ports import Pseudonym, Recordings, Tell
from spira.voice.decode import SAMPLE_RATE, decode
from spira.voice.quality import QualityRules, measure
from spira.voice.quality import problems as quality_problems

_THREADS = 4
_NOISE_RULES = QualityRules(
    min_duration_s=0.1, max_duration_s=3600.0, max_zero_ratio=0.999, min_speech_s=0.0, min_periodicity=-1.0
)
"""A recording of noise needs no voice, only some sound."""


@dataclass(frozen=True, kw_only=True)
class Validated:
    """The usable cohort, everything that was wrong, and which rows were dropped for it."""

    cohort: Cohort
    problems: tuple[Problem, ...]
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Lines by manifest."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Clip:
    """What was heard in one file, or why it can't be used."""

    sha256: str = ""
    samples_sha256: str = ""
    duration_s: float = 0.0
    problems: tuple[Problem, ...] = ()


def validate(
    table: Table,
    noise: Table | None,
    *,
    config: DatasetConfig,
    recordings: Recordings,
    pseudonym: Pseudonym,
    tell: Tell,
) -> Validated:
    """Check manifests and recordings. With policy `drop` the rows with problems are left out.

    Raises InvalidInput with all problems when the policy is `refuse` and there are any, when columns are missing,
    or when too few people are left.
    """
    rows, problems = read_rows(table, config)
    clips, noise_problems = ([], []) if noise is None else read_noise(noise, config)
    paths = read_paths(table, config)
    total = len(paths) + len(clips)
    places = [(table.base, path) for path in paths.values()]
    heard_at = dict(zip(paths, _hear(places, recordings, config.quality, tell, total=total), strict=True))
    heard = [heard_at[row.line] for row in rows]
    problems += _audio_problems(list(heard_at), list(heard_at.values())) + _same_audio(rows, heard)
    noise_paths = [(noise.base, path) for _, path, _, _ in clips] if noise is not None else []
    noise_heard = list(_hear(noise_paths, recordings, _NOISE_RULES, tell, total=total, done=len(paths)))
    noise_problems += _audio_problems([line for line, *_ in clips], noise_heard)

    found = [one.as_problem(table.name) for one in sorted(problems, key=_line)]
    found += [one.as_problem(noise.name) for one in sorted(noise_problems, key=_line)] if noise is not None else []
    if found and config.policy == "refuse":
        raise InvalidInput(_headline(found), problems=found)
    bad, bad_noise = _lines(problems), _lines(noise_problems)
    cohort = Cohort(
        recordings=tuple(
            _recording(row, clip, table.base, pseudonym)
            for row, clip in zip(rows, heard, strict=True)
            if row.line not in bad
        ),
        noise=tuple(
            NoiseClip(location=locate(base, path), sha256=clip.sha256, kind=kind, group=group)
            for (base, path), (line, _, kind, group), clip in zip(noise_paths, clips, noise_heard, strict=True)
            if line not in bad_noise
        ),
    )
    _refuse_too_few(cohort, config, table=table, problems=found)
    dropped = {table.name: tuple(sorted(bad))} | ({noise.name: tuple(sorted(bad_noise))} if noise is not None else {})
    notes = (*table.notes, *(noise.notes if noise is not None else ()))
    return Validated(cohort=cohort, problems=tuple(found), dropped=dropped, notes=notes)


def locate(base: str, path: str) -> str:
    """Where a manifest's path lies: as it is when it names a scheme or starts at the root, else below `base`."""
    return path if path.startswith(("file:", "s3:", "/")) else f"{base.rstrip('/')}/{path}"


def _hear(
    places: Sequence[tuple[str, str]],
    recordings: Recordings,
    rules: QualityRules,
    tell: Tell,
    *,
    total: int,
    done: int = 0,
) -> Iterator[_Clip]:
    with ThreadPoolExecutor(_THREADS) as pool:
        clips = pool.map(lambda place: _hear_one(locate(*place), recordings, rules), places)
        for number, clip in enumerate(clips, start=done + 1):
            tell(number, total)
            yield clip


def _hear_one(location: str, recordings: Recordings, rules: QualityRules) -> _Clip:
    try:
        data = recordings.read(location)
        samples = decode(data, name="path")
    except NotFound:
        return _Clip(problems=(Problem(where="path", what="the file does not exist"),))
    except InvalidInput as error:
        return _Clip(problems=error.problems)
    return _Clip(
        sha256=sha256_hex(data),
        samples_sha256=sha256_hex(samples.tobytes()),
        duration_s=len(samples) / SAMPLE_RATE,
        problems=tuple(quality_problems(measure(samples), rules, where="path")),
    )


def _audio_problems(lines: Sequence[int], heard: Sequence[_Clip]) -> list[RowProblem]:
    return [
        RowProblem(line=line, field="path", what=problem.what, hint=problem.hint)
        for line, clip in zip(lines, heard, strict=True)
        for problem in clip.problems
    ]


def _same_audio(rows: Sequence[Row], heard: Sequence[_Clip]) -> list[RowProblem]:
    """The same samples under two paths: the later rows; all of them when their people or classes differ."""
    same: dict[str, list[Row]] = {}
    for row, clip in zip(rows, heard, strict=True):
        if clip.samples_sha256 and not any(row.path == one.path for one in same.get(clip.samples_sha256, [])):
            same.setdefault(clip.samples_sha256, []).append(row)
    found = []
    for group in same.values():
        first, *others = group
        is_one_person = len({(row.participant, row.label) for row in group}) == 1
        for row in others if is_one_person or not others else group:
            twin = first if row is not first else others[0]
            found.append(RowProblem(line=row.line, field="path", what=f"is the same audio as in row {twin.line}"))
    return found


def _line(problem: RowProblem) -> int:
    return problem.line


def _lines(problems: Iterable[RowProblem]) -> set[int]:
    return {problem.line for problem in problems}


def _recording(row: Row, clip: _Clip, base: str, pseudonym: Pseudonym) -> Recording:
    return Recording(
        row=row.line,
        location=locate(base, row.path),
        sha256=clip.sha256,
        duration_s=clip.duration_s,
        participant=pseudonym(row.participant),
        label=row.label,
        fold=row.fold,
        matched_pair=row.matched_pair,
        age=row.age,
        facets=dict(row.facets),
    )


def _refuse_too_few(cohort: Cohort, config: DatasetConfig, *, table: Table, problems: Sequence[Problem]) -> None:
    people = list(cohort.participants().values())
    few = [
        Problem(
            where=table.name,
            what=f"has {people.count(label)} usable people of class {CLASS_NAMES[label]}",
            hint=f"at least {config.min_participants} are needed",
        )
        for label in (0, 1)
        if people.count(label) < config.min_participants
    ]
    if few:
        raise InvalidInput(str(few[0]), problems=[*few, *problems])


def _headline(problems: Sequence[Problem]) -> str:
    return f"{len(problems)} problems; mend them, or drop those rows with dataset.policy 'drop'. {problems[0]}"

"""Copy some recordings of a manifest, with their rows, to a folder of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spira.infra.folders import appearing_whole
from spira.kernel.errors import InvalidInput, NotFound
from spira.kernel.ids import sha256_hex
from spira.training.core.dataset import Table
from spira.training.core.foreign import ForeignRow, read_foreign
from spira.training.core.manifest import MANIFEST_COLUMNS, as_csv
from spira.training.ports import Recordings


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which rows: empty means all. `participants`: at most so many people of each class, by their ids' order."""

    folds: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    participants: int | None = None

    def in_words(self) -> str:
        asked = {"fold": self.folds, "label": self.labels, "task": self.tasks}
        named = [f"{name} {' or '.join(str(one) for one in wanted)}" for name, wanted in asked.items() if wanted]
        return ", ".join(named) or "any kind"

    def takes(self, row: ForeignRow) -> bool:
        """A row without a task counts for each."""
        fold, task = row.values.get("fold", ""), row.values.get("task", "")
        return (
            (not self.folds or fold in {str(one) for one in self.folds})
            and (not self.labels or row.label in self.labels)
            and (not self.tasks or task in {"", *self.tasks})
        )


def export_recordings(
    table: Table,
    out: Path,
    *,
    choice: Choice,
    recordings: Recordings,
    locate: Callable[[str, str], str],
    mapping: Mapping[str, str],
    replace: bool = False,
) -> list[dict[str, str]]:
    """Write the chosen recordings and their `manifest.csv` to `out`; gives the rows, paths below `out`.

    Raises InvalidInput with all problems of the rows, NotFound when the choice is empty or a file is missing,
    Conflict when `out` holds something (unless `replace`).
    """
    rows, problems = read_foreign(table, layout="columns", mapping=mapping)
    if problems:
        raise InvalidInput.of(problems)
    chosen = _first_people([row for row in rows if choice.takes(row)], choice.participants)
    if not chosen:
        raise NotFound(f"{table.name} has no recording of {choice.in_words()}")
    written = []
    with appearing_whole(out, replace=replace) as folder:
        (folder / "recordings").mkdir()
        for row in chosen:
            data = recordings.read(locate(table.base, row.path))
            path = f"recordings/{sha256_hex(data)[:32]}{PurePosixPath(row.path).suffix.lower()}"
            (folder / path).write_bytes(data)
            written.append({**row.values, "path": path, "participant_id": row.participant, "label": row.label})
        (folder / "manifest.csv").write_bytes(as_csv(MANIFEST_COLUMNS, written))
    return written


def _first_people(rows: Sequence[ForeignRow], limit: int | None) -> list[ForeignRow]:
    if limit is None:
        return list(rows)
    people = {label: sorted({row.participant for row in rows if row.label == label})[:limit] for label in _labels(rows)}
    return [row for row in rows if row.participant in people[row.label]]


def _labels(rows: Sequence[ForeignRow]) -> set[str]:
    return {row.label for row in rows}

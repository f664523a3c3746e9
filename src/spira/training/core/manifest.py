"""The data set manifest as we write it: columns in order, one line end, nothing quoted without need."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

MANIFEST_COLUMNS = (
    *("path", "participant_id", "label", "recording_id", "task", "sex", "age", "site", "device", "mask", "cause"),
    *("collected_at", "label_source", "fold", "matched_pair"),
)
NOISE_COLUMNS = ("path", "kind", "group")


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    """UTF-8 CSV; a column that a row lacks is empty, one that is not named here is a programming error."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()

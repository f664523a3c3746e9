"""What is kept beside a registered model, so that later evaluations know what it is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from spira.training.core.cohort import Cohort, Split

PEOPLE_FILE = "people.json"
BASELINE_FILE = "baseline.json"


class PeopleSeen(BaseModel):
    """Pseudonyms of everybody a model was fitted, stopped or calibrated on. Who is not among them, it never saw."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    """Fingerprint of the pseudonyms' key: under another key the same people have other pseudonyms."""
    seen: tuple[str, ...]


def people_seen(cohort: Cohort, sides: Split, *, key: str) -> PeopleSeen:
    seen = {cohort.recordings[index].participant for index in (*sides.train, *sides.validation)}
    return PeopleSeen(key=key, seen=tuple(sorted(seen)))

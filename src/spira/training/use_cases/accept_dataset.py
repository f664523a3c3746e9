"""A checked data set becomes the last accepted one of its series: what it looks like is kept, and it is announced.

    objects  datasets/SERIES/DIGEST.json   the record, one for each content
             datasets/SERIES/latest.json   which record is the last one
    topic    spira.datasets.accepted       DatasetAccepted, at least once per acceptance

Whoever wants to train when data are accepted listens to that topic: the message names the manifest's location, the
digest of its content, the series and the record's key. For an Airflow asset a watcher of the topic turns each message
into an asset event with these as its extra; a message that comes twice has the same `dataset_id`, which is the digest.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from spira.kernel.clock import Clock, to_text, utc_now
from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.kernel.messages import DatasetAccepted
from spira.training.core.census import counts_of, summary_of
from spira.training.core.drift import Summary
from spira.training.ports import Announce, Store
from spira.training.use_cases.validate import Validated


class AcceptedDataset(BaseModel):
    """The record of an accepted data set: enough to compare later ones with, nothing about anybody."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    schema_version: int = 1
    dataset_id: str
    """Digest of the content, wherever it lies."""
    series: str
    manifest: str
    """Location of the manifest when it was accepted."""
    accepted_at: str
    patients: int
    controls: int
    summary: Summary

    @property
    def key(self) -> str:
        return f"datasets/{self.series}/{self.dataset_id}.json"


class _Latest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    key: str


def accept_dataset(
    checked: Validated, *, manifest: str, series: str, store: Store, announce: Announce | None, clock: Clock = utc_now
) -> AcceptedDataset:
    """Keep and announce; doing it again for the same content announces it again and makes it the last one again."""
    people = counts_of(checked.takes)["people"]
    accepted = AcceptedDataset(
        dataset_id=checked.digest,
        series=series,
        manifest=manifest,
        accepted_at=to_text(clock()),
        patients=people["patient"],
        controls=people["control"],
        summary=summary_of(checked.takes),
    )
    store.put(accepted.key, accepted.model_dump_json(indent=1).encode())
    store.put(_latest_key(series), _Latest(key=accepted.key).model_dump_json().encode())
    if announce is not None:
        announce(_message(accepted))
    return accepted


def last_accepted(series: str, *, store: Store) -> str | None:
    """The key of the last record of the series."""
    try:
        return _Latest.model_validate_json(store.get(_latest_key(series))).key
    except NotFound:
        return None
    except ValidationError as error:
        what = "does not name the last accepted data set"
        raise InvalidInput.of([Problem(where=_latest_key(series), what=what, hint="accept it again")]) from error


def read_accepted(key: str, *, store: Store) -> AcceptedDataset:
    """Raises NotFound, and InvalidInput when the object is no record."""
    try:
        return AcceptedDataset.model_validate_json(store.get(key))
    except ValidationError as error:
        raise InvalidInput.of([Problem(where=key, what="is no record of an accepted data set")]) from error


def _latest_key(series: str) -> str:
    return f"datasets/{series}/latest.json"


def _message(accepted: AcceptedDataset) -> DatasetAccepted:
    return DatasetAccepted(
        dataset_id=accepted.dataset_id,
        series=accepted.series,
        manifest=accepted.manifest,
        record=accepted.key,
        patients=accepted.patients,
        controls=accepted.controls,
        accepted_at=accepted.accepted_at,
    )

"""An accepted data set reaches Airflow as an event, over a real broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from spira.infra.broker.port import Record
from spira.infra.stores import open_broker
from spira.kernel.messages import DatasetAccepted
from spira.kernel.topics import DATASETS_ACCEPTED


def announce(url: str, manifest: str) -> None:
    message = DatasetAccepted(
        dataset_id=64 * "a",
        series="ward",
        manifest=manifest,
        record="datasets/ward/a.json",
        patients=3,
        controls=4,
        accepted_at="2026-01-01T00:00:00.000Z",
    )
    broker = open_broker(url)
    broker.publish([Record(topic=DATASETS_ACCEPTED, key="ward", value=value) for value in (b"?", message.to_bytes())])
    broker.close()


async def first(trigger: Any) -> dict[str, Any]:
    events = trigger.run()
    event = await asyncio.wait_for(anext(events), 20)
    await events.aclose()
    payload: dict[str, Any] = event.payload
    return payload


@pytest.fixture
def broker_url(airflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:{tmp_path}/broker.sqlite3"
    image = f"spira/ml@sha256:{64 * 'a'}"
    settings = {"image": image, "objects_url": f"file:{tmp_path}", "broker_url": url}
    monkeypatch.setenv("AIRFLOW_VAR_SPIRA_TRAINING", json.dumps(settings))
    return url


def test_an_announced_data_set_becomes_an_event_with_its_manifest_and_an_odd_message_is_passed_over(
    broker_url: str,
) -> None:
    from spira.orchestration.accepted_datasets import AcceptedDatasets

    announce(broker_url, "s3://b/new.csv")

    told = asyncio.run(first(AcceptedDatasets(poll_s=0.05)))

    assert told == {"manifest": "s3://b/new.csv", "dataset_id": 64 * "a", "series": "ward"}


def test_an_event_that_nobody_took_over_is_told_again(broker_url: str) -> None:
    from spira.orchestration.accepted_datasets import AcceptedDatasets

    announce(broker_url, "s3://b/new.csv")

    once = asyncio.run(first(AcceptedDatasets(poll_s=0.05)))

    assert asyncio.run(first(AcceptedDatasets(poll_s=0.05))) == once


def test_the_watcher_survives_the_triggerer_that_carries_it(airflow: None) -> None:
    from spira.orchestration.accepted_datasets import AcceptedDatasets

    path, arguments = AcceptedDatasets(poll_s=3.0).serialize()

    assert path == "spira.orchestration.accepted_datasets.AcceptedDatasets"
    assert AcceptedDatasets(**arguments).poll_s == 3.0

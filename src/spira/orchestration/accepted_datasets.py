"""Airflow's watcher of the topic `spira.datasets.accepted`: every accepted data set becomes an event of the asset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Variable
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from spira.infra.broker.port import Broker, Consumer, Delivery
from spira.infra.stores import open_broker
from spira.kernel.errors import SpiraError
from spira.kernel.messages import DatasetAccepted
from spira.kernel.topics import DATASETS_ACCEPTED
from spira.orchestration.pod_settings import VARIABLE, read_pod_settings

GROUP = "airflow"


class AcceptedDatasets(BaseEventTrigger):
    """Runs in the triggerer, for ever. Where the installation names no broker it looks again now and then.

    An event is told at least once: what was told is committed a poll later, so a triggerer that dies in between tells
    it again, and the run that it starts a second time finds its steps done.
    """

    def __init__(self, *, poll_s: float = 10.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__name__}", {"poll_s": self.poll_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            try:
                async for event in self._watch():
                    yield event
            except SpiraError as error:
                self.log.warning("The topic %s can't be read now: %s", DATASETS_ACCEPTED, error)
            await asyncio.sleep(self.poll_s)

    async def _watch(self) -> AsyncIterator[TriggerEvent]:
        url = await sync_to_async(_broker_url)()
        if not url:
            return
        broker = await asyncio.to_thread(open_broker, url)
        consumer: Consumer | None = None
        try:
            consumer = await asyncio.to_thread(broker.subscribe, group=GROUP, topics=[DATASETS_ACCEPTED])
            async for event in self._events(consumer):
                yield event
        finally:
            await asyncio.to_thread(_close, consumer, broker)

    async def _events(self, consumer: Consumer) -> AsyncIterator[TriggerEvent]:
        while True:
            deliveries = await asyncio.to_thread(consumer.poll, timeout_s=self.poll_s)
            for delivery in deliveries:
                payload = self._payload(delivery)
                if payload is not None:
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
            if deliveries:
                await asyncio.sleep(min(self.poll_s, 5.0))
                await asyncio.to_thread(consumer.commit, deliveries)

    def _payload(self, delivery: Delivery) -> dict[str, Any] | None:
        """What a run takes from it; a message that nobody understands is passed over."""
        try:
            message = DatasetAccepted.from_bytes(delivery.value)
        except SpiraError as error:
            self.log.warning("A message of %s is passed over: %s", DATASETS_ACCEPTED, error)
            return None
        return {"manifest": message.manifest, "dataset_id": message.dataset_id, "series": message.series}


def _broker_url() -> str:
    return read_pod_settings(Variable.get(VARIABLE, default="")).broker_url


def _close(consumer: Consumer | None, broker: Broker) -> None:
    if consumer is not None:
        consumer.close()
    broker.close()

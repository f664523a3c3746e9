"""The results process: outbox relay, result writer and deadline sweeper in one loop; `python -m spira.apps.results`."""

from __future__ import annotations

import time
from threading import Event

from spira.apps.processes import beat, keep_going, stop_on_signals
from spira.apps.serving_settings import ResultsSettings
from spira.infra import logs
from spira.infra.broker.port import Broker
from spira.infra.documents.port import Documents
from spira.infra.stores import open_broker, open_documents
from spira.kernel.clock import utc_now
from spira.kernel.topics import INFERENCE_COMPLETED
from spira.serving.use_cases import models
from spira.serving.use_cases.relay import relay_pending
from spira.serving.use_cases.settle import sweep_deadlines, write_results

GROUP = "results"


def run(settings: ResultsSettings, *, documents: Documents, broker: Broker, stop: Event) -> None:
    """Relay, write and sweep until `stop`; several such processes may run side by side."""
    models.declare(documents)
    keep_going(lambda: _session(settings, documents, broker, stop), stop=stop)


def _session(settings: ResultsSettings, documents: Documents, broker: Broker, stop: Event) -> None:
    swept = 0.0
    with broker.subscribe(group=GROUP, topics=[INFERENCE_COMPLETED]) as consumer:
        while not stop.is_set():
            beat(settings.heartbeat_file)
            relay_pending(documents=documents, broker=broker)
            deliveries = consumer.poll(timeout_s=settings.relay_every_s)
            write_results(deliveries, documents=documents, broker=broker, clock=utc_now)
            consumer.commit(deliveries)
            if time.monotonic() - swept > settings.sweep_every_s:
                sweep_deadlines(documents=documents, clock=utc_now)
                swept = time.monotonic()


def main() -> None:
    """Work until SIGTERM."""
    settings = ResultsSettings()
    logs.configure(process="results", level=settings.log_level)
    documents, broker = open_documents(settings.documents_url), open_broker(settings.broker_url)
    run(settings, documents=documents, broker=broker, stop=stop_on_signals())
    broker.close()


if __name__ == "__main__":
    main()

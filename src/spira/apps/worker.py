"""The inference worker of one model; `python -m spira.apps.worker` runs it until SIGTERM."""

from __future__ import annotations

from threading import Event

from spira.apps.processes import beat, keep_going, stop_on_signals
from spira.apps.serving_settings import WorkerSettings
from spira.infra import logs
from spira.infra.stores import open_broker, open_objects
from spira.kernel.clock import utc_now
from spira.kernel.errors import InvalidInput, Problem
from spira.kernel.topics import MODEL_NAME, inference_requested
from spira.privacy.sealed_objects import IdentityCipher, SealedObjects
from spira.serving.ports import Scorer
from spira.serving.use_cases.answer import Worker, answer_next


def run(settings: WorkerSettings, *, scorer: Scorer, stop: Event) -> None:
    """Answer the requests for `settings.model` with `scorer` until `stop`; what is in hand then gets finished."""
    if MODEL_NAME.fullmatch(settings.model) is None:
        raise InvalidInput.of([Problem(where="SPIRA_MODEL", what=f"{settings.model!r} is no model's name")])
    broker = open_broker(settings.broker_url)
    objects = SealedObjects(open_objects(settings.objects_url), IdentityCipher())
    worker = Worker(objects=objects, broker=broker, scorer=scorer, clock=utc_now)
    keep_going(lambda: _session(settings, worker, stop), stop=stop)
    broker.close()


def _session(settings: WorkerSettings, worker: Worker, stop: Event) -> None:
    group = f"inference-worker.{settings.model}"
    with worker.broker.subscribe(group=group, topics=[inference_requested(settings.model)]) as consumer:
        while not stop.is_set():
            beat(settings.heartbeat_file)
            answer_next(consumer, worker, max_records=settings.worker_batch)


def main(settings: WorkerSettings) -> None:
    """Answer with models of the registry until SIGTERM."""
    from spira.infra.mlflow_registry import MlflowRegistry
    from spira.serving.adapters.mlflow_scorer import MlflowScorer

    logs.configure(process=f"worker.{settings.model}", level=settings.log_level)
    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    scorer = MlflowScorer(registry)
    stop = stop_on_signals()
    if settings.model_version:
        scorer.warm_up(settings.model, settings.model_version)
    run(settings, scorer=scorer, stop=stop)


if __name__ == "__main__":
    main(WorkerSettings())

"""Step `features`: one piece of the recordings, clean and with noise."""

from __future__ import annotations

from spira.apps.steps.bench import cohort_of, config_of, teller
from spira.apps.training_settings import TrainingSettings
from spira.orchestration.workbench import Workbench
from spira.training.adapters.recordings import LocatedRecordings


def features(bench: Workbench, settings: TrainingSettings) -> None:  # noqa: ARG001 - every body takes them
    from spira.training.use_cases.features import FeatureRequest, compute_shards

    config = config_of(bench)
    request = FeatureRequest(
        windows=config.windows, features=config.features, augmentation=config.augmentation, seed=config.seed
    )
    shards = compute_shards(
        cohort_of(bench),
        request,
        recordings=LocatedRecordings(),
        tell=teller(bench),
        piece=bench.parameters["shard"],
        pieces=bench.parameters["shards"],
    )
    for name, data in shards:
        bench.write(name, data)

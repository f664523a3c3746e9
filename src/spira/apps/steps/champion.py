"""The champion of a run, opened: the very version that was named when the run began."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spira.apps.training_inputs import model_inside
from spira.apps.training_settings import TrainingSettings
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem
from spira.orchestration.manifest import Outside

if TYPE_CHECKING:
    from spira.infra.mlflow_registry import MlflowRegistry
    from spira.training.core.evidence import PeopleSeen
    from spira.training.use_cases.champion import Champion


def open_champion(settings: TrainingSettings, given: Outside | None) -> Champion | None:
    """None when there is none. Raises Conflict when the registry holds another model under that version."""
    if given is None:
        return None
    from spira.infra.mlflow_registry import MlflowRegistry, parse_model_uri
    from spira.training.use_cases.champion import Champion
    from spira.voice.score import ScreeningModel

    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    found = registry.resolve(*parse_model_uri(given.location))
    if found.digest != given.digest:
        raise Conflict(f"{given.location} is not the model that it was when the run began; run it again")
    folder = registry.fetch(found.name, found.version)
    return Champion(
        name=f"{found.name}/{found.version}",
        model=ScreeningModel.load(model_inside(folder)),
        seen=people_of(registry, found.name, found.version),
    )


def people_of(registry: MlflowRegistry, name: str, version: str) -> PeopleSeen | None:
    """Whom a registered version was trained on; None when its evidence does not tell."""
    from pydantic import ValidationError

    from spira.training.core.evidence import PEOPLE_FILE, PeopleSeen

    try:
        return PeopleSeen.model_validate_json(registry.evidence(name, version, PEOPLE_FILE))
    except NotFound:
        return None
    except ValidationError as error:
        where = f"{name}/{version}, {PEOPLE_FILE}"
        raise InvalidInput.of([Problem(where=where, what="is not a list of people seen")]) from error

"""Inputs of training from outside: manifests by location, their digests, and models by name or folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from spira.apps.training_settings import PROJECT, TrainingSettings, pseudonym_key
from spira.infra.stores import open_objects
from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.kernel.ids import sha256_hex
from spira.orchestration.manifest import Outside, digest_of
from spira.privacy.pseudonyms import Pseudonyms
from spira.training.adapters.manifests import parse_manifest
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.config import TrainingConfig
from spira.training.core.dataset import DatasetConfig, Table, read_rows
from spira.training.core.splitters import divide, numbers, people_of_rows
from spira.training.use_cases.listen import locate

if TYPE_CHECKING:
    from spira.voice.score import ScreeningModel


CHAMPION = "production"
"""Alias of the version that a new one is measured against."""


def location_of(manifest: str) -> str:
    """A manifest's absolute location; raises InvalidInput when there is no such file."""
    if manifest.startswith("s3:"):
        return manifest
    path = Path(manifest.removeprefix("file:")).absolute()
    if not path.is_file():
        raise InvalidInput.of([Problem(where=str(path), what="the manifest does not exist")])
    return str(path)


def read_table(location: str, recordings: LocatedRecordings) -> Table:
    """The manifest at `location`."""
    base, _, name = location.rpartition("/")
    return parse_manifest(recordings.read(location), name=name, base=base)


def outside_manifest(location: str, *, columns: dict[str, str], recordings: LocatedRecordings) -> Outside:
    """The manifest with a digest over its text and over what tells its files apart, without reading them."""
    table = read_table(location, recordings)
    paths = sorted({values.get(columns.get("path", "path"), "") for _, values in table.rows})
    files = {path: recordings.fingerprint(locate(table.base, path)) for path in paths}
    return Outside(
        location=location, digest=digest_of({"manifest": sha256_hex(recordings.read(location)), "files": files})
    )


def outside_inputs(
    settings: TrainingSettings,
    config: DatasetConfig,
    *,
    manifest: str,
    noise: str | None,
    evaluation: str | None = None,
    model: str = "",
) -> dict[str, Outside]:
    """Everything that a run takes from outside its steps; `model` is the name whose champion it is measured against."""
    recordings = LocatedRecordings()
    outside = {
        "dataset": outside_manifest(location_of(manifest), columns=config.columns, recordings=recordings),
        "pseudonyms": pseudonym_input(settings),
        "registry": Outside(location=settings.mlflow_tracking_uri, digest=digest_of([settings.mlflow_tracking_uri])),
    }
    if noise is not None:
        columns = config.noise_columns
        outside["noise"] = outside_manifest(location_of(noise), columns=columns, recordings=recordings)
    if evaluation is not None:
        columns = config.columns
        outside["evaluation"] = outside_manifest(location_of(evaluation), columns=columns, recordings=recordings)
    return outside | _last_accepted(settings, config) | champion_of(settings, model)


def champion_of(settings: TrainingSettings, model: str) -> dict[str, Outside]:
    """The version in production of this name, as the registry says now; nothing where there is none."""
    from spira.infra.registry_aliases import version_behind

    root = settings.mlflow_artifact_root
    found = version_behind(settings.mlflow_tracking_uri, root, name=model, alias=CHAMPION) if model else None
    if found is None:
        return {}
    return {"champion": Outside(location=f"models:/{model}/{found.version}", digest=found.digest)}


def _last_accepted(settings: TrainingSettings, config: DatasetConfig) -> dict[str, Outside]:
    """The record that the data are compared with, where a data set of the series was accepted before."""
    from spira.training.use_cases.accept_dataset import last_accepted

    objects = open_objects(settings.objects_url)
    key = last_accepted(config.series, store=objects)
    return {} if key is None else {"accepted": Outside(location=key, digest=sha256_hex(objects.get(key)))}


def folds_of_manifest(manifest: str, config: TrainingConfig) -> int:
    """How many sides are held out one after the other: folds of the manifest or of the configuration, or sites.

    Raises InvalidInput where the people can't be divided so; rows that are wrong are left to the check.
    """
    rows, problems = read_rows(read_table(location_of(manifest), LocatedRecordings()), config.dataset)
    people = people_of_rows(rows)
    split = config.split
    if not problems:
        divide(people, kind=split.kind, folds=split.folds, test_share=split.test_share, seed=config.seed)
    return len(numbers(people, kind=split.kind, folds=split.folds))


def pseudonym_input(settings: TrainingSettings) -> Outside:
    """The key by its fingerprint: under another key the same people have other pseudonyms."""
    return Outside(location=PROJECT, digest=pseudonyms(settings).participant("fingerprint of the key"))


def pseudonyms(settings: TrainingSettings) -> Pseudonyms:
    return Pseudonyms(key=pseudonym_key(settings), project=PROJECT)


def open_model(settings: TrainingSettings, model: str) -> tuple[str, ScreeningModel]:
    """A name to show and the model: a folder, or NAME, NAME@ALIAS, NAME/VERSION, `models:/…` of the registry.

    Raises NotFound.
    """
    from spira.voice.score import ScreeningModel

    folder = Path(model)
    if folder.is_dir():
        return PurePosixPath(folder.absolute()).name, ScreeningModel.load(model_inside(folder))
    from spira.infra.mlflow_registry import MlflowRegistry, parse_model_uri

    registry = MlflowRegistry(settings.mlflow_tracking_uri, settings.mlflow_artifact_root)
    found = registry.resolve(*parse_model_uri(model))
    shown = f"{found.name}/{found.version}"
    return shown, ScreeningModel.load(model_inside(registry.fetch(found.name, found.version)))


def model_inside(folder: Path) -> Path:
    """The folder itself, or the one inside a registered model."""
    found = next((file.parent for file in sorted(folder.rglob("model.json"))), None)
    if found is None:
        raise NotFound(f"{folder} holds no model: model.json is missing")
    return found

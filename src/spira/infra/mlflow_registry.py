"""The model registry on MLflow: register, resolve, fetch and load. MLflow loads when it is used, not before.

A registered model is a pyfunc from code and safetensors. Its digest is kept as a tag of the version and checked
whenever the model is fetched: a folder that was changed after registration is refused.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spira.kernel.errors import Conflict, InvalidInput, NotFound, Problem, Unavailable

DIGEST_TAG = "spira.sha256"
EVIDENCE = "evidence"
"""Folder of the run with what was found about the model; each file's digest is a tag of the version."""
MAX_DESCRIPTION = 4900
"""MLflow keeps 5000 characters."""
EXPERIMENT = "spira"


@dataclass(frozen=True, kw_only=True)
class RegisteredVersion:
    """A version that exists, and the digest of its folder when it was registered."""

    name: str
    version: str
    digest: str
    run_id: str = ""


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A name with its versions, newest first, and which version each alias points at."""

    name: str
    versions: tuple[str, ...]
    aliases: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A model to be logged and registered."""

    name: str
    alias: str
    code: Path
    """The file that makes the pyfunc (models from code)."""
    files: Mapping[str, Path]
    """Files or folders that the code finds in its context, by name."""
    inputs: Sequence[tuple[str, str]]
    """Columns of the signature: name and `string` or `binary`."""
    outputs: Sequence[tuple[str, str]]
    requirements: Sequence[str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    datasets: Mapping[str, str]
    attachments: Mapping[str, bytes]
    """Evidence, by file name."""
    description: str = ""
    """What people read beside the version, as Markdown."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the version."""


class MlflowRegistry:
    """Versions by name. Methods raise NotFound, and Unavailable when the registry does not answer."""

    def __init__(self, tracking_uri: str, artifact_root: str | Path) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_root = Path(artifact_root).absolute()
        self._client: Any = None

    def publish(self, publication: Publication) -> RegisteredVersion:
        """Log a run with everything, register its model and point the alias at it."""
        import mlflow

        with _told_as_unavailable(publication.name):
            client = self._connected()
            with mlflow.start_run(experiment_id=self._experiment(client), run_name=publication.name) as run:
                _log_facts(client, run.info.run_id, publication)
                logged = _log_model(publication)
            client.set_terminated(run.info.run_id)
            return self._register(client, publication, run_id=run.info.run_id, model_uri=logged.model_uri)

    def resolve(self, name: str, alias_or_version: str) -> RegisteredVersion:
        """The version that a number or an alias means now."""
        with _told_as_unavailable(f"{name}@{alias_or_version}"):
            client = self._connected()
            get = client.get_model_version if alias_or_version.isdigit() else client.get_model_version_by_alias
            found = get(name, alias_or_version)
        return RegisteredVersion(
            name=name, version=str(found.version), digest=found.tags.get(DIGEST_TAG, ""), run_id=found.run_id or ""
        )

    def fetch(self, name: str, version: str) -> Path:
        """A local folder with the model, its digest checked. Raises Conflict when it is not the one registered."""
        import mlflow

        registered = self.resolve(name, version)
        with _told_as_unavailable(f"{name}/{version}"):
            self._connected()
            folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{registered.version}"))
        if folder_digest(folder) != registered.digest:
            raise Conflict(f"model {name} version {version} is not the one that was registered; its files changed")
        return folder

    def evidence(self, name: str, version: str, file: str) -> bytes:
        """One file of the evidence. Raises NotFound, and Conflict when it is not the one registered."""
        with _told_as_unavailable(f"{name}/{version}"):
            client = self._connected()
            found = client.get_model_version(name, self.resolve(name, version).version)
            registered = found.tags.get(_evidence_tag(file))
            if registered is None:
                raise NotFound(f"model {name} version {version} has no evidence {file!r}")
            with tempfile.TemporaryDirectory() as folder:
                data = Path(client.download_artifacts(found.run_id, f"{EVIDENCE}/{file}", folder)).read_bytes()
        if hashlib.sha256(data).hexdigest() != registered:
            raise Conflict(f"evidence {file!r} of model {name} version {version} is not the one that was registered")
        return data

    def load(self, name: str, version: str) -> PyfuncModel:
        """The model ready to predict."""
        return load_pyfunc(self.fetch(name, version))

    def list(self) -> list[RegisteredModel]:
        with _told_as_unavailable("models"):
            client = self._connected()
            return [
                RegisteredModel(
                    name=model.name,
                    versions=tuple(
                        sorted((str(v.version) for v in _versions(client, model.name)), key=int, reverse=True)
                    ),
                    aliases={alias: str(version) for alias, version in model.aliases.items()},
                )
                for model in client.search_registered_models()
            ]

    def facts(self, name: str, version: str) -> dict[str, Any]:
        """What was logged with a version: parameters, figures and digests."""
        registered = self.resolve(name, version)
        with _told_as_unavailable(f"{name}/{version}"):
            run = self._connected().get_run(registered.run_id)
        return {
            "model": name,
            "version": registered.version,
            "sha256": registered.digest,
            "run_id": registered.run_id,
            "metrics": dict(run.data.metrics),
            "parameters": dict(run.data.params),
            "datasets": {k.removeprefix("dataset."): v for k, v in run.data.tags.items() if k.startswith("dataset.")},
        }

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _client(self._tracking_uri)
        return self._client

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        self._artifact_root.mkdir(parents=True, exist_ok=True)
        location = self._artifact_root.as_uri() if self._tracking_uri.startswith("sqlite:") else None
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))

    def _register(self, client: Any, publication: Publication, *, run_id: str, model_uri: str) -> RegisteredVersion:
        import mlflow

        digest = folder_digest(Path(mlflow.artifacts.download_artifacts(model_uri)))
        evidence = {
            _evidence_tag(name): hashlib.sha256(data).hexdigest() for name, data in publication.attachments.items()
        }
        tags = {**evidence, **publication.tags, DIGEST_TAG: digest}
        registered = mlflow.register_model(model_uri, publication.name, tags=tags)
        version = str(registered.version)
        if publication.description:
            client.update_model_version(publication.name, version, publication.description[:MAX_DESCRIPTION])
        client.set_registered_model_alias(publication.name, publication.alias, version)
        return RegisteredVersion(name=publication.name, version=version, digest=digest, run_id=run_id)


class PyfuncModel:
    """A registered model behind plain values."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One dict per inference: `metadata` (JSON text) and bytes by recording; gives `diagnosis` and `scores`
        (JSON text) for each."""
        import pandas as pd

        frame = pd.DataFrame([dict(row) for row in rows])
        return [
            {str(key): value for key, value in row.items()} for row in self._model.predict(frame).to_dict("records")
        ]


def load_pyfunc(folder: Path) -> PyfuncModel:
    """Raises InvalidInput when the folder holds no pyfunc."""
    with _quiet():
        import mlflow

        try:
            return PyfuncModel(mlflow.pyfunc.load_model(str(folder)))
        except mlflow.exceptions.MlflowException as error:
            raise InvalidInput.of([Problem(where=str(folder), what=f"is no model: {error.message}")]) from error


def folder_digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files below `folder`; MLflow's own notes about the copy don't count."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and _counts(path)):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def parse_model_uri(uri: str) -> tuple[str, str]:
    """Name and alias or version of `models:/NAME/VERSION`, `models:/NAME@alias`, `NAME@alias` or `NAME`."""
    text = uri.removeprefix("models:/")
    sign = "@" if "@" in text else "/"
    name, _, which = text.partition(sign)
    return name, which or "challenger"


def _counts(path: Path) -> bool:
    return path.name != "registered_model_meta" and "__pycache__" not in path.parts


def _client(tracking_uri: str) -> Any:
    """A client that keeps its words and its measurements to itself."""
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).absolute().parent.mkdir(parents=True, exist_ok=True)
    with _quiet():
        import mlflow

        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
        return mlflow.MlflowClient(tracking_uri, tracking_uri)


def _versions(client: Any, name: str) -> Iterator[Any]:
    yield from client.search_model_versions(f"name='{name}'")


def _log_facts(client: Any, run_id: str, publication: Publication) -> None:
    import time

    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in publication.metrics.items()]
    for name, values in publication.curves.items():
        metrics += [Metric(name, value, now, step) for step, value in enumerate(values, start=1)]
    params = [Param(name, value[:6000]) for name, value in publication.parameters.items()]
    tags = [RunTag(f"dataset.{name}", digest) for name, digest in publication.datasets.items()]
    client.log_batch(run_id, params=params, tags=tags)
    for start in range(0, len(metrics), 1000):
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    with tempfile.TemporaryDirectory() as folder:
        for name, data in publication.attachments.items():
            (Path(folder) / name).write_bytes(data)
        client.log_artifacts(run_id, folder, EVIDENCE)


def _evidence_tag(file: str) -> str:
    return f"spira.evidence.{file}"


def _log_model(publication: Publication) -> Any:
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with _quiet():
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(publication.code),
            artifacts={name: str(path) for name, path in publication.files.items()},
            signature=ModelSignature(
                inputs=Schema([ColSpec(kind, name) for name, kind in publication.inputs]),
                outputs=Schema([ColSpec(kind, name) for name, kind in publication.outputs]),
            ),
            pip_requirements=list(publication.requirements),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow without telemetry, hints and progress bars of its own."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # noqa: TID251 - the library's only switch
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # noqa: TID251 - likewise
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # noqa: TID251 - likewise
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    yield


@contextmanager
def _told_as_unavailable(what: str) -> Iterator[None]:
    with _quiet():
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise NotFound(f"model {what!r} is not in the registry") from error
            raise Unavailable(f"the registry failed on {what!r}: {error.message}") from error

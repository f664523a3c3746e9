"""Which version an alias of the registry means now, without loading MLflow: that takes seconds, this a moment.

A server is asked over MLflow's REST API, a SQLite registry is read in place. Where neither answers as expected
(a password is asked for, tables look different), MLflow itself is asked.
"""

from __future__ import annotations

import json
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

from spira.infra.mlflow_registry import DIGEST_TAG, MlflowRegistry, RegisteredVersion
from spira.kernel.errors import NotFound

_TIMEOUT_S = 10.0
_ALIAS = "/api/2.0/mlflow/registered-models/alias"
_SQL = """
    SELECT a.version, v.run_id, t.value FROM registered_model_aliases a
    JOIN model_versions v ON v.name = a.name AND v.version = a.version AND v.workspace = a.workspace
    LEFT JOIN model_version_tags t
        ON t.name = a.name AND t.version = a.version AND t.workspace = a.workspace AND t.key = ?
    WHERE a.name = ? AND a.alias = ?
"""


def version_behind(tracking_uri: str, artifact_root: str | Path, *, name: str, alias: str) -> RegisteredVersion | None:
    """None when there is no such model or alias. Raises Unavailable when the registry does not answer."""
    try:
        if tracking_uri.startswith("sqlite:///"):
            return _of_file(Path(tracking_uri.removeprefix("sqlite:///")), name=name, alias=alias)
        if tracking_uri.startswith(("http:", "https:")):
            return _of_server(tracking_uri.rstrip("/"), name=name, alias=alias)
    except (sqlite3.Error, urllib.error.URLError, TimeoutError, ValueError, KeyError):
        pass  # MLflow's own client knows better what is wrong
    try:
        return MlflowRegistry(tracking_uri, artifact_root).resolve(name, alias)
    except NotFound:
        return None


def _of_file(file: Path, *, name: str, alias: str) -> RegisteredVersion | None:
    if not file.is_file():
        return None
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute(_SQL, (DIGEST_TAG, name, alias)).fetchone()
    if row is None:
        return None
    version, run_id, digest = row
    return RegisteredVersion(name=name, version=str(version), digest=digest or "", run_id=run_id or "")


def _of_server(address: str, *, name: str, alias: str) -> RegisteredVersion | None:
    query = urllib.parse.urlencode({"name": name, "alias": alias})
    try:
        with urllib.request.urlopen(f"{address}{_ALIAS}?{query}", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - http(s) only
            found = json.load(answer)["model_version"]
    except urllib.error.HTTPError as error:
        with error:
            told = error.read()
        if error.code in {400, 404} and json.loads(told).get("error_code") in _ABSENT:
            return None
        raise
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    version, run_id = str(found["version"]), str(found.get("run_id", ""))
    return RegisteredVersion(name=name, version=version, digest=tags.get(DIGEST_TAG, ""), run_id=run_id)


_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}

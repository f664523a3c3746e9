"""An alias asked of a tracking server over its REST API. The SQLite registry is tried with real training runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from spira.infra.mlflow_registry import DIGEST_TAG, RegisteredVersion
from spira.infra.registry_aliases import version_behind

KNOWN = {"name": "m", "version": "3", "run_id": "r", "tags": [{"key": DIGEST_TAG, "value": "abc"}]}


class Registry(BaseHTTPRequestHandler):
    """Answers as MLflow 3 does for an alias that exists, and for one that does not."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        is_known = self.path.startswith("/api/2.0/mlflow/registered-models/alias?") and asked["alias"] == ["production"]
        body = {"model_version": KNOWN} if is_known else {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}
        data = json.dumps(body).encode()
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on the console."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_tells_version_run_and_digest(address: str) -> None:
    found = version_behind(address, "", name="m", alias="production")

    assert found == RegisteredVersion(name="m", version="3", digest="abc", run_id="r")


def test_an_alias_that_a_server_does_not_know_is_nothing(address: str) -> None:
    assert version_behind(address + "/", "", name="m", alias="staging") is None


def test_a_registry_that_was_never_made_holds_nothing(tmp_path: object) -> None:
    assert version_behind(f"sqlite:///{tmp_path}/none.db", str(tmp_path), name="m", alias="production") is None

"""A Flask application with the house's plumbing; a process mounts its blueprints on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI

from spira.infra.http import access, problems, requests
from spira.infra.http.problems import ProblemDetails
from spira.kernel.errors import SpiraError

Checks = Mapping[str, Callable[[], object]]
"""What has to answer for the process to be ready, by name; a check raises when it does not."""

BEARER: list[dict[str, list[str]]] = [{"bearer": []}]
_PROBLEM = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}


def answers(*statuses: int, **documented: Any) -> dict[str, Any]:
    """For the API document: the problem answers of a route."""
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": {problems.MEDIA_TYPE: _PROBLEM}}
        for status in statuses
    } | documented


def new_app(
    *,
    title: str,
    version: str,
    checks: Checks,
    public_keys: Mapping[str, Any],
    private_key: Any = None,
    token_lifetime: timedelta = timedelta(minutes=30),
    max_body_bytes: int,
) -> OpenAPI:
    """Request ids, logs, problem details, access check, `/healthz`, `/readyz`, `/openapi.json` and `/docs`."""
    app = OpenAPI(
        "spira",
        info=Info(title=title, version=version),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        validation_error_model=ProblemDetails,
        validation_error_callback=problems.of_validation,
        doc_prefix="/docs",
        static_folder=None,
    )
    # the form's memory also bounds werkzeug's reading buffer, of 64 KiB and what is left of a line
    app.config.update(MAX_CONTENT_LENGTH=max_body_bytes, MAX_FORM_PARTS=64, MAX_FORM_MEMORY_SIZE=512 * 1024)
    requests.install(app)
    problems.install(app)
    access.install(app, public_keys=public_keys, private_key=private_key, lifetime=token_lifetime)
    for endpoint, page in app.view_functions.items():  # so far only the pages of the API document
        app.view_functions[endpoint] = access.public(partial(page))
    _mount_document(app)
    _mount_health(app, checks)
    return app


def _mount_document(app: OpenAPI) -> None:
    @app.route("/openapi.json")
    @access.public
    def document() -> Response:
        return jsonify(app.api_doc)


def _mount_health(app: OpenAPI, checks: Checks) -> None:
    @app.route("/healthz")
    @access.public
    def alive() -> Response:
        return jsonify(status="alive")

    @app.route("/readyz")
    @access.public
    def ready() -> tuple[Response, int]:
        found = {name: _outcome(check) for name, check in checks.items()}
        fine = all(outcome == "ok" for outcome in found.values())
        return jsonify(status="ready" if fine else "not ready", checks=found), 200 if fine else 503


def _outcome(check: Callable[[], object]) -> str:
    try:
        check()
    except SpiraError as error:
        return f"failed: {error}"
    return "ok"

"""A request's id and its one line in the log."""

from __future__ import annotations

import re
import time

import structlog
from flask import Flask, Response, g, request

from spira.infra.logs import get_logger
from spira.kernel.ids import new_id

HEADER = "X-Request-ID"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,128}")

log = get_logger()


def install(app: Flask) -> None:
    """Give each request of `app` an id (the caller's, when it has an acceptable form) and log its outcome."""
    app.before_request(_begin)
    app.after_request(_end)


def request_id() -> str:
    """The current request's id; travels as the trace id of what the request sets off."""
    return str(g.request_id)


def _begin() -> None:
    offered = request.headers.get(HEADER, "")
    g.request_id = offered if _ACCEPTED.fullmatch(offered) else new_id()
    g.started = time.monotonic()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers[HEADER] = g.request_id
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.path not in {"/healthz", "/readyz"}:
        log.info(
            "request",
            method=request.method,
            # the rule, not the path: what a caller types into a path may be a person's name
            route=request.url_rule.rule if request.url_rule else "",
            status=response.status_code,
            seconds=round(time.monotonic() - g.started, 4),
        )
    structlog.contextvars.unbind_contextvars("request_id")
    return response

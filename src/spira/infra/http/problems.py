"""Errors as problem details (RFC 9457): one table from the error tree to a status, one shape for every answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, json, request
from pydantic import BaseModel, Field, ValidationError
from werkzeug.exceptions import HTTPException

from spira.infra.logs import get_logger
from spira.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    SpiraError,
    Throttled,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"

STATUS_OF: tuple[tuple[type[SpiraError], int], ...] = (
    (InvalidInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (Throttled, 429),
    (Unavailable, 503),
)
"""The first class that fits gives the status; a bare SpiraError is 400."""

log = get_logger()


class FieldProblem(BaseModel):
    """One thing wrong with the request."""

    where: str = Field(description="The field, recording or header")
    what: str
    hint: str = ""


class ProblemDetails(BaseModel):
    """RFC 9457 problem details; `errors` names each field at fault."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str = Field(description="The request's id, as in X-Request-ID")
    errors: list[FieldProblem] = []


class TooLarge(InvalidInput):
    """A part of the body is over its limit."""


class UnsupportedMedia(InvalidInput):
    """The body is of a type that the route does not take."""


class Malformed(InvalidInput):
    """The body is not what its type says."""


_HTTP_ONLY: tuple[tuple[type[SpiraError], int], ...] = ((TooLarge, 413), (UnsupportedMedia, 415), (Malformed, 400))


def status_of(error: SpiraError) -> int:
    """The HTTP status that tells a caller what to do about `error`."""
    return next((status for kind, status in (*_HTTP_ONLY, *STATUS_OF) if isinstance(error, kind)), 400)


def problem(
    status: int, detail: str, *, problems: Iterable[Problem] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A finished problem response. `detail` is one sentence for a person; `problems` name what to mend."""
    details = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=f"urn:request:{g.get('request_id', '')}",
        errors=[FieldProblem(**one.as_dict()) for one in problems],
    )
    return Response(json.dumps(details.model_dump()), status=status, headers=headers, content_type=MEDIA_TYPE)


def install(app: Flask) -> None:
    """Every error that leaves a view of `app` becomes a problem response."""
    app.register_error_handler(SpiraError, _of_spira)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_bug)


def of_validation(error: ValidationError) -> Response:
    """The answer to a body, query or path that its pydantic model refused."""
    if _lacks_body(error):
        return _of_missing_body()
    found = problems_of(error)
    return problem(422, InvalidInput.of(found).args[0], problems=found)


def problems_of(error: ValidationError) -> list[Problem]:
    """Each refused field of a pydantic model, without the value that was sent (it may be personal)."""
    return [
        Problem(where=".".join(map(str, one["loc"])) or "body", what=one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_input=False, include_url=False)
    ]


def _lacks_body(error: ValidationError) -> bool:
    first = error.errors(include_url=False)[0]
    return first["loc"] == () and first.get("input") is None


def _of_missing_body() -> Response:
    if not request.is_json:
        return _of_spira(UnsupportedMedia("send the body as application/json"))
    return _of_spira(Malformed("the body is not valid JSON"))


def _of_spira(error: SpiraError) -> Response:
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Unavailable):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s if isinstance(error, Throttled) else 5))
        log.warning("unavailable", reason=str(error))
    problems = error.problems if isinstance(error, InvalidInput) else ()
    return problem(status, str(error), problems=problems, headers=headers)


def _of_http(error: HTTPException) -> Response | Any:
    if error.response is not None:  # a finished answer, as the validation of a model makes it
        return error.response
    status = error.code or 500
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return problem(status, error.description or HTTPStatus(status).phrase, headers=headers)


def _of_bug(error: Exception) -> Response:
    log.error("unexpected-error", exc_info=error)
    return problem(500, "something unexpected went wrong; quote the instance to whoever runs this service")

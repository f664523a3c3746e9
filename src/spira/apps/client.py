"""A client of the serving API: sign in, submit, wait. Errors come back as the same tree that the server raised."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, cast

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from spira.kernel.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Problem,
    SpiraError,
    Unauthenticated,
    Unavailable,
)
from spira.kernel.ids import new_id

_ERROR_OF: dict[int, type[SpiraError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound, 409: Conflict}
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_again = retry(
    retry=retry_if_exception_type(Unavailable),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=0.2, max=5),
    reraise=True,
)


class Client:
    """One user's session. Every method raises the SpiraError that the server's problem stands for."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT)
        self.user_id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def sign_in(self, username: str, password: str) -> None:
        """Everything after this is done as `username`."""
        answer = self._call("POST", "/v1/users/auth", data={"username": username, "password": password})
        self.user_id = answer["id"]
        self._http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def submit(self, *, model: str, recordings: Mapping[str, Path], fields: Mapping[str, str]) -> dict[str, Any]:
        """The receipt. Repeated when the answer got lost; the key makes sure that one request comes of it."""
        return self._submit(new_id(), model, recordings, fields)

    def result(self, inference_id: str, *, timeout_s: float) -> dict[str, Any]:
        """Waits for the end of the inference; raises Unavailable after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        pause = 0.1
        while True:
            answer = self._get(f"/v1/users/{self.user_id}/inferences/{inference_id}/result")
            if answer["inference"]["status"] != "processing":
                return answer
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"inference {inference_id} is still processing after {timeout_s:g} s; ask again later"
                )
            time.sleep(pause)
            pause = min(1.5 * pause, 1.0)

    @_again
    def _submit(
        self, key: str, model: str, recordings: Mapping[str, Path], fields: Mapping[str, str]
    ) -> dict[str, Any]:
        with ExitStack() as opened:
            files = {
                name: (name, opened.enter_context(path.open("rb")), "application/octet-stream")
                for name, path in recordings.items()
            }
            return self._call(
                "POST",
                f"/v1/users/{self.user_id}/inferences",
                data={"model_id": model, **fields},
                files=files,
                headers={"Idempotency-Key": key},
            )

    @_again
    def _get(self, path: str) -> dict[str, Any]:
        return self._call("GET", path)

    def _call(self, method: str, path: str, **rest: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, path, **rest)
        except httpx.TransportError as error:
            raise Unavailable(f"no answer from {self._http.base_url}: {error}") from error
        if response.is_error:
            raise _error(response)
        return cast(dict[str, Any], response.json())


def _error(response: httpx.Response) -> SpiraError:
    try:
        told = response.json()
        detail = str(told["detail"])
        problems = [Problem(**one) for one in told.get("errors", [])]
    except (ValueError, KeyError, TypeError):
        detail, problems = f"HTTP {response.status_code} {response.reason_phrase}", []
    if response.is_server_error or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Unavailable(detail)
    kind = _ERROR_OF.get(response.status_code)
    return kind(detail) if kind else InvalidInput(detail, problems=problems)

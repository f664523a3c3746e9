"""From a multipart request to a `Submission`."""

from __future__ import annotations

import re

from flask import request
from werkzeug.datastructures import FileStorage

from spira.infra.http.access import principal
from spira.infra.http.problems import TooLarge, UnsupportedMedia
from spira.infra.http.requests import request_id
from spira.infra.http.uploads import part_of
from spira.kernel.errors import InvalidInput, Problem
from spira.serving.core.recordings import RECORDINGS, name_of
from spira.serving.use_cases.accept import Submission, Upload

_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def read_submission() -> Submission:
    """Raises UnsupportedMedia, TooLarge that names the recording, or InvalidInput that names the fields."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMedia("send the recordings as multipart/form-data")
    fields, found = _fields()
    recordings, more = _recordings()
    if found or more:
        raise InvalidInput.of([*found, *more])
    return Submission(
        principal=principal(),
        model=fields.pop("model_id"),
        fields=fields,
        recordings=recordings,
        idempotency_key=_idempotency_key(),
        trace_id=request_id(),
    )


def _fields() -> tuple[dict[str, str], list[Problem]]:
    found: list[Problem] = []
    fields: dict[str, str] = {}
    for name, values in request.form.lists():
        if name_of(name) is not None:
            found.append(Problem(where=name, what="came as text", hint="send it as a file, with a file name"))
        elif len(values) > 1:
            found.append(Problem(where=name, what="was sent more than once"))
        fields[name] = values[0]
    if not fields.get("model_id"):
        found.append(Problem(where="model_id", what="is missing", hint="see /v1/models"))
    return fields, found


def _recordings() -> tuple[dict[str, Upload], list[Problem]]:
    found: list[Problem] = []
    recordings: dict[str, Upload] = {}
    for part, files in request.files.lists():
        name = name_of(part)
        if name is None:
            found.append(Problem(where=part[:64], what="is no recording", hint=f"send {', '.join(RECORDINGS)}"))
        elif len(files) > 1 or name in recordings:
            found.append(Problem(where=name, what="was sent more than once"))
        else:
            recordings[name] = _upload(name, files[0])
    # an empty part under an optional name is how the earlier clients say "skipped"
    return {name: one for name, one in recordings.items() if one.size or name not in {"sentence", "ambient"}}, found


def _upload(name: str, file: FileStorage) -> Upload:
    part = part_of(file)
    if part.too_large:
        what = f"is larger than {part.limit} bytes"
        raise TooLarge(f"{name}: {what}", problems=[Problem(where=name, what=what)])
    return Upload(stream=part, sha256=part.sha256, size=part.size)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and _KEY.fullmatch(key) is None:
        raise InvalidInput.of([Problem(where="Idempotency-Key", what="must be 1 to 128 visible ASCII characters")])
    return key

"""Stores from URLs: the one switch between embedded and real. Libraries load only when their URL asks for them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

from spira.infra.broker.port import Broker
from spira.infra.documents.port import Documents
from spira.infra.objects.port import Objects
from spira.kernel.errors import InvalidInput, Problem

SESSION_S = 10.0


def open_objects(url: str) -> Objects:
    """`file:FOLDER` or `s3://BUCKET/PREFIX?endpoint=URL`; raises InvalidInput on another scheme.

    Credentials for S3 come from boto3's ordinary sources, never from the URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        from spira.infra.objects.file_objects import FileObjects

        return FileObjects(_path(parts, url))
    if parts.scheme == "s3" and parts.netloc:
        from spira.infra.objects.s3_objects import S3Objects

        return S3Objects(bucket=parts.netloc, prefix=parts.path.strip("/"), endpoint=_option(parts, "endpoint") or None)
    raise _unknown(url, "file:FOLDER or s3://BUCKET/PREFIX?endpoint=URL")


def open_documents(url: str) -> Documents:
    """`sqlite:FILE` or `mongodb://HOST:PORT/DATABASE`; raises InvalidInput on another scheme."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from spira.infra.documents.sqlite_documents import SqliteDocuments

        return SqliteDocuments(_path(parts, url))
    if parts.scheme in {"mongodb", "mongodb+srv"} and parts.path.strip("/"):
        from spira.infra.documents.mongo_documents import MongoDocuments

        return MongoDocuments(url)
    raise _unknown(url, "sqlite:FILE or mongodb://HOST:PORT/DATABASE")


def open_broker(url: str) -> Broker:
    """`sqlite:FILE` or `kafka://HOST:PORT[,HOST:PORT…]`; raises InvalidInput on another scheme.

    Both take `?session_s=SECONDS`, after which a silent member loses its partitions (default 10).
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from spira.infra.broker.sqlite_broker import SqliteBroker

        return SqliteBroker(_path(parts, url), session_s=_session_s(parts))
    if parts.scheme == "kafka" and parts.netloc:
        from spira.infra.broker.kafka_broker import KafkaBroker

        return KafkaBroker(parts.netloc.split(","), session_s=_session_s(parts))
    raise _unknown(url, "sqlite:FILE or kafka://HOST:PORT[,HOST:PORT…]")


def _path(parts: SplitResult, url: str) -> Path:
    """Of `file:var/x` (relative), `file:/var/x` and `file:///var/x` (absolute)."""
    if not parts.path or parts.netloc:
        raise _unknown(url, f"{parts.scheme}:PATH")
    return Path(parts.path)


def _option(parts: SplitResult, name: str) -> str:
    return parse_qs(parts.query).get(name, [""])[-1]


def _session_s(parts: SplitResult) -> float:
    text = _option(parts, "session_s")
    try:
        seconds = float(text) if text else SESSION_S
    except ValueError:
        seconds = 0.0
    if seconds > 0:
        return seconds
    raise InvalidInput.of([Problem(where="session_s", what=f"{text!r} is no positive number of seconds")])


def _unknown(url: str, known: str) -> InvalidInput:
    """The URL may hold a password: only its scheme is told."""
    scheme = url.partition(":")[0][:20]
    return InvalidInput.of([Problem(where="store URL", what=f"'{scheme}:…' is not understood", hint=known)])

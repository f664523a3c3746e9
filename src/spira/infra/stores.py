"""Stores from URLs: the one switch between embedded and real. Libraries load only when their URL asks for them."""

from __future__ import annotations

from spira.infra.broker.port import Broker
from spira.infra.documents.port import Documents
from spira.infra.objects.port import Objects


def open_objects(url: str) -> Objects:
    """`file:FOLDER` or `s3://BUCKET/PREFIX?endpoint=URL`; raises InvalidInput on another scheme."""
    raise NotImplementedError


def open_documents(url: str) -> Documents:
    """`sqlite:FILE` or `mongodb://HOST:PORT/DATABASE`; raises InvalidInput on another scheme."""
    raise NotImplementedError


def open_broker(url: str) -> Broker:
    """`sqlite:FILE` or `kafka://HOST:PORT[,HOST:PORT…]`; raises InvalidInput on another scheme."""
    raise NotImplementedError

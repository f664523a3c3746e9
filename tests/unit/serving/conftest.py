"""Embedded stores in a temporary folder, and a broker whose messages tests make by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from spira.infra.broker.port import Broker
from spira.infra.documents.port import Documents
from spira.infra.stores import open_broker, open_documents, open_objects
from spira.privacy.sealed_objects import IdentityCipher, SealedObjects
from spira.serving.use_cases import models


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    opened = open_documents(f"sqlite:{tmp_path}/documents.sqlite3")
    models.declare(opened)
    return opened


@pytest.fixture
def objects(tmp_path: Path) -> SealedObjects:
    return SealedObjects(open_objects(f"file:{tmp_path}/objects"), IdentityCipher())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with closing(open_broker(f"sqlite:{tmp_path}/broker.sqlite3")) as opened:
        yield opened

"""One URL chooses the store; what can't be understood is told without its secrets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spira.infra.documents.port import Collection
from spira.infra.per_process import PerProcess
from spira.infra.stores import open_broker, open_documents, open_objects
from spira.kernel.errors import InvalidInput, Unavailable


@pytest.mark.parametrize("form", ["file:{}", "file://{}"])
def test_a_folder_is_an_object_store(form: str, tmp_path: Path) -> None:
    open_objects(form.format(tmp_path / "o")).put("a", b"x")

    assert (tmp_path / "o" / "a").read_bytes() == b"x"


def test_a_relative_path_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    open_objects("file:var/o").put("a", b"x")

    assert (tmp_path / "var" / "o" / "a").exists()


@pytest.mark.parametrize("open_store", [open_objects, open_documents, open_broker])
@pytest.mark.parametrize(
    "url", ["", "file", "ftp://user:s3cret@host/x", "file:", "sqlite:", "s3:", "kafka:", "mongodb://h"]
)
def test_a_url_that_is_not_understood_is_told_without_its_secrets(
    open_store: Callable[[str], object], url: str
) -> None:
    with pytest.raises(InvalidInput, match="store URL") as error:
        open_store(url)

    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan"])
def test_a_session_must_be_a_positive_number(seconds: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="session_s"):
        open_broker(f"sqlite:{tmp_path / 'b'}?session_s={seconds}")


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "documents"
    path.write_bytes(b"not a database at all" * 100)

    with pytest.raises(Unavailable, match="documents"):
        open_documents(f"sqlite:{path}").declare(Collection(name="people"))


def test_embedded_stores_load_no_library_of_a_server() -> None:
    code = (
        "import sys; from spira.infra.stores import *; open_objects('file:x'); open_documents('sqlite:x');"
        "open_broker('sqlite:x'); print([m for m in ('boto3', 'pymongo', 'kafka') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_a_client_is_made_once_closed_once_and_made_again_after_that() -> None:
    made: list[object] = []
    closed: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    clients = PerProcess(make, close=closed.append)
    assert clients.get() is clients.get()
    clients.close()
    clients.close()
    assert closed == made
    clients.get()
    del clients

    assert len(made) == 2
    assert closed == made

"""What only one technology of the object stores can get wrong."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spira.infra.objects.file_objects import LEFTOVER_AGE_S, FileObjects
from spira.infra.stores import open_objects
from spira.kernel.errors import Unavailable
from spira.kernel.ids import new_id


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_writer_killed_between_write_and_name_leaves_nothing_visible(
    tmp_path: Path, killed: Callable[[Callable[[], object]], None], if_absent: bool
) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        Path.replace = die  # type: ignore[assignment,method-assign]  # this process lives for one put
        os.link = die  # type: ignore[assignment]  # as above
        FileObjects(tmp_path).put("a", b"x", if_absent=if_absent)

    killed(work)

    assert list(FileObjects(tmp_path).list()) == []
    assert len(list((tmp_path / ".incoming").iterdir())) == 1


def test_a_temporary_file_is_removed_when_it_is_old(tmp_path: Path) -> None:
    staging = tmp_path / ".incoming"
    staging.mkdir()
    old, recent = staging / "old", staging / "recent"
    for path in (old, recent):
        path.write_bytes(b"x")
    os.utime(old, (0, time.time() - LEFTOVER_AGE_S - 1))

    FileObjects(tmp_path).put("a", b"x")

    assert not old.exists()
    assert recent.exists()


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path)
    objects.put("old", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unavailable, match="nothing was changed"):
            objects.put("new", bytes(3_000_000))
        with pytest.raises(Unavailable):
            objects.put("old", bytes(3_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert [found.key for found in objects.list()] == ["old"]
    assert objects.get("old") == b"old"
    assert list((tmp_path / ".incoming").iterdir()) == []


def test_a_root_that_is_no_folder_is_unavailable(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_bytes(b"")

    with pytest.raises(Unavailable):
        FileObjects(root).put("a", b"x")


def test_files_are_private_to_their_owner(tmp_path: Path) -> None:
    FileObjects(tmp_path / "root").put("a/b", b"x")

    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "root").rglob("*")}

    assert modes == {"a": 0, "b": 0, ".incoming": 0}


def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    objects = open_objects("s3://bucket/prefix?endpoint=http://127.0.0.1:9")

    with pytest.raises(Unavailable):
        objects.get("a")


@pytest.mark.real
def test_a_listing_longer_than_a_page_is_complete() -> None:
    server = os.environ.get("SPIRA_TEST_S3", "")  # noqa: TID251  # tests are an entry point
    if not server:
        pytest.skip("no server: SPIRA_TEST_S3 is not set (make servers)")
    objects = open_objects(f"s3://spira-contracts/{new_id()}?endpoint={server}")
    keys = [f"n/{number:04}" for number in range(1005)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: objects.put(key, b""), keys))

    assert [found.key for found in objects.list("n/")] == keys

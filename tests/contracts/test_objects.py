"""What every object store does: `spira.infra.objects.port` put to the test."""

from __future__ import annotations

import hashlib
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spira.infra.objects.port import Objects
from spira.infra.stores import open_objects
from spira.kernel.errors import Conflict, InvalidInput, NotFound
from spira.kernel.ids import sha256_of_stream

BIG = 9 << 20
"""More than one part of a multipart upload."""


class DyingStream(io.RawIOBase):
    """Gives some megabytes and then ends its process, or raises."""

    def __init__(self, *, at: int, kill: bool) -> None:
        self._left = at
        self._kill = kill

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self._left <= 0:
            if self._kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ConnectionResetError("the client went away")
        given = min(size, self._left)
        self._left -= given
        return bytes(given)


@pytest.fixture
def objects(objects_url: str) -> Objects:
    return open_objects(objects_url)


def test_what_was_put_is_there_with_its_size_and_digest(objects: Objects) -> None:
    stored = objects.put("samples/s-1/vowel.wav", b"RIFF")

    assert objects.get("samples/s-1/vowel.wav") == b"RIFF"
    assert objects.stat("samples/s-1/vowel.wav").size == stored.size == 4
    assert stored.sha256 == hashlib.sha256(b"RIFF").hexdigest()


def test_bytes_streams_and_files_are_stored_alike(objects: Objects, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"abc")

    stored = [objects.put("x/1", b"abc"), objects.put("x/2", io.BytesIO(b"abc")), objects.put("x/3", file)]

    assert {one.sha256 for one in stored} == {hashlib.sha256(b"abc").hexdigest()}
    assert [objects.get(one.key) for one in stored] == [b"abc"] * 3


def test_an_object_may_be_empty(objects: Objects) -> None:
    objects.put("empty", b"")

    assert objects.get("empty") == b""
    assert objects.stat("empty").size == 0


@pytest.mark.parametrize("size", [8 << 20, BIG + 1])
def test_a_big_stream_arrives_whole(objects: Objects, size: int) -> None:
    data = os.urandom(1 << 16) * (size >> 16) + bytes(size % (1 << 16))

    stored = objects.put("big", io.BytesIO(data))

    assert stored.sha256 == hashlib.sha256(data).hexdigest()
    assert objects.stat("big").size == stored.size == size
    with objects.open("big") as stream:
        assert sha256_of_stream(iter(lambda: stream.read(1 << 20), b"")) == stored.sha256


def test_a_second_put_replaces_the_first(objects: Objects) -> None:
    objects.put("a", b"one")
    objects.put("a", b"two!")

    assert objects.get("a") == b"two!"
    assert objects.stat("a").size == 4


def test_a_reader_that_has_opened_an_object_keeps_what_it_opened(objects: Objects) -> None:
    objects.put("a", b"one")

    with objects.open("a") as stream:
        objects.put("a", b"two")
        assert stream.read() == b"one"


@pytest.mark.parametrize("size", [3, BIG])
def test_a_conditional_put_keeps_what_is_there(objects: Objects, size: int) -> None:
    objects.put("a", b"first", if_absent=True)

    with pytest.raises(Conflict, match="'a'"):
        objects.put("a", bytes(size), if_absent=True)

    assert objects.get("a") == b"first"


@pytest.mark.parametrize("size", [10, BIG])
def test_of_eight_contenders_exactly_one_succeeds(
    objects_url: str, contest: Callable[[int, Callable[[int], Any]], list[Any]], size: int
) -> None:
    def play(number: int) -> bool:
        try:
            open_objects(objects_url).put("prize", bytes([number]) * size, if_absent=True)
        except Conflict:
            return False
        return True

    won = contest(8, play)

    assert won.count(True) == 1
    assert open_objects(objects_url).get("prize") == bytes([won.index(True)]) * size


def test_readers_see_the_old_bytes_or_the_new_ones(
    objects_url: str, contest: Callable[[int, Callable[[int], Any]], list[Any]]
) -> None:
    size = 300_000
    open_objects(objects_url).put("a", b"0" * size)

    def play(number: int) -> bool:
        objects = open_objects(objects_url)
        if number < 2:
            for _ in range(20):
                objects.put("a", str(number).encode() * size)
            return True
        seen = [objects.get("a") for _ in range(40)]
        return all(len(data) == size and len(set(data)) == 1 for data in seen)

    assert all(contest(4, play))


def test_a_missing_object_is_not_found_at_once(objects: Objects) -> None:
    for ask in (objects.get, objects.open, objects.stat):
        with pytest.raises(NotFound, match="'no/such'"):
            ask("no/such")


def test_a_folder_of_objects_is_no_object(objects: Objects) -> None:
    objects.put("a/b", b"x")

    for ask in (objects.get, objects.open, objects.stat):
        with pytest.raises(NotFound):
            ask("a")


def test_a_key_is_not_both_an_object_and_a_parent(objects: Objects) -> None:
    objects.put("a/b", b"x")
    objects.put("c", b"x")

    with pytest.raises(Conflict):
        objects.put("a", b"y")
    with pytest.raises(Conflict):
        objects.put("c/d", b"y")

    assert [found.key for found in objects.list()] == ["a/b", "c"]


def test_deleted_objects_are_gone_and_deleting_nothing_is_no_error(objects: Objects) -> None:
    objects.put("a/b/c", b"x")

    objects.delete("a/b/c")
    objects.delete("a/b/c")

    assert list(objects.list()) == []
    objects.put("a", b"its former parents are free again")
    assert objects.get("a")


def test_listing_goes_by_prefix_in_the_order_of_keys(objects: Objects) -> None:
    keys = ["a-b/x", "a.b", "a/b/c", "a/b", "a0", "b/a"]
    keys.remove("a/b")
    for key in reversed(keys):
        objects.put(key, key.encode())

    assert [found.key for found in objects.list()] == sorted(keys)
    assert [found.key for found in objects.list("a/")] == ["a/b/c"]
    assert [found.key for found in objects.list("a/b")] == ["a/b/c"]
    assert [(found.key, found.size) for found in objects.list("a0")] == [("a0", 2)]
    assert list(objects.list("zzz/")) == list(objects.list("../")) == []


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a/.b", "a b", "á", "a\n", "k" * 600])
def test_a_key_that_could_escape_or_hide_is_refused(objects: Objects, key: str) -> None:
    for ask in (objects.get, objects.open, objects.stat, objects.delete, lambda key: objects.put(key, b"")):
        with pytest.raises(InvalidInput, match="key"):
            ask(key)


def test_a_file_that_cannot_be_read_is_named(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="gone\\.wav"):
        objects.put("a", tmp_path / "gone.wav")


@pytest.mark.parametrize("at", [5 << 20, BIG])
def test_a_writer_killed_in_the_middle_leaves_nothing_visible(
    objects_url: str, killed: Callable[[Callable[[], object]], None], at: int
) -> None:
    objects = open_objects(objects_url)
    objects.put("old", b"old")

    for key in ("new", "old"):
        killed(lambda key=key: open_objects(objects_url).put(key, DyingStream(at=at, kill=True)))  # type: ignore[misc,arg-type]  # a raw stream reads

    assert [found.key for found in objects.list()] == ["old"]
    assert objects.get("old") == b"old"


@pytest.mark.parametrize("at", [5 << 20, BIG])
def test_a_stream_that_fails_leaves_nothing_visible(objects: Objects, at: int) -> None:
    with pytest.raises(ConnectionResetError):
        objects.put("new", DyingStream(at=at, kill=False))  # type: ignore[arg-type]  # a raw stream reads

    assert list(objects.list()) == []

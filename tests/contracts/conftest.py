"""One URL per adapter and test, each with fresh names; and processes that contend or die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spira.kernel.ids import new_id

PATIENCE_S = 60.0
FORK = multiprocessing.get_context("fork")

Contest = Callable[[int, Callable[[int], Any]], list[Any]]
"""`contest(n, play)` runs `play(0)` … `play(n - 1)` in n processes that start at the same moment."""

Killed = Callable[[Callable[[], object]], None]
"""`killed(work)` runs `work` in a process that must die of SIGKILL, sent by itself."""


def _server(variable: str) -> str:
    address = os.environ.get(variable, "")  # noqa: TID251  # tests are an entry point
    if not address:
        pytest.skip(f"no server: {variable} is not set (make servers)")
    return address


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.real)])
def objects_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file:{tmp_path / 'objects'}"
    return f"s3://spira-contracts/{new_id()}?endpoint={_server('SPIRA_TEST_S3')}"


@pytest.fixture(params=["sqlite", pytest.param("mongodb", marks=pytest.mark.real)])
def documents_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'documents.sqlite3'}"
    return f"{_server('SPIRA_TEST_MONGODB')}/contracts"


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.real)])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Without a query; tests add the session that they need."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'broker.sqlite3'}"
    return f"kafka://{_server('SPIRA_TEST_KAFKA')}"


@pytest.fixture
def contest() -> Contest:
    return _contest


@pytest.fixture
def killed() -> Killed:
    return _killed


def _contest(contenders: int, play: Callable[[int], Any]) -> list[Any]:
    start, answers = FORK.Barrier(contenders), FORK.SimpleQueue()

    def run(number: int) -> None:
        try:
            start.wait(PATIENCE_S)
            answers.put((number, play(number), ""))
        except BaseException:  # noqa: BLE001  # the parent shows whatever went wrong here
            answers.put((number, None, traceback.format_exc()))

    processes = [FORK.Process(target=run, args=(number,)) for number in range(contenders)]
    for process in processes:
        process.start()
    results: dict[int, Any] = {}
    for _ in processes:
        number, result, failure = answers.get()
        assert not failure, failure
        results[number] = result
    for process in processes:
        process.join(PATIENCE_S)
    return [results[number] for number in range(contenders)]


def _killed(work: Callable[[], object]) -> None:
    process = FORK.Process(target=work)
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode == -signal.SIGKILL

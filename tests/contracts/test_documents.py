"""What every document store does: `spira.infra.documents.port` put to the test."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spira.infra.documents.port import Between, Collection, Document, Documents, OneOf, Scalar, update
from spira.infra.stores import open_documents
from spira.kernel.errors import Conflict, InvalidInput, NotFound
from spira.kernel.ids import new_id

Contest = Callable[[int, Callable[[int], Any]], list[Any]]


@pytest.fixture
def people() -> Collection:
    return Collection(name=f"people-{new_id()}", unique=(("hospital", "email"), ("badge",)), indexed=("age",))


@pytest.fixture
def documents(documents_url: str, people: Collection) -> Documents:
    store = open_documents(documents_url)
    store.declare(people)
    return store


def test_a_document_comes_back_as_it_went_in_with_version_1(documents: Documents, people: Collection) -> None:
    document = {
        "id": "p-1",
        "text": "Ção 🎤 \"quoted\" 'single'",
        "numbers": [0, -1, 2**40, 0.1, 1e300],
        "nested": {"yes": True, "no": False, "nothing": None, "empty": {}, "list": [{}, {"a": []}, None]},
    }

    stored = documents.insert(people.name, document)

    assert stored == documents.get(people.name, "p-1") == {**document, "version": 1}


def test_what_is_given_back_is_the_callers_own(documents: Documents, people: Collection) -> None:
    document: dict[str, Any] = {"id": "p", "tags": ["a"]}

    stored = documents.insert(people.name, document)
    stored["tags"].append("b")

    assert document == {"id": "p", "tags": ["a"]}
    assert documents.get(people.name, "p")["tags"] == ["a"]


def test_a_missing_document_is_not_found(documents: Documents, people: Collection) -> None:
    with pytest.raises(NotFound, match="'p-9'"):
        documents.get(people.name, "p-9")
    with pytest.raises(NotFound, match="'p-9'"):
        documents.replace(people.name, {"id": "p-9", "version": 1})


def test_an_id_is_taken_once(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "p", "n": 1})

    with pytest.raises(Conflict, match="same id"):
        documents.insert(people.name, {"id": "p", "n": 2})

    assert documents.get(people.name, "p")["n"] == 1


def test_a_unique_key_is_taken_once_and_the_conflict_names_it(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "1", "hospital": "h", "email": "a@b"})
    documents.insert(people.name, {"id": "2", "hospital": "other", "email": "a@b"})

    with pytest.raises(Conflict, match="hospital, email"):
        documents.insert(people.name, {"id": "3", "hospital": "h", "email": "a@b"})
    with pytest.raises(Conflict, match="hospital, email"):
        documents.replace(people.name, {"id": "2", "version": 1, "hospital": "h", "email": "a@b"})

    assert documents.count(people.name) == 2


def test_missing_and_null_fields_are_not_constrained(documents: Documents, people: Collection) -> None:
    rows: list[dict[str, Any]] = [{}, {}, {"badge": None}, {"badge": None}, {"hospital": "h"}, {"hospital": "h"}]

    for number, row in enumerate(rows):
        documents.insert(people.name, {"id": str(number), **row})

    assert documents.count(people.name) == len(rows)


def test_a_unique_key_is_free_after_delete_and_after_replace(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "1", "badge": "x"})
    documents.insert(people.name, {"id": "2", "badge": "y"})

    documents.delete(people.name, "1")
    documents.replace(people.name, {"id": "2", "version": 1, "badge": "z"})

    documents.insert(people.name, {"id": "3", "badge": "x"})
    documents.insert(people.name, {"id": "4", "badge": "y"})


def test_deleting_nothing_is_no_error(documents: Documents, people: Collection) -> None:
    documents.delete(people.name, "nobody")

    assert documents.count(people.name) == 0


def test_replace_counts_versions_and_keeps_nothing_of_the_old_one(documents: Documents, people: Collection) -> None:
    first = documents.insert(people.name, {"id": "p", "a": 1, "b": 1})

    second = documents.replace(people.name, {"id": "p", "a": 2, "version": first["version"]})

    assert second == documents.get(people.name, "p") == {"id": "p", "a": 2, "version": 2}


def test_replacing_a_stale_version_is_a_conflict(documents: Documents, people: Collection) -> None:
    first = documents.insert(people.name, {"id": "p", "a": 1})
    documents.replace(people.name, {**first, "a": 2})

    with pytest.raises(Conflict, match="version 2, not 1"):
        documents.replace(people.name, {**first, "a": 3})

    assert documents.get(people.name, "p")["a"] == 2


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "p", "a.b": 1}, "a.b"),
        ({"id": "p", "a": {"$set": 1}}, r"a\.\$set"),
        ({"id": "p", "a": [float("nan")]}, r"a\[0\]"),
        ({"id": "p", "a": [[1]]}, r"a\[0\]"),
        ({"id": "p", "a": 2**63}, "64 bits"),
        ({"id": "p", "a": b"x"}, "bytes"),
        ({"id": "p", "a": "\ud800"}, "UTF-8"),
        ({"id": "p", "_id": 1}, "_id"),
    ],
)
def test_what_no_store_could_hold_is_refused(
    documents: Documents, people: Collection, document: dict[str, Any], where: str
) -> None:
    with pytest.raises(InvalidInput, match=where):
        documents.insert(people.name, document)
    with pytest.raises(InvalidInput, match=where):
        documents.replace(people.name, {**document, "version": 1})


def test_replacing_without_a_version_is_refused(documents: Documents, people: Collection) -> None:
    with pytest.raises(InvalidInput, match="version"):
        documents.replace(people.name, {"id": "p"})


def test_a_collection_must_be_declared(documents: Documents) -> None:
    with pytest.raises(InvalidInput, match="'strangers' is not declared"):
        documents.insert("strangers", {"id": "p"})
    with pytest.raises(InvalidInput, match="collection"):
        documents.declare(Collection(name='x"; drop'))
    with pytest.raises(InvalidInput, match="field"):
        documents.declare(Collection(name="strangers", indexed=("a'b",)))


def test_find_sorts_skips_and_limits(documents: Documents, people: Collection) -> None:
    for number, (age, name) in enumerate([(30, "b"), (20, "c"), (30, "a"), (20, "c")]):
        documents.insert(people.name, {"id": str(number), "age": age, "name": name})

    def ids(**how: Any) -> list[str]:
        return [found["id"] for found in documents.find(people.name, **how)]

    assert ids() == ["0", "1", "2", "3"]
    assert ids(sort=("-id",)) == ["3", "2", "1", "0"]
    assert ids(sort=("age", "name")) == ["1", "3", "2", "0"]
    assert ids(sort=("-age", "name")) == ["2", "0", "1", "3"]
    assert ids(sort=("name",), skip=1, limit=2) == ["0", "1"]
    assert ids(limit=0) == ids(skip=9) == []
    assert ids(where={"age": 20}, sort=("-version",)) == ["1", "3"]


MIXED: list[dict[str, Any]] = [
    {"id": "0"},
    {"id": "1", "x": None},
    {"id": "2", "x": True},
    {"id": "3", "x": False},
    {"id": "4", "x": 0},
    {"id": "5", "x": 1},
    {"id": "6", "x": 1.5},
    {"id": "7", "x": -3},
    {"id": "8", "x": ""},
    {"id": "9", "x": "1"},
    {"id": "a", "x": "a"},
    {"id": "b", "x": "á"},
    {"id": "c", "x": "b", "y": 1},
    {"id": "d", "x": "b", "y": "1"},
]
SCALARS: st.SearchStrategy[Scalar] = st.sampled_from([None, True, False, 0, 1, 1.5, -3, 2, "", "1", "a", "á", "b", "z"])
NUMBERS = st.sampled_from([-4, -3, 0, 0.5, 1, 2])
TEXTS = st.sampled_from(["", "1", "a", "b", "z", "é"])
BETWEEN = st.one_of(
    st.builds(lambda low, high: Between(low=low, high=high), st.none() | NUMBERS, st.none() | NUMBERS),
    st.builds(lambda low, high: Between(low=low, high=high), st.none() | TEXTS, st.none() | TEXTS),
)
CONDITIONS = st.one_of(SCALARS, BETWEEN, st.builds(OneOf, st.lists(SCALARS, max_size=4).map(tuple)))


@pytest.fixture
def mixed(documents_url: str) -> tuple[Documents, str]:
    collection = Collection(name=f"mixed-{new_id()}", indexed=("x",))
    store = open_documents(documents_url)
    store.declare(collection)
    for row in MIXED:
        store.insert(collection.name, row)
    return store, collection.name


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=CONDITIONS, y=st.none() | CONDITIONS)
def test_find_agrees_with_its_definition(mixed: tuple[Documents, str], x: Any, y: Any) -> None:
    store, collection = mixed
    where = {"x": x} | ({} if y is None else {"y": y})

    found = [row["id"] for row in store.find(collection, where)]

    assert found == [
        row["id"] for row in MIXED if all(_matches(row.get(name), wanted) for name, wanted in where.items())
    ]
    assert store.count(collection, where) == len(found)


def _matches(value: Scalar, wanted: Scalar | Between | OneOf) -> bool:
    """The port's definition in plain Python."""
    if isinstance(wanted, OneOf):
        return any(_matches(value, one) for one in wanted.values)
    if isinstance(wanted, Between):
        bounds: list[Any] = [bound for bound in (wanted.low, wanted.high) if bound is not None]
        if value is None or not all(_kind(bound) is _kind(value) for bound in bounds):
            return False
        comparable: Any = value
        return (wanted.low is None or wanted.low <= comparable) and (wanted.high is None or comparable < wanted.high)
    return _kind(value) is _kind(wanted) and value == wanted


def _kind(value: Scalar) -> type:
    return float if type(value) is int else type(value)


def test_of_eight_contenders_with_one_version_exactly_one_succeeds(
    documents: Documents, documents_url: str, people: Collection, contest: Contest
) -> None:
    documents.insert(people.name, {"id": "p"})

    def play(number: int) -> bool:
        store = open_documents(documents_url)
        store.declare(people)
        try:
            store.replace(people.name, {"id": "p", "version": 1, "winner": number})
        except Conflict:
            return False
        return True

    won = contest(8, play)

    assert won.count(True) == 1
    assert documents.get(people.name, "p") == {"id": "p", "version": 2, "winner": won.index(True)}


def test_no_update_of_eight_contenders_is_lost(
    documents: Documents, documents_url: str, people: Collection, contest: Contest
) -> None:
    documents.insert(people.name, {"id": "p", "count": 0})

    def more(document: Document) -> Document:
        return {**document, "count": document["count"] + 1}

    def play(number: int) -> None:
        store = open_documents(documents_url)
        store.declare(people)
        for _ in range(5):
            update(store, people.name, "p", more, attempts=200)

    contest(8, play)

    assert documents.get(people.name, "p") == {"id": "p", "count": 40, "version": 41}


def test_of_eight_inserts_with_one_unique_key_exactly_one_succeeds(
    documents_url: str, people: Collection, contest: Contest
) -> None:
    def play(number: int) -> bool:
        store = open_documents(documents_url)
        store.declare(people)
        try:
            store.insert(people.name, {"id": str(number), "badge": "gold"})
        except Conflict:
            return False
        return True

    assert contest(8, play).count(True) == 1


def test_threads_and_forked_processes_share_a_store(documents: Documents, people: Collection, contest: Contest) -> None:
    def work(number: int) -> None:
        documents.insert(people.name, {"id": f"{os.getpid()}-{number}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    contest(2, work)

    assert documents.count(people.name) == 14


def test_what_was_acknowledged_survives_the_death_of_its_writer(
    documents: Documents, documents_url: str, people: Collection, killed: Callable[[Callable[[], object]], None]
) -> None:
    def work() -> None:
        store = open_documents(documents_url)
        store.declare(people)
        store.insert(people.name, {"id": "p", "a": 1})
        os.kill(os.getpid(), signal.SIGKILL)

    killed(work)

    assert documents.get(people.name, "p")["a"] == 1


def test_update_gives_the_new_document_or_leaves_the_old(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "p", "a": 1})

    changed = update(documents, people.name, "p", lambda document: {**document, "a": 2})
    unchanged = update(documents, people.name, "p", lambda _: None)

    assert changed == unchanged == {"id": "p", "a": 2, "version": 2}


def test_update_tells_of_a_unique_key_that_is_taken_at_once(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "1", "badge": "x"})
    documents.insert(people.name, {"id": "2"})
    calls: list[Document] = []

    def take(document: Document) -> Document:
        calls.append(document)
        return {**document, "badge": "x"}

    with pytest.raises(Conflict, match="badge"):
        update(documents, people.name, "2", take)
    assert len(calls) == 1


def test_update_gives_up_after_its_attempts(documents: Documents, people: Collection) -> None:
    documents.insert(people.name, {"id": "p", "a": 0})

    def lose(document: Document) -> Document:
        documents.replace(people.name, document)
        return document

    with pytest.raises(Conflict, match="3 attempts"):
        update(documents, people.name, "p", lose, attempts=3)

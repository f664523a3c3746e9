"""Signing in: who gets a token, who waits, and that nobody learns which names exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spira.identity.core import AccessToken, Credentials, NewHospital, NewUser
from spira.identity.ports import ATTEMPTS, USERS
from spira.identity.use_cases import people
from spira.identity.use_cases.sign_in import ThrottleRules, sign_in
from spira.infra.documents.port import Documents
from spira.infra.stores import open_documents
from spira.kernel.errors import Conflict, InvalidInput, NotFound, Throttled, Unauthenticated

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"


class PlainPasswords:
    """Reversible, and remembers what it was asked: fine for a test, for nothing else."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def hash(self, password: str) -> str:
        return f"hash of {password}"

    def matches(self, password: str, hashed: str | None) -> bool:
        self.asked.append(hashed)
        return hashed == f"hash of {password}"


class Door:
    """Sign-in with its surroundings, and a clock that a test moves."""

    def __init__(self, documents: Documents) -> None:
        self.documents, self.passwords, self.now = documents, PlainPasswords(), START

    def knock(self, password: str, *, username: str = "ana", address: str = "10.0.0.1") -> AccessToken:
        _, token = sign_in(
            Credentials(username=username, password=password),
            address=address,
            documents=self.documents,
            passwords=self.passwords,
            issue=lambda user: AccessToken(access_token=f"token of {user.username}", expires_in=60),
            clock=lambda: self.now,
            rules=ThrottleRules(per_user_and_address=3, per_address=5),
        )
        return token


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    opened = open_documents(f"sqlite:{tmp_path}/documents.sqlite3")
    people.declare(opened)
    return opened


@pytest.fixture
def door(documents: Documents) -> Door:
    door = Door(documents)
    new = NewUser(username="ana", email="ana@example.org", password=PASSWORD, role="operator")
    people.add_user(new, documents=documents, passwords=door.passwords, clock=lambda: START)
    return door


def test_the_right_password_gets_a_token(door: Door) -> None:
    assert door.knock(PASSWORD).access_token == "token of ana"


def test_a_wrong_password_and_a_stranger_are_told_the_same_after_the_same_work(door: Door) -> None:
    with pytest.raises(Unauthenticated) as wrong:
        door.knock("wrong password")
    with pytest.raises(Unauthenticated) as stranger:
        door.knock("wrong password", username="nobody")

    assert str(wrong.value) == str(stranger.value)
    assert len(door.passwords.asked) == 2


def test_an_inactive_user_is_a_stranger(door: Door, documents: Documents) -> None:
    (ana,) = documents.find(USERS.name)
    documents.replace(USERS.name, {**ana, "active": False})

    with pytest.raises(Unauthenticated):
        door.knock(PASSWORD)


def test_too_many_failures_shut_the_door_until_the_window_ends(door: Door) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            door.knock("wrong password")
    door.now = START + timedelta(minutes=5)

    with pytest.raises(Throttled) as refused:
        door.knock(PASSWORD)
    door.now = START + timedelta(minutes=15)

    assert refused.value.retry_after_s == pytest.approx(600)
    assert door.knock(PASSWORD).expires_in == 60


def test_failures_elsewhere_don_t_shut_a_user_out(door: Door) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            door.knock("wrong password", address="10.6.6.6")

    assert door.knock(PASSWORD).expires_in == 60


def test_an_address_that_tries_many_names_is_shut_out(door: Door) -> None:
    for number in range(5):
        with pytest.raises(Unauthenticated):
            door.knock("guess", username=f"name-{number}")

    with pytest.raises(Throttled):
        door.knock(PASSWORD)


def test_a_success_forgets_the_failures_before_it(door: Door) -> None:
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            door.knock("wrong password")
        door.knock(PASSWORD)
        with pytest.raises(Unauthenticated):
            door.knock("wrong password")
        door.knock(PASSWORD)


def test_the_counters_carry_no_names(door: Door, documents: Documents) -> None:
    with pytest.raises(Unauthenticated):
        door.knock("wrong password")

    assert "ana" not in str(documents.find(ATTEMPTS.name))


def test_names_of_users_and_hospitals_are_unique(door: Door, documents: Documents) -> None:
    people.add_hospital(NewHospital(name="HC"), documents=documents, clock=lambda: START)
    again = NewUser(username="ana", email="other@example.org", password=PASSWORD, role="admin")

    with pytest.raises(Conflict):
        people.add_user(again, documents=documents, passwords=door.passwords, clock=lambda: START)
    with pytest.raises(Conflict):
        people.add_hospital(NewHospital(name="HC"), documents=documents, clock=lambda: START)


def test_a_user_of_an_unknown_hospital_is_refused(door: Door, documents: Documents) -> None:
    new = NewUser(username="bea", email="bea@example.org", password=PASSWORD, hospital_id="nowhere")

    with pytest.raises(InvalidInput, match="hospital_id"):
        people.add_user(new, documents=documents, passwords=door.passwords, clock=lambda: START)
    with pytest.raises(NotFound, match="nowhere"):
        people.find_hospital("nowhere", documents=documents)


@pytest.mark.parametrize(
    "change",
    [
        {"username": "Ana"},
        {"username": "a"},
        {"email": "nobody"},
        {"password": "short"},
        {"password": "xx ana ana ana"},
        {"password_confirmation": "something else"},
        {"role": "king"},
        {"role": "clinician"},
        {"surprise": 1},
    ],
)
def test_an_unacceptable_user_is_refused(change: dict[str, object]) -> None:
    fine = {"username": "ana", "email": "ana@example.org", "password": PASSWORD, "role": "admin"}

    with pytest.raises(ValueError, match="validation error"):
        NewUser.model_validate(fine | change)

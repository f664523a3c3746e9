"""Hospitals and users: adding and reading them."""

from __future__ import annotations

from spira.identity.core import Hospital, NewHospital, NewUser, User
from spira.identity.ports import COLLECTIONS, HOSPITALS, USERS, Passwords
from spira.infra.documents.port import Documents
from spira.kernel.clock import Clock
from spira.kernel.errors import InvalidInput, NotFound, Problem
from spira.kernel.ids import new_id


def declare(documents: Documents) -> None:
    """Make the collections; idempotent."""
    for collection in COLLECTIONS:
        documents.declare(collection)


def add_hospital(new: NewHospital, *, documents: Documents, clock: Clock) -> Hospital:
    """Raises Conflict when the name is taken."""
    hospital = Hospital(id=new_id(), created_at=clock(), name=new.name)
    return Hospital.model_validate(documents.insert(HOSPITALS.name, hospital.document()))


def list_hospitals(*, documents: Documents) -> list[Hospital]:
    """All hospitals, by name."""
    return [Hospital.model_validate(one) for one in documents.find(HOSPITALS.name, sort=("name",))]


def find_hospital(name_or_id: str, *, documents: Documents) -> Hospital:
    """Raises NotFound."""
    for field in ("id", "name"):
        for found in documents.find(HOSPITALS.name, {field: name_or_id}, limit=1):
            return Hospital.model_validate(found)
    raise NotFound(f"hospital {name_or_id!r} does not exist; `spira hospitals list` shows those that do")


def add_user(new: NewUser, *, documents: Documents, passwords: Passwords, clock: Clock) -> User:
    """Raises InvalidInput on an unknown hospital, Conflict when the username or email is taken."""
    if new.hospital_id is not None and not documents.find(HOSPITALS.name, {"id": new.hospital_id}, limit=1):
        raise InvalidInput.of([Problem(where="hospital_id", what="no such hospital", hint="see /v1/hospitals")])
    user = User(
        id=new_id(),
        created_at=clock(),
        username=new.username,
        email=new.email.lower(),
        role=new.role,
        hospital_id=new.hospital_id,
        password_hash=passwords.hash(new.password),
    )
    return User.model_validate(documents.insert(USERS.name, user.document()))


def get_user(uid: str, *, documents: Documents) -> User:
    """Raises NotFound."""
    return User.model_validate(documents.get(USERS.name, uid))

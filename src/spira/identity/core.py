"""Users and hospitals: what they are and which values are acceptable."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spira.kernel.access import Role
from spira.kernel.stored import Stored

Username = Annotated[
    str, Field(pattern=r"^[a-z0-9](?:[a-z0-9._-]{1,62}[a-z0-9])$", description="3–64 of a-z 0-9 . _ -")
]
MIN_PASSWORD = 10
MAX_PASSWORD = 256
"""Argon2 reads all of it; the bound keeps a request from costing more than a sign-in should."""


class User(Stored):
    """Somebody, or a hospital's own system, that signs in. `password_hash` never leaves the subsystem."""

    username: str
    email: str
    role: Role
    hospital_id: str | None = None
    active: bool = True
    password_hash: str


class Hospital(Stored):
    """An institution whose people send requests."""

    name: str


class NewHospital(BaseModel):
    """What it takes to add a hospital."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=2, max_length=120)


class NewUser(BaseModel):
    """What it takes to add a user."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    username: Username
    email: str = Field(pattern=r"^[^@\s]{1,64}@[^@\s]{1,190}$", max_length=254)
    password: str = Field(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)
    password_confirmation: str | None = Field(default=None, max_length=MAX_PASSWORD)
    role: Role = "clinician"
    hospital_id: str | None = None

    @model_validator(mode="after")
    def _is_acceptable(self) -> NewUser:
        if self.password_confirmation is not None and self.password_confirmation != self.password:
            raise ValueError("password and password_confirmation differ")
        if self.username in self.password.lower():
            raise ValueError("the password may not contain the username")
        if self.role in {"clinician", "collector", "service"} and not self.hospital_id:
            raise ValueError(f"a {self.role} belongs to a hospital: name its hospital_id")
        return self


class Credentials(BaseModel):
    """What somebody types to sign in; bounded, otherwise unjudged so that every failure looks alike."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    username: str = Field(min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=MAX_PASSWORD)


class AccessToken(BaseModel):
    """Proof of a sign-in; `expires_in` in seconds."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    expires_in: int

"""Users, hospitals and sign-in over HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from flask import request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field, ValidationError

from spira.identity.core import Credentials, Hospital, NewHospital, NewUser, User
from spira.identity.ports import Passwords, TokenIssuer
from spira.identity.use_cases import people
from spira.identity.use_cases.sign_in import ThrottleRules, sign_in
from spira.infra.documents.port import Documents
from spira.infra.http.access import allow, public
from spira.infra.http.app import BEARER, answers
from spira.infra.http.problems import Malformed, UnsupportedMedia, problems_of
from spira.kernel.access import ROLES, Role
from spira.kernel.clock import Clock
from spira.kernel.errors import InvalidInput

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True)
class Services:
    """What the routes of identity work with."""

    documents: Documents
    passwords: Passwords
    issue: TokenIssuer
    clock: Clock
    throttle: ThrottleRules = field(default_factory=ThrottleRules)


class UserPath(BaseModel):
    uid: str = Field(description="The user's id")


class UserView(BaseModel):
    """A user as others see them."""

    id: str
    username: str
    email: str
    role: Role
    hospital_id: str | None
    active: bool


class HospitalView(BaseModel):
    id: str
    name: str


class HospitalList(BaseModel):
    hospitals: list[HospitalView]


class SignedIn(BaseModel):
    """A bearer token for the user `id`; `expires_in` in seconds."""

    id: str
    access_token: str
    token_type: Literal["bearer"]
    expires_in: int


_CREDENTIALS = Credentials.model_json_schema()
_SIGN_IN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": _CREDENTIALS} for kind in (FORM, "application/json")},
    }
}


def blueprint(services: Services) -> APIBlueprint:
    """The routes of identity below `/v1`."""
    api = APIBlueprint("identity", __name__, url_prefix="/v1", abp_tags=[Tag(name="identity")])
    _mount_users(api, services)
    _mount_hospitals(api, services)
    return api


def _mount_users(api: APIBlueprint, services: Services) -> None:
    @api.post(
        "/users/auth", responses=answers(400, 401, 415, 422, 429) | {200: SignedIn}, openapi_extensions=_SIGN_IN_BODY
    )
    @public
    def authenticate() -> dict[str, Any]:
        """Sign in: exchange username and password (form or JSON) for an access token."""
        user, token = sign_in(
            _read_credentials(),
            address=request.remote_addr or "",
            documents=services.documents,
            passwords=services.passwords,
            issue=services.issue,
            clock=services.clock,
            rules=services.throttle,
        )
        answer = SignedIn(id=user.id, token_type="bearer", **token.model_dump())  # noqa: S106 - how it is carried: RFC 6750
        return answer.model_dump()

    @api.post("/users", security=BEARER, responses=answers(400, 401, 403, 409, 415, 422) | {201: UserView})
    @allow("admin")
    def create_user(body: NewUser) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Add a user."""
        user = people.add_user(body, documents=services.documents, passwords=services.passwords, clock=services.clock)
        return _view(user), 201, {"Location": f"/v1/users/{user.id}"}

    @api.get("/users/<string:uid>", security=BEARER, responses=answers(401, 403, 404) | {200: UserView})
    @allow("admin", "auditor", own=ROLES)
    def get_user(path: UserPath) -> dict[str, Any]:
        """One user: oneself, or anybody for administrators and auditors."""
        return _view(people.get_user(path.uid, documents=services.documents))


def _mount_hospitals(api: APIBlueprint, services: Services) -> None:
    @api.get("/hospitals", security=BEARER, responses=answers(401) | {200: HospitalList})
    @allow(*ROLES)
    def list_hospitals() -> dict[str, Any]:
        """All hospitals."""
        found = people.list_hospitals(documents=services.documents)
        return {"hospitals": [_hospital_view(one) for one in found]}

    @api.post("/hospitals", security=BEARER, responses=answers(400, 401, 403, 409, 415, 422) | {201: HospitalView})
    @allow("admin")
    def create_hospital(body: NewHospital) -> tuple[dict[str, Any], int]:
        """Add a hospital."""
        return _hospital_view(people.add_hospital(body, documents=services.documents, clock=services.clock)), 201


def _view(user: User) -> dict[str, Any]:
    return UserView(**user.model_dump(include=set(UserView.model_fields))).model_dump()


def _hospital_view(hospital: Hospital) -> dict[str, Any]:
    return {"id": hospital.id, "name": hospital.name}


def _read_credentials() -> Credentials:
    sent: Any
    if request.is_json:
        sent = request.get_json(silent=True)
        if not isinstance(sent, dict):
            raise Malformed("the body is not a JSON object")
    elif request.mimetype in {FORM, "multipart/form-data"}:
        sent = request.form.to_dict()
    else:
        raise UnsupportedMedia(f"send username and password as {FORM} or application/json")
    try:
        return Credentials.model_validate(sent)
    except ValidationError as error:
        raise InvalidInput.of(problems_of(error)) from error

"""The access check: a policy written next to each route, enforced before the view, deny by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast, get_args

from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, get_jwt, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError

from spira.infra.logs import get_logger
from spira.kernel.access import Principal, Role
from spira.kernel.errors import Forbidden, Unauthenticated

ISSUER = "spira"
AUDIENCE = "spira-api"
ALGORITHM = "EdDSA"

View = TypeVar("View", bound=Callable[..., Any])
log = get_logger()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may call a route: everybody (`public`), a role on any record, or a role on its own records only.

    A record is the caller's own when the route's `uid` is the caller's id.
    """

    public: bool = False
    any_record: frozenset[Role] = frozenset()
    own_record: frozenset[Role] = frozenset()

    def permits(self, principal: Principal, *, uid: str | None) -> bool:
        return principal.role in self.any_record or (principal.role in self.own_record and uid == principal.id)


def public(view: View) -> View:
    """Anybody may call this route."""
    return _write(view, Policy(public=True))


def allow(*any_record: Role, own: tuple[Role, ...] = ()) -> Callable[[View], View]:
    """The roles `any_record` may call this route on any record, the roles `own` on their own ones."""
    policy = Policy(any_record=frozenset(any_record), own_record=frozenset(own))
    return lambda view: _write(view, policy)


def policy_of(view: Callable[..., Any]) -> Policy | None:
    """The policy written next to `view`, if any."""
    return cast(Policy | None, getattr(view, "access_policy", None))


def principal() -> Principal:
    """The caller of the current request; only on routes that are not public."""
    return cast(Principal, g.principal)


def install(
    app: Flask,
    *,
    public_keys: Mapping[str, Any],
    private_key: Any = None,
    lifetime: timedelta = timedelta(minutes=30),
) -> None:
    """Check every request of `app` against its route's policy; a route without a policy is closed to all.

    `public_keys` verify tokens by their `kid`; `private_key` signs, in a process that issues tokens.
    """
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ENCODE_NBF=True,
        JWT_DECODE_LEEWAY=5,
        JWT_ACCESS_TOKEN_EXPIRES=lifetime,
        JWT_PRIVATE_KEY=private_key,
        JWT_PUBLIC_KEY=next(iter(public_keys.values()), None),
    )
    manager = JWTManager(app)

    @manager.decode_key_loader
    def key_of(header: Mapping[str, Any], _claims: Mapping[str, Any]) -> Any:
        try:
            return public_keys[str(header.get("kid", ""))]
        except KeyError as error:
            raise Unauthenticated("the token was signed by an unknown key") from error

    app.before_request(_check)


def _write(view: View, policy: Policy) -> View:
    view.access_policy = policy  # type: ignore[attr-defined]  # functions carry attributes; wraps() keeps them
    return view


def _check() -> None:
    if request.endpoint is None or request.method == "OPTIONS":
        return  # no such route, or the list of methods: nothing to protect
    policy = policy_of(current_app.view_functions[request.endpoint])
    if policy is None:
        log.error("route-without-policy", endpoint=request.endpoint)
        raise Forbidden("this route is closed")
    if policy.public:
        return
    g.principal = _principal_of_token()
    uid = (request.view_args or {}).get("uid")
    if not policy.permits(g.principal, uid=uid):
        raise Forbidden(f"role {g.principal.role} may not do this here")


def _principal_of_token() -> Principal:
    try:
        verify_jwt_in_request()
    except (JWTExtendedException, PyJWTError) as error:
        raise Unauthenticated("the access token is missing, expired or wrong; sign in again") from error
    claims = get_jwt()
    if claims.get("role") not in get_args(Role):
        raise Unauthenticated("the access token names no known role; sign in again")
    return Principal(id=str(claims["sub"]), role=claims["role"], hospital_id=claims.get("hospital_id"))

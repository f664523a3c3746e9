"""Access tokens as JSON Web Tokens, signed by the application that `infra.http.access` was installed on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask_jwt_extended import create_access_token

from spira.identity.core import AccessToken, User


def jwt_issuer(*, kid: str, lifetime: timedelta) -> Callable[[User], AccessToken]:
    """A token issuer for use inside a request; `kid` names the key that the application signs with."""

    def issue(user: User) -> AccessToken:
        token = create_access_token(
            user.id,
            expires_delta=lifetime,
            additional_claims={"role": user.role, "hospital_id": user.hospital_id},
            additional_headers={"kid": kid},
        )
        return AccessToken(access_token=token, expires_in=int(lifetime.total_seconds()))

    return issue

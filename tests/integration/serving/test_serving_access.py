"""Who may call what: a policy at every route, the whole matrix of routes and roles, and forged tokens."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spira.identity.adapters.jwt_keys import load_or_create
from spira.infra.http.access import AUDIENCE, ISSUER, policy_of
from spira.kernel.access import ROLES, Role

ALL = set(ROLES)
NEW_USER = {"username": "new-user", "email": "n@example.org", "password": "correct horse battery", "role": "admin"}
MATRIX: list[tuple[str, str, set[Role], set[Role]]] = [
    # method, path, who may on another's record (or where there is no owner), who may on their own
    ("GET", "/v1/users/{uid}", {"admin", "auditor"}, ALL),
    ("POST", "/v1/users", {"admin"}, {"admin"}),
    ("GET", "/v1/hospitals", ALL, ALL),
    ("POST", "/v1/hospitals", {"admin"}, {"admin"}),
    ("GET", "/v1/models", ALL, ALL),
    ("GET", "/v1/models/{model_id}", ALL, ALL),
    ("POST", "/v1/models", {"admin", "operator"}, {"admin", "operator"}),
    ("PUT", "/v1/models/{model_id}", {"admin", "operator"}, {"admin", "operator"}),
    ("POST", "/v1/users/{uid}/inferences", set(), {"admin", "clinician", "service"}),
    ("GET", "/v1/users/{uid}/inferences", {"auditor"}, {"auditor", "admin", "clinician", "service"}),
    ("GET", "/v1/users/{uid}/inferences/{iid}", {"auditor"}, {"auditor", "admin", "clinician", "service"}),
    ("GET", "/v1/users/{uid}/inferences/{iid}/result", {"auditor"}, {"auditor", "admin", "clinician", "service"}),
]
PUBLIC = {"/v1/users/auth", "/healthz", "/readyz", "/openapi.json"}


def test_every_route_has_a_policy_next_to_it(site: Any) -> None:
    views = {rule.rule: site.app.view_functions[rule.endpoint] for rule in site.app.url_map.iter_rules()}

    assert [rule for rule, view in views.items() if policy_of(view) is None] == []


def test_the_matrix_names_every_route(site: Any) -> None:
    rules = [rule for rule in site.app.url_map.iter_rules() if not rule.rule.startswith("/docs")]
    paths = [(rule.rule.replace("<string:", "{").replace(">", "}"), rule.methods) for rule in rules]
    routes = {(method, path) for path, methods in paths for method in methods}
    named = {(method, path) for method, path, _, _ in MATRIX}

    assert {(m, p) for m, p in routes if m not in {"HEAD", "OPTIONS"} and p not in PUBLIC} == named


def test_every_role_may_what_the_matrix_says_and_nothing_else(site: Any) -> None:
    tokens = {role: {"Authorization": f"Bearer {site.token(role)}"} for role in ROLES}
    wrong: list[str] = []
    for method, path, others, own in MATRIX:
        for role in ROLES:
            stranger = "operator" if role != "operator" else "service"
            for uid, allowed in ((site.users[stranger], others), (site.users[role], own)):
                url = path.format(uid=uid, model_id=site.model_id, iid="0" * 8 + "-0000-7000-8000-" + "0" * 12)
                status = site.http.open(url, method=method, headers=tokens[role]).status_code
                if (status == 403) == (role in allowed) or status == 401:
                    wrong.append(f"{role} {method} {url}: {status}")

    assert wrong == []


def test_without_a_token_every_route_but_the_public_ones_is_closed(site: Any) -> None:
    answers = [
        site.http.open(path.format(uid="u", model_id="m", iid="i"), method=method) for method, path, _, _ in MATRIX
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


def test_a_route_without_a_policy_is_closed_even_to_administrators(site: Any) -> None:
    site.app._got_first_request = False
    site.app.add_url_rule("/v1/forgotten", view_func=lambda: "secret")

    assert site.call("admin", "GET", "/v1/forgotten").status_code == 403


def _forged(site: Any, kind: str) -> str:
    keys = load_or_create(site.folder / "keys")
    now = datetime.now(UTC)
    claims = {
        "sub": site.users["admin"],
        "role": "admin",
        "type": "access",
        "fresh": False,
        "jti": "1",
        "csrf": "x",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(minutes=5),
    }
    if kind == "expired":
        claims["exp"] = now - timedelta(minutes=1)
    if kind == "of another audience":
        claims["aud"] = "somebody else"
    if kind == "of another issuer":
        claims["iss"] = "somebody else"
    if kind == "with an invented role":
        claims["role"] = "king"
    if kind == "without a key id":
        return jwt.encode(claims, keys.private, algorithm="EdDSA")
    if kind == "signed by a stranger":
        return jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": keys.kid})
    if kind == "signed with the public key as a secret":
        raw = keys.public[keys.kid].public_bytes_raw()
        return jwt.encode(claims, raw, algorithm="HS256", headers={"kid": keys.kid})
    if kind == "unsigned":
        header = {"alg": "none", "typ": "JWT", "kid": keys.kid}
        plain = claims | {name: int(claims[name].timestamp()) for name in ("iat", "nbf", "exp")}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, plain)]
        return ".".join([*parts, ""])
    return jwt.encode(claims, keys.private, algorithm="EdDSA", headers={"kid": keys.kid})


def test_a_token_made_right_is_accepted(site: Any) -> None:
    answer = site.http.get("/v1/models", headers={"Authorization": f"Bearer {_forged(site, 'right')}"})

    assert answer.status_code == 200


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "kind",
    [
        "expired",
        "of another audience",
        "of another issuer",
        "with an invented role",
        "without a key id",
        "signed by a stranger",
        "signed with the public key as a secret",
        "unsigned",
    ],
)
def test_a_token_that_is_wrong_is_refused(site: Any, kind: str) -> None:
    answer = site.http.get("/v1/models", headers={"Authorization": f"Bearer {_forged(site, kind)}"})

    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "Bearer é.é.é"])
def test_garbage_in_place_of_a_token_is_refused(site: Any, header: str) -> None:
    answer = site.http.get("/v1/models", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"

"""Who is acting: what a verified token says, in words that every subsystem shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["admin", "operator", "clinician", "collector", "auditor", "service"]
"""admin: users and hospitals; operator: models; clinician: requests for patients; collector: gathers recordings;
auditor: reads what others did; service: a hospital's own system, acting like a clinician."""

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The user behind a request, as the token's issuer vouched for."""

    id: str
    role: Role
    hospital_id: str | None = None

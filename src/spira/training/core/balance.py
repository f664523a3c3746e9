"""What age and sex may decide: how strongly they tell the classes apart in training, and what is done about it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class BalanceConfig(BaseModel):
    """The policy on covariates and shortcuts of the people that are fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: Literal["none", "reweight", "match", "refuse"] = "none"
    """What is done about covariates: `reweight` people so that covariates tell less, `match` people and leave the
    others out, `refuse` a data set where a probe's bound is above `limit`; `none` only tells it."""
    covariates: tuple[Literal["age", "sex"], ...] = ("age", "sex")
    limit: float = Field(default=0.65, gt=0.5, lt=1.0)
    """Highest lower bound of the AUC of a probe on the people as they are weighted."""
    match_years: float = Field(default=3.0, ge=0.0, le=20.0)
    """`match`: largest difference of age within a set."""
    match_controls: int = Field(default=2, ge=1, le=10)
    """`match`: most controls for one patient."""

"""Changes to a recording that must not change what is found: how large each may be and what is tolerated."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BatteryConfig(BaseModel):
    """The bias battery of an evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    noise_snr_db: float = 10.0
    """Of the noise that is added to nobody, to controls, to patients and to all."""
    gain_db: float = Field(default=12.0, gt=0.0, le=40.0)
    margin: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Largest shift of sensitivity or specificity that is tolerated."""

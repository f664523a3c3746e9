"""Changes to a recording that must not change what is found: how large each may be and what is tolerated."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BatteryConfig(BaseModel):
    """The bias battery of an evaluation. A shift fails where its whole interval lies beyond what is tolerated."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    noise_snr_db: float = 10.0
    """Of the noise that is added to nobody, to controls, to patients and to all."""
    noise_draws: int = Field(default=3, ge=1, le=32)
    """Excerpts of noise that each recording is tried with; what is told is their mean."""
    gain_db: float = Field(default=12.0, gt=0.0, le=40.0)
    margin: float = Field(default=0.35, gt=0.0, lt=1.0)
    """Largest shift of sensitivity, specificity or AUC that noise on one class alone may cause.

    No model of hoarseness is untouched: noise at 10 dB sounds like breath in a voice. Measured on 404 real vowels:
    models that met noise in both classes lose 0.1 to 0.2 of specificity, those that met it in patients alone 0.45
    (where the network compensates noise) to 0.9, and so do those that never met any."""
    max_shift: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Largest mean size of a score's shift under gain, narrow band, silence and padding."""
    max_flips: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Largest share of people whose diagnosis these turn round."""
    max_noise_positive: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Largest share of recordings of noise alone that may be called positive."""
    min_people: int = Field(default=20, ge=1)
    """Fewer of a class, or fewer recordings of noise, are told but not judged."""

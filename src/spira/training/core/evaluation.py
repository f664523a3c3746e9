"""What an evaluation reports, what a model must reach, and what becomes of one that does not."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EvaluationConfig(_Section):
    """What is reported and what a model must reach. A bar is judged by a 95 % interval: above it PASS, below it FAIL,
    across it NOT ENOUGH DATA."""

    slices: tuple[str, ...] = ("sex", "age_band", "site", "device", "mask", "cause")
    min_slice_people: int = Field(default=10, ge=1)
    """Smaller slices are counted, not judged; a share is judged where so many people are of its class."""
    slice_margin: float = Field(default=0.2, gt=0.0, lt=1.0)
    """How much lower sensitivity or specificity may be in a slice than elsewhere."""
    min_test_people: int = Field(default=30, ge=1)
    """With fewer people of either all or matched pairs nothing is judged."""
    min_auc: float = Field(default=0.6, ge=0.5, lt=1.0)
    target_specificity: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Where sensitivity is compared, whatever the threshold."""
    min_sensitivity: float = Field(default=0.5, gt=0.0, lt=1.0)
    """At `target_specificity`."""
    min_slope: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Of the recalibration line: a lower one tells of scores that claim more than they know."""
    max_offset: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Largest distance of the mean score from the share of patients."""
    non_inferiority_margin: float = Field(default=0.05, gt=0.0, lt=0.5)
    """How much lower than the champion's or the plain baseline's a model's AUC may be."""
    sensitivity_margin: float = Field(default=0.1, gt=0.0, lt=0.5)
    """How much lower its sensitivity at `target_specificity` may be; from sample to sample it varies twice as much."""


class PublicationConfig(_Section):
    """How the model is called in the registry."""

    model_name: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$")
    """Empty: the name of the preset or of the configuration's file."""
    alias: Literal["challenger"] = "challenger"
    refuse_failed: bool = True
    """Whether a model with a failed gate is kept out of the registry."""
    tolerated: tuple[str, ...] = ()
    """Gates whose FAIL is told in report and card and yet refuses nothing; a `*` stands for anything: `shift: *`."""

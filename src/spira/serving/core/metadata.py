"""What a hospital tells about the person and the moment: the form fields of a request, validated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from spira.kernel.errors import Problem
from spira.serving.core.recordings import rgh_warning

_GENDERS = {"M": "MALE", "MASCULINO": "MALE", "F": "FEMALE", "FEMININO": "FEMALE"}


Word = Annotated[str, Field(max_length=120)]
Answer = Literal["TRUE", "FALSE", "UNKNOWN"]
_CODED = ("gender", "mask_type", "covid_status", "hospitalized", "respiratory_insufficiency_status", "location")


class Metadata(BaseModel):
    """Everything is optional; what is sent must make sense. Validated with context `{"today": date}`.

    `rgh` identifies a person: it stays in the request's own document and travels nowhere else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    rgh: Annotated[str, Field(max_length=32, pattern=r"^[A-Za-z0-9./-]*$")] | None = None
    """The hospital's registration number of the person."""
    local: Word | None = None
    """Where it was recorded."""
    age: Annotated[int, Field(ge=0, le=130)] | None = None
    """In years."""
    gender: Literal["FEMALE", "MALE", "OTHER", "UNKNOWN"] | None = None
    mask_type: Literal["NONE", "THIN", "THICK"] | None = None
    covid_status: Answer | None = None
    last_positive_diagnose_date: date | None = None
    hospitalized: Answer | None = None
    hospitalization_start: date | None = None
    hospitalization_end: date | None = None
    respiratory_insufficiency_status: Answer | None = None
    location: Literal["NURSERY", "ICU"] | None = None
    cid: Annotated[str, Field(pattern=r"^[A-Za-z]\d{2}(\.?[0-9A-Za-z]{1,2})?$")] | None = None
    """ICD-10 code."""
    bpm: Annotated[int, Field(ge=20, le=300)] | None = None
    """Heart beats per minute."""
    respiratory_frequency: Annotated[int, Field(ge=1, le=100)] | None = None
    """Breaths per minute."""
    spo2: Annotated[int, Field(ge=30, le=100)] | None = None
    """Oxygen saturation in %."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_present(cls, value: Any) -> Any:
        """An empty field is an absent one; what broken clients send for "nothing" is refused."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        if text in {"undefined", "null", "None", "NaN"}:
            raise ValueError(f"the text {text!r} is no value; leave the field out")
        return text or None

    @field_validator(*_CODED, mode="before")
    @classmethod
    def _code(cls, value: Any) -> Any:
        code = value.upper() if isinstance(value, str) else value
        return _GENDERS.get(code, code)

    @field_validator("last_positive_diagnose_date", "hospitalization_start", "hospitalization_end")
    @classmethod
    def _is_past(cls, day: date | None, info: ValidationInfo) -> date | None:
        today = (info.context or {}).get("today")
        if day is not None and today is not None and day > today + timedelta(days=1):  # a day for other time zones
            raise ValueError("lies in the future")
        if day is not None and day.year < 1900:
            raise ValueError("lies before 1900")
        return day

    @model_validator(mode="after")
    def _stay_is_in_order(self) -> Metadata:
        start, end = self.hospitalization_start, self.hospitalization_end
        if start is not None and end is not None and end < start:
            raise ValueError("hospitalization_end lies before hospitalization_start")
        return self

    def warnings(self) -> list[Problem]:
        """What looks wrong but is accepted."""
        text = rgh_warning(self.rgh) if self.rgh else None
        return [Problem(where="rgh", what=text)] if text else []

    def for_model(self) -> Mapping[str, str | int | float | bool | None]:
        """What a model may know: nothing that identifies a person or a place."""
        return self.model_dump(mode="json", exclude_none=True, exclude={"rgh", "local"})

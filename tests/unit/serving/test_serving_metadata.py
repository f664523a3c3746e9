"""The form fields of a request: what is accepted, refused, and only warned about."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from spira.serving.core.metadata import Metadata
from spira.serving.core.recordings import name_of, rgh_check_letter, rgh_warning

TODAY = {"today": date(2026, 5, 4)}


def test_a_full_form_is_understood() -> None:
    form = {
        "rgh": "14259401E",
        "local": "HC",
        "age": "63",
        "gender": "feminino",
        "mask_type": "thin",
        "covid_status": "TRUE",
        "last_positive_diagnose_date": "2026-04-01",
        "hospitalized": "true",
        "hospitalization_start": "2026-04-02",
        "hospitalization_end": "2026-04-09",
        "respiratory_insufficiency_status": "true",
        "location": "ICU",
        "cid": "J96.0",
        "bpm": "88",
        "respiratory_frequency": "22",
        "spo2": "91",
    }

    metadata = Metadata.model_validate(form, context=TODAY)

    assert (metadata.gender, metadata.mask_type, metadata.age) == ("FEMALE", "THIN", 63)
    assert metadata.warnings() == []


def test_what_a_model_may_know_identifies_nobody() -> None:
    metadata = Metadata.model_validate({"rgh": "14259401E", "local": "HC", "age": "63"})

    assert metadata.for_model() == {"age": 63}


def test_an_empty_field_is_an_absent_one() -> None:
    assert Metadata.model_validate({"age": "", "gender": " ", "rgh": ""}) == Metadata()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age", "131"),
        ("age", "-1"),
        ("age", "forty"),
        ("age", "12.5"),
        ("spo2", "101"),
        ("spo2", "0"),
        ("bpm", "5"),
        ("respiratory_frequency", "0"),
        ("gender", "X"),
        ("mask_type", "PAPER"),
        ("covid_status", "maybe"),
        ("location", "HOME"),
        ("cid", "headache"),
        ("rgh", "a b"),
        ("rgh", "1" * 33),
        ("rgh", "undefined"),
        ("local", "null"),
        ("local", "x" * 121),
        ("hospitalization_start", "2026-13-01"),
        ("hospitalization_start", "2027-01-01"),
        ("hospitalization_start", "1492-10-12"),
        ("surprise", "1"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_field(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Metadata.model_validate({field: value}, context=TODAY)

    assert refused.value.errors()[0]["loc"] == (field,)


def test_a_stay_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="before hospitalization_start"):
        Metadata.model_validate({"hospitalization_start": "2026-04-09", "hospitalization_end": "2026-04-02"})


@pytest.mark.parametrize(("rgh", "warned"), [("14259401E", False), ("13817615A", False), ("12345678A", True)])
def test_the_check_letter_is_a_hint(rgh: str, warned: bool) -> None:
    metadata = Metadata.model_validate({"rgh": rgh})

    assert bool(metadata.warnings()) == warned


@given(st.from_regex(r"[0-9]{8}", fullmatch=True))
def test_a_number_with_its_own_check_letter_is_never_warned_about(digits: str) -> None:
    assert rgh_warning(digits + rgh_check_letter(digits)) is None


def test_other_hospitals_may_number_as_they_like() -> None:
    assert rgh_warning("A-17") is None


def test_the_portuguese_names_are_understood() -> None:
    names = [name_of(part) for part in ("aceite", "sustentada", "parlenda", "frase", "ambient", "video")]

    assert names == ["acceptance", "sustained", "rhyme", "sentence", "ambient", None]

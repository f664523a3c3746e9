"""Pseudonyms: stable, keyed, separated by project."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel.errors import InvalidInput
from spira.privacy.pseudonyms import Pseudonyms, is_pseudonym

KEY = bytes(range(32))


@given(st.text(st.characters(codec="utf-8")).filter(str.strip), st.binary(min_size=16, max_size=64))
def test_every_identifier_gives_a_pseudonym_of_one_form(raw: str, key: bytes) -> None:
    assert is_pseudonym(Pseudonyms(key, "spira").participant(raw))


@given(st.sets(st.text(st.characters(codec="utf-8")).map(str.strip).filter(bool), min_size=2))
def test_different_people_have_different_pseudonyms(raws: set[str]) -> None:
    pseudonyms = Pseudonyms(KEY, "spira")

    assert len({pseudonyms.participant(raw) for raw in raws}) == len(raws)


def test_a_pseudonym_depends_on_person_key_and_project_only() -> None:
    first = Pseudonyms(KEY, "spira").participant("HC-123")

    assert first == Pseudonyms(KEY, "spira").participant(" HC-123\n")
    assert first == "p-" + first[2:]
    assert first != Pseudonyms(KEY, "other").participant("HC-123")
    assert first != Pseudonyms(KEY[::-1], "spira").participant("HC-123")


@pytest.mark.parametrize(
    "text", ["", "p-", "HC-123", "p-" + "a" * 25, "p-" + "A" * 26, "p-" + "1" * 26, "x-" + "a" * 26]
)
def test_what_looks_otherwise_is_no_pseudonym(text: str) -> None:
    assert not is_pseudonym(text)


def test_a_short_key_and_a_bad_project_are_told_together() -> None:
    with pytest.raises(InvalidInput) as error:
        Pseudonyms(b"short", "Not A Name")

    assert [problem.where for problem in error.value.problems] == ["key", "project"]


def test_an_empty_identifier_is_refused() -> None:
    with pytest.raises(InvalidInput, match="participant_id"):
        Pseudonyms(KEY, "spira").participant("  ")


def test_the_key_does_not_show() -> None:
    assert KEY.hex() not in repr(Pseudonyms(KEY, "spira"))

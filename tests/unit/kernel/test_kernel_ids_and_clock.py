"""Ids sort by time, digests are of the bytes, moments survive their text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spira.kernel.clock import from_text, to_text, utc_now
from spira.kernel.ids import is_id, new_id, sha256_hex, sha256_of_stream

MOMENTS = st.datetimes(timezones=st.just(UTC))


def test_ids_are_unique_and_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert all(map(is_id, ids))


@pytest.mark.parametrize(
    "text", ["", "x", "00000000-0000-4000-8000-000000000000", "0190A0B0-0000-7000-8000-000000000000", f"{'0' * 36}"]
)
def test_what_has_another_form_is_no_id(text: str) -> None:
    assert not is_id(text)
    assert not is_id(f"{new_id()}\n")


@given(st.lists(st.binary()))
def test_the_digest_of_a_stream_is_that_of_its_bytes(chunks: list[bytes]) -> None:
    assert sha256_of_stream(iter(chunks)) == sha256_hex(b"".join(chunks))


def test_the_digest_is_sha256() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(MOMENTS)
def test_a_moment_survives_its_text_to_the_millisecond(moment: datetime) -> None:
    back = from_text(to_text(moment))

    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_texts_sort_as_their_moments(one: datetime, other: datetime) -> None:
    if to_text(one) != to_text(other):
        assert (to_text(one) < to_text(other)) == (one < other)


def test_a_moment_elsewhere_is_told_in_utc() -> None:
    noon = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=-3)))

    assert to_text(noon) == "2026-01-02T15:00:00.000Z"
    assert from_text("2026-01-02T12:00:00-03:00") == noon


@pytest.mark.parametrize("text", ["2026-01-02T12:00:00", "yesterday", ""])
def test_a_text_without_a_time_zone_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"time zone|isoformat"):
        from_text(text)


def test_the_clock_knows_its_time_zone() -> None:
    assert utc_now().tzinfo is UTC

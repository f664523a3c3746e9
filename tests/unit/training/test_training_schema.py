"""What the rows of a manifest must satisfy, alone and together."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from spira.training.core.dataset import DatasetConfig, Table, read_rows
from spira.training.core.schema import lone_pairs, row_problems

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = (*("path", "participant_id", "label", "sex", "age", "collected_at", "label_source", "fold", "matched_pair"),)


def problems(*rows: dict[str, str], config: DatasetConfig | None = None) -> list[str]:
    """Problems of rows that are right but for what is given; row 2 is the first."""
    config = config or DatasetConfig()
    whole = [
        {"path": f"{n}.wav", "participant_id": f"p{n}", "label": "control", "sex": "f", "age": "40", **row}
        for n, row in enumerate(rows)
    ]
    table = Table(
        name="m.csv",
        base="/x",
        columns=COLUMNS,
        rows=tuple((n, {name: row.get(name, "") for name in COLUMNS}) for n, row in enumerate(whole, start=2)),
    )
    read, found = read_rows(table, config)
    return [str(one.as_problem("m")) for one in [*found, *row_problems(read, config, now=NOW)]]


def test_right_rows_have_no_problem() -> None:
    assert problems({}, {"label": "patient", "label_source": "Doctor", "collected_at": "2021-05-31T10:00:00Z"}) == []


@pytest.mark.parametrize("source", ["spo2", "file_name", "SpO2 < 92", "self-report"])
def test_a_label_that_is_no_diagnosis_is_refused(source: str) -> None:
    (found,) = problems({"label_source": source})

    assert found.startswith(f"m, row 2, label_source: '{source.lower()}' is no doctor's diagnosis")
    assert "never an oxygen saturation or a file's name" in found


def test_the_sources_of_labels_can_be_named() -> None:
    config = DatasetConfig(label_sources=("Tumour Board",))

    assert problems({"label_source": "tumour board"}, config=config) == []
    assert len(problems({"label_source": "doctor"}, config=config)) == 1


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"sex": "x"}, "sex: 'x' is unknown (f, m or other)"),
        ({"age": "0"}, "age: 0 is no age (leave it empty)"),
        ({"age": "131"}, "age: '131' is no age in years"),
        ({"age": "nan"}, "age: 'nan' is no age in years"),
        ({"collected_at": "yesterday"}, "collected_at: 'yesterday' is no date (such as 2021-05-31)"),
        ({"collected_at": "2026-02-01"}, "collected_at: lies in the future"),
    ],
)
def test_a_value_out_of_its_range_is_told(row: dict[str, str], what: str) -> None:
    assert problems(row) == [f"m, row 2, {what}"]


@pytest.mark.parametrize("sex", ["F", "female", "Feminino", "M", "masculino", "other", "", "unknown"])
def test_words_for_sex_are_understood(sex: str) -> None:
    assert problems({"sex": sex}) == []


def test_two_sexes_or_ages_far_apart_mean_two_people_under_one_id() -> None:
    found = problems({"participant_id": "p"}, {"participant_id": "p", "sex": "m", "age": "70"})

    hint = " between the recordings of one participant (rows 2, 3) (two people may share the id)"
    assert found == [
        f"m, row 2, sex: differs{hint}",
        f"m, row 3, sex: differs{hint}",
        f"m, row 2, age: differs by 30 years{hint}",
        f"m, row 3, age: differs by 30 years{hint}",
    ]


def test_a_pair_is_one_patient_and_one_control() -> None:
    found = problems({"matched_pair": "7"}, {"matched_pair": "7"}, {"matched_pair": "7", "label": "patient"})

    assert found == [
        f"m, row {row}, matched_pair: pair 7 has 1 patients and 2 controls (one of each, or -1)" for row in (2, 3, 4)
    ]


def test_several_recordings_of_a_person_count_once_in_a_pair() -> None:
    twice = {"matched_pair": "7", "participant_id": "p"}

    assert problems(twice, twice, {"matched_pair": "7", "label": "patient"}) == []


def test_a_pair_is_of_one_sex_and_nearly_one_age() -> None:
    found = problems({"matched_pair": "1"}, {"matched_pair": "1", "label": "patient", "sex": "m", "age": "47"})

    assert found == [
        "m, row 2, matched_pair: pair 1 joins people of different sex",
        "m, row 3, matched_pair: pair 1 joins people of different sex",
        "m, row 2, matched_pair: pair 1 joins people 7 years apart (at most 5)",
        "m, row 3, matched_pair: pair 1 joins people 7 years apart (at most 5)",
    ]


def test_nobody_is_in_two_pairs() -> None:
    found = problems(
        {"matched_pair": "1", "participant_id": "p"},
        {"matched_pair": "2", "participant_id": "p"},
        {"matched_pair": "1", "label": "patient"},
        {"matched_pair": "2", "label": "patient"},
    )

    assert found == [f"m, row {row}, matched_pair: one participant is in more than one pair" for row in (2, 3)]


def test_a_person_without_a_partner_is_no_mistake_but_no_pair() -> None:
    config = DatasetConfig()
    table = Table(
        name="m.csv",
        base="/x",
        columns=("path", "participant_id", "label", "matched_pair"),
        rows=tuple(
            (n, {"path": f"{n}", "participant_id": f"p{n}", "label": str(n % 2), "matched_pair": pair})
            for n, pair in enumerate(["1", "1", "2", "-1"])
        ),
    )
    rows, _ = read_rows(table, config)

    assert row_problems(rows, config, now=NOW) == []
    assert lone_pairs(rows) == [2]

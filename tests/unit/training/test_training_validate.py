from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import soundfile

from spira.kernel.errors import InvalidInput
from spira.privacy.pseudonyms import Pseudonyms, is_pseudonym
from spira.training.adapters.manifests import parse_manifest
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.dataset import DatasetConfig
from spira.training.use_cases.validate import Validated, validate

HEADER = "path,participant_id,label"
PSEUDONYMS = Pseudonyms(b"k" * 32, "tests")
REFUSE, DROP = DatasetConfig(), DatasetConfig(policy="drop")


def wav(samples: npt.NDArray[np.float64], rate: int = 16_000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


def vowel(seed: int, *, seconds: float = 0.8) -> bytes:
    """A hummed tone with ten harmonics, different for each seed."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * 16_000)) / 16_000
    parts = [np.sin(2 * np.pi * 120 * k * times + random.uniform(0, 6)) / k for k in range(1, 11)]
    return wav(0.15 * np.sum(parts, axis=0) + 0.001 * random.standard_normal(len(times)))


class Folder:
    """A data set of ten people of each class, which tests then spoil."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = [[f"a{n:02d}.wav", f"person{n:02d}", "control" if n % 2 else "patient"] for n in range(20)]
        for seed, (name, *_) in enumerate(self.rows):
            (root / name).write_bytes(vowel(seed))

    def csv(self, *more: Sequence[str], header: str = HEADER) -> bytes:
        return "\n".join([header, *(",".join(row) for row in [*self.rows, *more])]).encode()

    def check(
        self, data: bytes | None = None, *, config: DatasetConfig = REFUSE, noise: bytes | None = None
    ) -> Validated:
        base = str(self.root)
        return validate(
            parse_manifest(self.csv() if data is None else data, name="m.csv", base=base),
            None if noise is None else parse_manifest(noise, name="n.csv", base=base),
            config=config,
            recordings=LocatedRecordings(),
            pseudonym=PSEUDONYMS.participant,
            tell=lambda *_: None,
        )

    def problems(self, data: bytes | None = None, *, config: DatasetConfig = REFUSE) -> list[str]:
        with pytest.raises(InvalidInput) as caught:
            self.check(data, config=config)
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_good_data_set_has_no_problems_and_its_people_get_pseudonyms(folder: Folder) -> None:
    checked = folder.check()

    assert checked.problems == ()
    assert len(checked.cohort.recordings) == 20
    assert all(is_pseudonym(one.participant) for one in checked.cohort.recordings)
    assert "person" not in checked.cohort.model_dump_json()


def test_all_problems_are_told_at_once_by_row_and_field(folder: Folder) -> None:
    (folder.root / "text.wav").write_text("no audio")
    (folder.root / "silent.wav").write_bytes(wav(np.zeros(16_000)))
    (folder.root / "short.wav").write_bytes(vowel(50, seconds=0.1))
    more = [
        ["none.wav", "q1", "control"],
        ["text.wav", "q2", "control"],
        ["silent.wav", "q3", "control"],
        ["short.wav", "q4", "control"],
        ["a00.wav", "person00", "patient"],
        ["a01.wav", "person02", "control"],
        ["b.wav", "q5", "sick"],
        ["", "", ""],
        ["c.wav", "q6"],
    ]

    found = "\n".join(folder.problems(folder.csv(*more)))

    assert "m.csv, row 22, path: the file does not exist" in found
    assert "m.csv, row 23, path: " in found
    assert "m.csv, row 24, path: " in found
    assert "m.csv, row 25, path: lasts 0.10 s" in found
    assert "m.csv, row 26, path: is the same as in row 2" in found
    assert "m.csv, row 27, label: one participant is in both classes (rows 4, 27)" in found
    assert "m.csv, row 28, label: 'sick' is unknown (control or patient (0 or 1))" in found
    assert "m.csv, row 29, participant_id: is empty" in found
    assert "m.csv, row 30, row: has 2 fields, the header has 3" in found


def test_the_same_audio_of_two_people_is_found_by_its_samples(folder: Folder) -> None:
    samples, rate = soundfile.read(folder.root / "a00.wav")
    soundfile.write(folder.root / "copy.flac", samples, rate)

    found = folder.problems(folder.csv(["copy.flac", "someone", "patient"]))

    assert found == [
        "m.csv, row 2, path: is the same audio as in row 22",
        "m.csv, row 22, path: is the same audio as in row 2",
    ]


def test_with_policy_drop_exactly_the_rows_with_problems_go(folder: Folder) -> None:
    checked = folder.check(folder.csv(["none.wav", "q1", "control"], ["a01.wav", "person02", "control"]), config=DROP)

    assert checked.dropped["m.csv"] == (4, 22, 23)
    assert len(checked.cohort.recordings) == 19
    assert {one.row for one in checked.cohort.recordings}.isdisjoint({4, 22, 23})


def test_too_few_people_are_refused_whatever_the_policy(folder: Folder) -> None:
    few = "\n".join([HEADER, *(",".join(row) for row in folder.rows[:5])]).encode()

    assert "has 2 usable people of class control" in folder.problems(few, config=DROP)[0]


def test_windows_line_ends_a_byte_order_mark_and_quotes_are_understood(folder: Folder) -> None:
    data = b"\xef\xbb\xbf" + folder.csv().replace(b"\n", b"\r\n").replace(b"a00.wav", b'"a00.wav"')

    checked = folder.check(data)

    assert len(checked.cohort.recordings) == 20
    assert checked.notes == ("m.csv has a byte order mark", "m.csv has Windows line ends")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_latin_1_manifest_finds_its_files_and_says_so(folder: Folder, encoding: str) -> None:
    (folder.root / os.fsdecode("voz_joão.wav".encode(encoding))).write_bytes(vowel(77))
    data = folder.csv() + "\nvoz_joão.wav,joão,control\n".encode("latin-1")

    checked = folder.check(data)

    assert len(checked.cohort.recordings) == 21
    assert checked.notes == ("m.csv is not UTF-8; read as Latin-1",)


def test_speaker_id_zero_one_labels_and_unknown_columns_are_understood(folder: Folder) -> None:
    folder.rows = [[name, who, str(int(label == "patient")), "x"] for name, who, label in folder.rows]

    checked = folder.check(folder.csv(header="path,speaker_id,label,shoe_size"))

    assert [one.label for one in checked.cohort.recordings[:2]] == [1, 0]


def test_columns_can_be_mapped(folder: Folder) -> None:
    config = DatasetConfig(columns={"path": "audio", "participant_id": "hash", "label": "klass"})

    assert len(folder.check(folder.csv(header="audio,hash,klass"), config=config).cohort.recordings) == 20


@pytest.mark.parametrize(
    ("header", "config", "what"),
    [
        ("path,who,label", DatasetConfig(), "column 'participant_id': is missing"),
        ("path,who,label", DatasetConfig(columns={"participant_id": "nobody"}), "column 'nobody': is not there"),
        ("path,path,label", DatasetConfig(), "column 'path' is there twice"),
    ],
)
def test_a_header_that_lacks_or_doubles_a_column_is_refused(
    folder: Folder, header: str, config: DatasetConfig, what: str
) -> None:
    assert what in folder.problems(folder.csv(header=header), config=config)[0]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"path;participant_id;label\na;b;c\n", "has no commas"),
        (b"\x00\x01\x02", "is no text"),
        (b"PAR1 not really", "is no Parquet"),
        (b'path,participant_id,label\n"a', "is no CSV"),
        (b"path,participant_id,label\n", "has no rows"),
    ],
)
def test_what_is_no_table_is_refused(folder: Folder, data: bytes, what: str) -> None:
    assert what in folder.problems(data)[0]


def test_parquet_is_read_like_csv(folder: Folder) -> None:
    columns = {
        "path": [row[0] for row in folder.rows],
        "participant_id": [row[1] for row in folder.rows],
        "label": [int(row[2] == "patient") for row in folder.rows],
        "age": [40.5 if n else None for n in range(20)],
        "fold": [float(n % 5) for n in range(20)],
    }
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)

    checked = folder.check(out.getvalue())

    assert [(one.age, one.fold) for one in checked.cohort.recordings[:2]] == [(None, 0), (40.5, 1)]


def test_wrong_numbers_and_folds_that_leak_are_told(folder: Folder) -> None:
    folder.rows = [[*row, "40", str(n % 5), "-1"] for n, row in enumerate(folder.rows)]
    folder.rows[0][3:] = ["old", "0", "-1"]
    folder.rows[1][3:] = ["40", "", "x"]
    folder.rows[2][4] = ""
    (folder.root / "more.wav").write_bytes(vowel(99))

    found = folder.problems(
        folder.csv(["more.wav", "person03", "control", "", "4", ""], header=f"{HEADER},age,fold,matched_pair")
    )

    assert found == [
        "m.csv, row 2, age: 'old' is no age in years",
        "m.csv, row 3, matched_pair: 'x' is no number",
        "m.csv, row 3, fold: is empty while other rows have one",
        "m.csv, row 4, fold: is empty while other rows have one",
        "m.csv, row 5, fold: one participant is in more than one fold",
        "m.csv, row 22, fold: one participant is in more than one fold",
    ]


def test_recordings_of_another_task_are_left_out(folder: Folder) -> None:
    folder.rows = [[*row, "sustained"] for row in folder.rows]

    checked = folder.check(folder.csv(["none.wav", "q", "control", "rhyme"], header=f"{HEADER},task"))

    assert len(checked.cohort.recordings) == 20


def test_noise_is_checked_too_but_needs_no_voice(folder: Folder) -> None:
    (folder.root / "hiss.wav").write_bytes(wav(0.01 * np.random.default_rng(1).standard_normal(16_000)))

    assert len(folder.check(noise=b"path,kind\nhiss.wav,ambient\n").cohort.noise) == 1
    with pytest.raises(InvalidInput, match=r"n\.csv, row 2, path: the file does not exist"):
        folder.check(noise=b"path\nnothing.wav\n")


def test_a_row_with_a_bad_field_has_its_recording_checked_all_the_same(folder: Folder) -> None:
    folder.rows = [[*row, "40"] for row in folder.rows]
    (folder.root / "empty.wav").write_bytes(b"")

    found = folder.problems(
        folder.csv(["empty.wav", "q", "sick", "40"], ["none.wav", "r", "control", "old"], header=f"{HEADER},age")
    )

    assert [problem.split(" (")[0] for problem in found] == [
        "m.csv, row 22, label: 'sick' is unknown",
        "m.csv, row 22, path: is empty",
        "m.csv, row 23, age: 'old' is no age in years",
        "m.csv, row 23, path: the file does not exist",
    ]

"""The door with a frozen evaluation set, planted copies and an accepted data set behind it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from spira.infra.objects.file_objects import FileObjects
from spira.kernel.errors import InvalidInput
from spira.kernel.messages import DatasetAccepted
from spira.training.adapters.data_report import render_data_report
from spira.training.adapters.manifests import parse_manifest
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.census import summary_of
from spira.training.core.dataset import DatasetConfig
from spira.training.core.drift import DriftConfig, Summary
from spira.training.use_cases.accept_dataset import accept_dataset, last_accepted, read_accepted
from spira.training.use_cases.validate import Validated, validate
from spira.voice.decode import FloatArray

COLUMNS = ("path", "participant_id", "label", "sex", "age", "fold", "matched_pair")
Row = Mapping[str, object]


def voice(seed: int, *, seconds: float = 1.0) -> FloatArray:
    random = np.random.default_rng(seed)
    size = round(seconds * 16_000)
    phase = 2 * np.pi * np.cumsum(120 + np.cumsum(random.standard_normal(size)) * 0.02) / 16_000
    tone = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 12))
    return np.asarray(0.1 * tone + 0.003 * random.standard_normal(size), np.float32)


def write(path: Path, samples: FloatArray) -> None:
    out = io.BytesIO()
    soundfile.write(out, samples, 16_000, format="WAV", subtype="PCM_16")
    path.write_bytes(out.getvalue())


class Place:
    """A folder with twelve people to train on and ten to evaluate on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows = self.people("t", 12, first=0)
        self.frozen = self.people("e", 10, first=100)

    def people(self, prefix: str, count: int, *, first: int) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for n in range(count):
            write(self.root / f"{prefix}{n}.wav", voice(first + n))
            who = {"path": f"{prefix}{n}.wav", "participant_id": f"{prefix}{n}", "label": n % 2}
            rows.append({**who, "sex": "fm"[n // 2 % 2], "age": 30 + n, "fold": n // 2 % 2})
        return rows

    def check(
        self, *, config: DatasetConfig | None = None, frozen: bool = False, accepted: Summary | None = None
    ) -> Validated:
        def table(rows: Sequence[Row], name: str) -> bytes:
            lines = [",".join(COLUMNS), *(",".join(str(row.get(one, "")) for one in COLUMNS) for row in rows)]
            (self.root / name).write_text("\n".join(lines))
            return (self.root / name).read_bytes()

        base = str(self.root)
        return validate(
            parse_manifest(table(self.rows, "m.csv"), name="m.csv", base=base),
            None,
            evaluation=parse_manifest(table(self.frozen, "e.csv"), name="e.csv", base=base) if frozen else None,
            accepted=accepted,
            config=config or DatasetConfig(),
            recordings=LocatedRecordings(),
            pseudonym=lambda name: f"pseudonym of {name}",
            tell=lambda *_: None,
        )

    def problems(self, *, config: DatasetConfig | None = None, frozen: bool = False) -> list[str]:
        with pytest.raises(InvalidInput) as caught:
            self.check(config=config, frozen=frozen)
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_evaluation_set_of_other_people_becomes_a_cohort_of_its_own(place: Place) -> None:
    checked = place.check(frozen=True)

    assert checked.evaluation is not None
    assert len(checked.evaluation.recordings) == 10
    assert set(checked.cohort.participants()).isdisjoint(checked.evaluation.participants())
    assert checked.problems == ()


def test_somebody_in_both_sets_is_refused_in_the_training_set(place: Place) -> None:
    place.rows[3]["participant_id"] = "e4"

    (found,) = place.problems(frozen=True)

    assert found.startswith("m.csv, row 5, participant_id: is also in row 6 of e.csv (people of the evaluation")


def test_a_recording_in_both_sets_is_refused_also_at_another_gain(place: Place) -> None:
    write(place.root / "t3.wav", voice(105))
    write(place.root / "t4.wav", 0.3 * voice(106)[2000:])

    first, second = place.problems(frozen=True)

    assert first.startswith("m.csv, row 5, path: is the same audio as in row 7 of e.csv")
    assert second.startswith("m.csv, row 6, path: is the audio of row 8 of e.csv at another gain, cut or rate")


def test_with_policy_drop_the_frozen_set_stays_whole(place: Place) -> None:
    write(place.root / "t3.wav", voice(105))

    checked = place.check(config=DatasetConfig(policy="drop"), frozen=True)

    assert checked.dropped == {"m.csv": (5,), "e.csv": ()}
    assert checked.evaluation is not None
    assert len(checked.evaluation.recordings) == 10


def test_another_evaluation_set_than_the_frozen_one_is_refused(place: Place) -> None:
    digest = place.check(frozen=True).evaluation_digest
    config = DatasetConfig(evaluation_digest=digest)
    assert place.check(config=config, frozen=True).evaluation_digest == digest

    write(place.root / "e0.wav", voice(999))

    assert place.problems(config=config, frozen=True)[0].startswith("evaluation data set: is not the frozen one")
    assert place.problems(config=config)[0].startswith("evaluation data set: is not the frozen one")


def test_the_content_digest_knows_people_labels_and_audio_but_not_order_or_place(place: Place) -> None:
    digest = place.check().digest
    place.rows.reverse()
    assert place.check().digest == digest

    place.rows[0]["participant_id"] = "somebody"
    assert place.check().digest != digest


def test_one_voice_under_two_ids_is_refused_on_both_sides_of_the_split(place: Place) -> None:
    """A speaker who was planted twice, once with the gain and the ends changed, in two folds."""
    write(place.root / "t5.wav", 0.4 * voice(2)[1000:-1500])

    assert place.problems() == [
        f"m.csv, row {row}, path: is the audio of row {twin} at another gain, cut or rate "
        "(one person under two ids, or a copy: keep one)"
        for row, twin in ((4, 7), (7, 4))
    ]


def test_one_person_in_two_folds_is_refused(place: Place) -> None:
    place.rows[2]["participant_id"] = place.rows[0]["participant_id"]
    place.rows[2] |= {"sex": "f", "age": 30}

    assert place.problems() == [f"m.csv, row {row}, fold: one participant is in more than one fold" for row in (2, 4)]


def test_takes_of_one_person_that_overlap_are_told_and_kept(place: Place) -> None:
    write(place.root / "more.wav", 0.5 * voice(0)[2000:])
    place.rows.append({**place.rows[0], "path": "more.wav"})

    checked = place.check()

    assert len(checked.cohort.recordings) == 13
    assert checked.notes == ("m.csv row 2 and m.csv row 14 hold the same 0.9 s of one person",)


def test_copies_at_another_gain_can_be_left_in_by_choice(place: Place) -> None:
    write(place.root / "t5.wav", 0.4 * voice(2)[1000:])

    assert place.check(config=DatasetConfig(copies="ignore")).problems == ()


def test_a_person_without_a_partner_loses_the_pair(place: Place) -> None:
    for n, pair in enumerate((5, 5, 6)):
        place.rows[n] |= {"matched_pair": pair, "sex": "f", "age": 40}

    checked = place.check()

    assert [one.matched_pair for one in checked.cohort.recordings[:4]] == [5, 5, None, None]
    assert checked.notes == ("m.csv: 1 matched pairs have one person left and don't count as matched",)


def test_tables_of_one_name_are_told_apart(place: Place) -> None:
    (place.root / "noise").mkdir()
    noise = parse_manifest(b"path\nnone.wav\n", name="m.csv", base=str(place.root / "noise"))
    table = parse_manifest(b"path,participant_id,label\nnone.wav,x,0\n", name="m.csv", base=str(place.root))

    with pytest.raises(InvalidInput) as caught:
        validate(
            table,
            noise,
            config=DatasetConfig(),
            recordings=LocatedRecordings(),
            pseudonym=str,
            tell=lambda *_: None,
        )

    assert [str(one).split(", path")[0] for one in caught.value.problems] == ["m.csv, row 2", "noise/m.csv, row 2"]


def test_an_accepted_data_set_is_kept_announced_and_found_as_the_last_one(place: Place, tmp_path: Path) -> None:
    store, told = FileObjects(tmp_path / "objects"), list[DatasetAccepted]()

    for _ in range(2):
        accepted = accept_dataset(
            place.check(), manifest="s3://data/m.csv", series="wards", store=store, announce=told.append
        )

    assert last_accepted("wards", store=store) == accepted.key == f"datasets/wards/{accepted.dataset_id}.json"
    assert last_accepted("others", store=store) is None
    assert read_accepted(accepted.key, store=store) == accepted
    assert [(one.dataset_id, one.patients, one.controls) for one in told] == [(accepted.dataset_id, 6, 6)] * 2
    assert DatasetAccepted.from_bytes(told[0].to_bytes()).manifest == "s3://data/m.csv"


def test_nothing_about_a_person_is_in_the_record(place: Place, tmp_path: Path) -> None:
    store = FileObjects(tmp_path / "objects")

    accepted = accept_dataset(place.check(), manifest="/m.csv", series="wards", store=store, announce=None)

    text = store.get(accepted.key).decode()
    assert "t0" not in text
    assert json.loads(text)["summary"]["numbers"]["age"] == {"n": 12, "percentiles": []}


def test_a_shift_is_noted_or_refused_by_policy(place: Place) -> None:
    before = summary_of(place.check().takes)
    much = before.model_copy(
        update={
            "words": {"sex": before.words["sex"].model_copy(update={"counts": {"f": 400, "m": 0}})},
            "numbers": {},
        }
    )
    place.rows = place.people("x", 40, first=200)
    place.rows = [{**row, "sex": "m"} for row in place.rows]

    checked = place.check(accepted=much)
    assert [(one.name, one.verdict) for one in checked.shifts if one.name == "sex"] == [("sex", "FAIL")]

    with pytest.raises(InvalidInput, match="data set, sex: differs from the last accepted one: PSI"):
        place.check(accepted=much, config=DatasetConfig(drift=DriftConfig(policy="refuse")))


def test_the_report_tells_people_quality_problems_and_shifts(place: Place) -> None:
    write(place.root / "t3.wav", np.zeros(16_000, np.float32))
    checked = place.check(config=DatasetConfig(policy="drop"), frozen=True)

    report = checked.report()
    page = render_data_report(report).decode()

    assert report["data"]["counts"]["people"] == {"control": 6, "patient": 5}
    assert report["data"]["counts"]["by"]["sex"] == {"f": [3, 3], "m": [3, 2]}
    assert report["data"]["quality"]["duration_s"]["control"] == [1.0] * 7
    assert "m.csv, row 5, path" in page
    assert checked.evaluation_digest in page
    assert "<script" not in page
    json.dumps(report, allow_nan=False)

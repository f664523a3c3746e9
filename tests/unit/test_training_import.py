"""Importing others' recordings: what comes in, under which names, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import pytest

from spira.kernel.errors import Conflict, InvalidInput, NotFound
from spira.training.adapters.manifests import parse_manifest
from spira.training.adapters.recordings import LocatedRecordings
from spira.training.core.dataset import Table
from spira.training.core.foreign import Layout
from spira.training.core.manifest import MANIFEST_COLUMNS
from spira.training.use_cases.export_recordings import Choice, export_recordings
from spira.training.use_cases.import_recordings import Imported, Source, import_recordings
from spira.training.use_cases.listen import locate

DONOR = "0a2d6271-1111-4222-8333-444455556666"
P1_HEADER = "file_path,class,sexo,idade,nivel_falta_de_ar"


def pseudonym(identifier: str) -> str:
    return "p-" + hmac.new(b"key", identifier.encode(), "sha256").hexdigest()[:24]


def table(text: str | bytes, *, name: str = "table.csv", base: str = "") -> Table:
    return parse_manifest(text if isinstance(text, bytes) else text.encode(), name=name, base=base)


def folder_of(tmp_path: Path, *paths: str) -> Path:
    """A folder of files, each with bytes of its own (importing never listens to them)."""
    folder = tmp_path / "theirs"
    folder.mkdir(exist_ok=True)
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(f"RIFF {path}".encode())
    return folder


def bring(
    tmp_path: Path,
    folder: Path,
    *tables: Table,
    noise: Table | None = None,
    layout: Layout = "columns",
    mapping: Mapping[str, str] | None = None,
) -> Imported:
    source = Source(folder=folder, tables=tables, noise=noise, layout=layout, mapping=mapping or {})
    return import_recordings(source, tmp_path / "ours", pseudonym=pseudonym)


def rows(path: Path | None) -> list[dict[str, str]]:
    assert path is not None
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def problems_of(tmp_path: Path, folder: Path, *tables: Table, layout: Layout = "columns") -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        bring(tmp_path, folder, *tables, layout=layout)
    assert not (tmp_path / "ours").exists()
    return {problem.where: problem.what for problem in caught.value.problems}


def all_text(folder: Path) -> str:
    names = [str(file.relative_to(folder)) for file in folder.rglob("*")]
    return "\n".join([*names, *(file.read_text() for file in folder.rglob("*.csv"))])


def test_recordings_come_in_unchanged_under_the_digest_of_their_bytes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "maria-silva.WAV")

    done = bring(tmp_path, folder, table("path,participant_id,label\nmaria-silva.WAV,maria,patient\n"))

    (row,) = rows(done.manifest)
    data = (folder / "maria-silva.WAV").read_bytes()
    assert row["path"] == f"recordings/{hashlib.sha256(data).hexdigest()[:32]}.wav"
    assert (done.manifest.parent / row["path"]).read_bytes() == data
    assert tuple(row) == MANIFEST_COLUMNS


def test_original_names_and_ids_are_written_nowhere(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "patients/maria.wav", "controls/joao.wav")
    text = "path,participant_id,label,phone\npatients/maria.wav,RGH-123,1,5511\ncontrols/joao.wav,RGH-456,0,5512\n"

    done = bring(tmp_path, folder, table(text))

    written = all_text(done.manifest.parent)
    for trace in ("maria", "joao", "RGH", "5511", "patients/", "controls/"):
        assert trace not in written
    assert done.left_out == ("phone",)


def test_rows_are_ordered_by_their_new_names_not_by_class(tmp_path: Path) -> None:
    names = [f"{n}.wav" for n in range(12)]
    text = "path,participant_id,label\n" + "".join(f"{name},{n},{int(n < 6)}\n" for n, name in enumerate(names))

    done = bring(tmp_path, folder_of(tmp_path, *names), table(text))

    paths = [row["path"] for row in rows(done.manifest)]
    assert paths == sorted(paths)
    assert (done.participants, done.recordings) == (12, 12)


def test_one_person_keeps_one_pseudonym_over_recordings(tmp_path: Path) -> None:
    text = "path,participant_id,label,task\na.wav,ana,0,sustained\nb.wav,ana,0,sentence\n"

    done = bring(tmp_path, folder_of(tmp_path, "a.wav", "b.wav"), table(text))

    assert {row["participant_id"] for row in rows(done.manifest)} == {pseudonym("ana")}
    assert done.participants == 1


def test_columns_can_be_mapped_and_values_are_put_into_our_words(tmp_path: Path) -> None:
    text = "file,who,case,gender,age\na.wav,ana,0,Feminino,61\nb.wav,bia,1,M,NA\n"
    mapping = {"path": "file", "participant_id": "who", "label": "case"}

    done = bring(tmp_path, folder_of(tmp_path, "a.wav", "b.wav"), table(text), mapping=mapping)

    found = {(row["label"], row["sex"], row["age"]) for row in rows(done.manifest)}
    assert found == {("control", "f", "61"), ("patient", "m", "")}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_tables_of_spreadsheets_are_read(tmp_path: Path, encoding: str) -> None:
    text = "path,participant_id,label,site\r\nçã.wav,ana,control,São Paulo\r\n"

    done = bring(tmp_path, folder_of(tmp_path, "çã.wav"), table(text.encode(encoding)))

    assert rows(done.manifest)[0]["site"] == "São Paulo"


def test_every_bad_row_is_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.wav", "b.txt", "d.wav", "e.wav", "g.wav")
    (folder / "c.wav").touch()
    (folder / "f.wav").write_bytes((folder / "a.wav").read_bytes())
    text = (
        "path,participant_id,label,sex,age,fold\n"
        "a.wav,ana,control,f,30,0\n"
        "b.txt,bia,control,f,30,0\n"
        "c.wav,cid,control,m,30,0\n"
        "missing.wav,dea,control,f,30,0\n"
        "d.wav,eva,sick,f,30,0\n"
        "e.wav,,patient,x,-3,zero\n"
        "f.wav,flo,patient,f,30,1\n"
        "g.wav,ana,patient,f,30,1\n"
        "a.wav,ana,control,f,30,0\n"
        "short,row\n"
    )

    found = problems_of(tmp_path, folder, table(text))

    assert set(found) == {
        "table.csv, row 3, path",
        "table.csv, row 4, path",
        "table.csv, row 5, path",
        "table.csv, row 6, label",
        "table.csv, row 7, participant_id",
        "table.csv, row 7, sex",
        "table.csv, row 7, age",
        "table.csv, row 7, fold",
        "table.csv, row 8, path",
        "table.csv, row 2, label",
        "table.csv, row 9, label",
        "table.csv, row 10, label",
        "table.csv, row 2, fold",
        "table.csv, row 9, fold",
        "table.csv, row 10, fold",
        "table.csv, row 10, path",
        "table.csv, row 11, row",
    }
    assert "same audio" in found["table.csv, row 8, path"]
    assert "same file" in found["table.csv, row 10, path"]


def test_a_missing_column_names_the_option_that_helps(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        bring(tmp_path, folder_of(tmp_path), table("file,label\na.wav,0\n"))

    assert [problem.where for problem in caught.value.problems] == [
        "table.csv, column 'path'",
        "table.csv, column 'participant_id'",
    ]
    assert "--map path=COLUMN" in caught.value.problems[0].hint


@pytest.mark.parametrize("path", ["../secret.wav", "theirs/../../secret.wav", "link.wav"])
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"secret")
    folder = folder_of(tmp_path, "a.wav")
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")

    found = problems_of(tmp_path, folder, table(f"path,participant_id,label\n{path},ana,0\n"))

    assert list(found) == ["table.csv, row 2, path"]


def test_a_full_folder_is_not_overwritten(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "a.wav")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "mine").write_text("mine")

    with pytest.raises(Conflict, match="--replace"):
        bring(tmp_path, folder, table("path,participant_id,label\na.wav,ana,0\n"))

    assert [file.name for file in (tmp_path / "ours").iterdir()] == ["mine"]


# --- the published SPIRA P1 layout ---


def p1(tmp_path: Path, *, noise: Table | None = None) -> Imported:
    patient, control = "pacientes/PTT-20200511-WA0018.wav", f"controle/{DONOR}_1.wav"
    folder = folder_of(tmp_path, patient, control, f"controle/{DONOR}_2.wav", "Ruidos/ana.wav", "Ruidos/rui.wav")
    base = "/srv/someone/SPIRA_Dataset_V2"
    train = f"{P1_HEADER}\n{base}/{patient},1,M,54,5\n{base}/{control},0,F,31,1\n"
    test = f"{P1_HEADER}\n{base}/controle/{DONOR}_2.wav,0,F,31,1\n"
    return bring(
        tmp_path, folder, table(train, name="train.csv"), table(test, name="test.csv"), noise=noise, layout="spira-p1"
    )


def test_p1_classes_people_and_prompts_are_understood(tmp_path: Path) -> None:
    done = p1(tmp_path)

    found = {(row["participant_id"], row["label"], row["task"], row["sex"], row["age"]) for row in rows(done.manifest)}
    assert found == {
        (pseudonym("PTT-20200511-WA0018"), "patient", "sentence", "m", "54"),
        (pseudonym(DONOR), "control", "sentence", "f", "31"),
        (pseudonym(DONOR), "control", "rhyme", "f", "31"),
    }


def test_p1_names_that_tell_the_class_or_the_person_stay_behind(tmp_path: Path) -> None:
    done = p1(tmp_path, noise=table("Ruidos/ana.wav\nRuidos/rui.wav\n", name="noise.csv"))

    written = all_text(done.manifest.parent)
    for trace in ("PTT", "WA0018", "20200511", DONOR, "_1.wav", "pacientes", "controle", "ana", "rui"):
        assert trace not in written


def test_p1_breathlessness_is_the_label_again_and_never_imported(tmp_path: Path) -> None:
    done = p1(tmp_path)

    assert done.left_out == ("nivel_falta_de_ar",)
    assert "nivel_falta_de_ar" not in all_text(done.manifest.parent)


def test_p1_both_classes_have_the_same_columns_filled(tmp_path: Path) -> None:
    done = p1(tmp_path)

    filled = {tuple(name for name, value in row.items() if value) for row in rows(done.manifest)}
    assert len(filled) == 1


def test_the_first_clip_of_a_noise_list_without_header_is_kept(tmp_path: Path) -> None:
    done = p1(tmp_path, noise=table("Ruidos/ana.wav\nRuidos/rui.wav\n", name="noise.csv"))

    found = rows(done.noise_manifest)
    assert done.noise_clips == len(found) == 2
    assert {(done.manifest.parent / "noise" / row["path"]).read_bytes() for row in found} == {
        b"RIFF Ruidos/ana.wav",
        b"RIFF Ruidos/rui.wav",
    }


def test_a_noise_list_of_one_clip_without_header_is_read(tmp_path: Path) -> None:
    done = p1(tmp_path, noise=table("Ruidos/ana.wav\n", name="noise.csv"))

    assert done.noise_clips == 1


def test_a_noise_list_with_header_keeps_kinds_and_hides_names_of_groups(tmp_path: Path) -> None:
    text = "path,kind,group\nRuidos/ana.wav,human,ana\nRuidos/rui.wav,human,ana\n"

    done = p1(tmp_path, noise=table(text, name="noise.csv"))

    found = rows(done.noise_manifest)
    assert {row["kind"] for row in found} == {"human"}
    assert len({row["group"] for row in found}) == 1
    assert "ana" not in {row["group"] for row in found}


def test_noise_may_lie_beside_its_table_instead_of_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "fan.wav").write_bytes(b"RIFF fan")

    done = p1(tmp_path, noise=table("fan.wav\n", name="noise.csv", base=str(tmp_path / "bank")))

    assert done.noise_clips == 1


def test_a_missing_noise_clip_is_told_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        p1(tmp_path, noise=table("gone.wav\nRuidos/rui.wav\n", name="noise.csv"))

    assert [problem.where for problem in caught.value.problems] == ["noise.csv, row 1, path"]


def test_one_p1_recording_in_two_tables_is_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "x.wav")
    one, two = (table(f"{P1_HEADER}\nx.wav,0,F,31,1\n", name=name) for name in ("train.csv", "eval.csv"))

    found = problems_of(tmp_path, folder, one, two, layout="spira-p1")

    assert found == {"eval.csv, row 2, path": "is the same file as in train.csv, row 2"}


# --- export ---


def export(manifest: Path, out: Path, choice: Choice) -> list[dict[str, str]]:
    read = table(manifest.read_bytes(), name="manifest.csv", base=str(manifest.parent))
    return export_recordings(read, out, choice=choice, recordings=LocatedRecordings(), locate=locate, mapping={})


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    names = [f"{n}.wav" for n in range(8)]
    text = "path,participant_id,label,fold,task\n" + "".join(
        f"{name},person-{n},{n % 2},{n // 4},sustained\n" for n, name in enumerate(names)
    )
    return bring(tmp_path, folder_of(tmp_path, *names), table(text)).manifest


def test_an_export_holds_the_chosen_rows_and_their_recordings(manifest: Path, tmp_path: Path) -> None:
    written = export(manifest, tmp_path / "out", Choice(folds=(0,), labels=("patient",)))

    assert rows(tmp_path / "out" / "manifest.csv") == [
        {name: row.get(name, "") for name in MANIFEST_COLUMNS} for row in written
    ]
    assert {(row["fold"], row["label"]) for row in written} == {("0", "patient")}
    assert len(written) == len(list((tmp_path / "out" / "recordings").iterdir())) == 2


def test_an_export_of_one_person_per_class_is_the_same_each_time(manifest: Path, tmp_path: Path) -> None:
    one, again = (export(manifest, tmp_path / str(n), Choice(folds=(1,), participants=1)) for n in range(2))

    assert sorted(row["label"] for row in one) == ["control", "patient"]
    assert one == again


def test_an_export_of_nothing_says_so(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no recording of fold 7"):
        export(manifest, tmp_path / "out", Choice(folds=(7,)))

    assert not (tmp_path / "out").exists()

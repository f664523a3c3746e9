"""From bytes to shards, in order: load, level, noise, windows, features; whatever the piece, the label or the order."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import torch
from safetensors.torch import load

from spira.kernel.errors import Conflict, InvalidInput
from spira.kernel.ids import sha256_hex
from spira.training.core.cohort import Cohort, NoiseClip, Recording
from spira.training.core.noise import AugmentationConfig, add_noise, noise_sides
from spira.training.use_cases.features import FeatureRequest, compute_shards, piece_of, version_of
from spira.training.use_cases.shards import Shards
from spira.voice.decode import decode
from spira.voice.features import FeatureSettings
from spira.voice.segment import WindowSettings

FloatArray = npt.NDArray[np.float32]
Found = dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]]
SMALL = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 20, "n_mfcc": 13}


class Stored:
    """Recordings by location; remembers what was read."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self.data = data
        self.asked: set[str] = set()

    def read(self, location: str) -> bytes:
        self.asked.add(location)
        return self.data[location]


def wav(samples: npt.ArrayLike, *, rate: int = 16_000, file: str = "WAV") -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.asarray(samples), rate, format=file, subtype="PCM_16")
    return out.getvalue()


def tone(number: int, seconds: float = 0.6) -> FloatArray:
    random = np.random.default_rng(number)
    times = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 100.0 + 10.0 * number
    return np.asarray(
        0.1 * np.sin(2 * np.pi * pitch * times) + 0.01 * random.standard_normal(len(times)), dtype=np.float32
    )


def cohort_of(stored: Stored, *, labels: Sequence[int], noise: Sequence[tuple[str, str]] = ()) -> Cohort:
    """Recordings `0`, `1`, … of different people; noise by location and kind, each its own group."""
    recordings = tuple(
        Recording(
            row=index + 2,
            location=str(index),
            sha256=sha256_hex(stored.data[str(index)]),
            duration_s=0.6,
            participant=f"p-{index}",
            label=1 if label else 0,
            fold=None,
            matched_pair=None,
            age=None,
            facets={},
        )
        for index, label in enumerate(labels)
    )
    clips = tuple(NoiseClip(location=at, sha256=sha256_hex(stored.data[at]), kind=kind, group=at) for at, kind in noise)
    return Cohort(recordings=recordings, noise=clips)


def request(
    augmentation: AugmentationConfig | None = None, *, kind: str = "log-mel", windows: WindowSettings | None = None
) -> FeatureRequest:
    return FeatureRequest(
        windows=windows or WindowSettings(window_s=0.5, step_s=0.25),
        features=FeatureSettings.model_validate({"kind": kind, **SMALL}),
        augmentation=augmentation or AugmentationConfig(),
        seed=7,
    )


def quiet(done: int, total: int, note: str = "") -> None:
    assert 0 < done <= total


def shards(cohort: Cohort, wanted: FeatureRequest, stored: Stored, **more: int) -> list[tuple[str, bytes]]:
    return list(compute_shards(cohort, wanted, recordings=stored, tell=quiet, **more))


def windows_of(found: Sequence[tuple[str, bytes]]) -> Found:
    """Values and mask by recording and version."""
    whole: Found = {}
    for name, data in found:
        tensors = load(data)
        present = tensors["recording"].unique()  # type: ignore[no-untyped-call]  # torch's has no annotations
        for index in present.tolist():
            rows = tensors["recording"] == index
            assert (index, version_of(name)) not in whole
            whole[index, version_of(name)] = tensors["values"][rows], tensors["mask"][rows]
    return whole


def equal(one: Found, other: Found) -> bool:
    return one.keys() == other.keys() and all(one[key][part].equal(other[key][part]) for key in one for part in (0, 1))


@pytest.fixture(scope="module")
def stored() -> Stored:
    noise = {f"noise-{n}": wav(0.3 * np.random.default_rng(n).standard_normal(4_000 + 900 * n)) for n in range(6)}
    return Stored({str(n): wav(tone(n)) for n in range(10)} | noise)


NOISE = [(f"noise-{n}", "fan" if n < 5 else "cough") for n in range(6)]
NOISY = AugmentationConfig(variants=2, insertions=2)


def test_the_label_changes_no_bit_of_any_feature(stored: Stored) -> None:
    random = np.random.default_rng(1)
    first = shards(cohort_of(stored, labels=[0] * 10, noise=NOISE), request(NOISY), stored)

    for labels in ([1] * 10, *(random.integers(2, size=10).tolist() for _ in range(4))):
        assert shards(cohort_of(stored, labels=labels, noise=NOISE), request(NOISY), stored) == first


def test_noise_by_label_where_it_is_allowed_and_none_for_a_class_of_zero(stored: Stored) -> None:
    by_label = AugmentationConfig(variants=2, insertions_control=0, insertions_patient=2, allow_label_dependent=True)
    labels = [0, 1] * 5

    found = windows_of(shards(cohort_of(stored, labels=labels, noise=NOISE), request(by_label), stored))
    blind = windows_of(shards(cohort_of(stored, labels=labels, noise=NOISE), request(NOISY), stored))

    for index, label in enumerate(labels):
        for version in (1, 2):
            expected = blind[index, version] if label else found[index, 0]
            assert found[index, version][0].equal(expected[0])
            assert found[index, version][0].equal(found[index, 0][0]) is (label == 0)


@pytest.mark.parametrize("pieces", [2, 3, 10, 13])
def test_pieces_give_the_same_bits_under_names_of_their_own(stored: Stored, pieces: int) -> None:
    cohort = cohort_of(stored, labels=[0, 1] * 5, noise=NOISE)
    whole = shards(cohort, request(NOISY), stored)

    apart = [
        one for piece in range(pieces) for one in shards(cohort, request(NOISY), stored, piece=piece, pieces=pieces)
    ]

    assert len({name for name, _ in apart}) == len(apart) == 3 * min(pieces, 10)
    assert equal(windows_of(apart), windows_of(whole))


@pytest.mark.parametrize(("count", "pieces"), [(10, 3), (1, 4), (0, 2), (1000, 7)])
def test_pieces_are_neighbours_of_equal_size_and_miss_nobody(count: int, pieces: int) -> None:
    ranges = [piece_of(count, piece, pieces) for piece in range(pieces)]

    assert [index for one in ranges for index in one] == list(range(count))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_neither_threads_nor_how_many_are_held_at_once_change_a_bit(
    stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = cohort_of(stored, labels=[0, 1] * 5, noise=NOISE)
    whole = shards(cohort, request(NOISY), stored, threads=1)

    monkeypatch.setattr("spira.training.use_cases.features._HELD_BYTES", 100_000)
    small = shards(cohort, request(NOISY), stored, threads=3)

    assert len(small) > len(whole)
    assert max(len(data) for _, data in small) < 100_000
    assert equal(windows_of(small), windows_of(whole))


def test_realisations_differ_from_each_other_and_are_drawn_again_with_another_seed(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1], noise=NOISE)
    wanted = request(AugmentationConfig(variants=8))
    found = windows_of(shards(cohort, wanted, stored))

    other = windows_of(
        shards(
            cohort,
            FeatureRequest(windows=wanted.windows, features=wanted.features, augmentation=wanted.augmentation, seed=8),
            stored,
        )
    )

    drawn = [found[0, version][0] for version in range(9)]
    assert not any(one.equal(another) for n, one in enumerate(drawn) for another in drawn[:n])
    assert other[0, 0][0].equal(found[0, 0][0])
    assert not any(other[0, version][0].equal(found[0, version][0]) for version in range(1, 9))


def test_noise_of_the_evaluation_is_never_heard_by_a_fit(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1], noise=NOISE)
    training, evaluation = noise_sides(cohort.noise)
    stored.asked.clear()

    shards(cohort, request(NOISY), stored)

    assert evaluation
    assert stored.asked == {"0", "1", *(one.location for one in training)}


def test_kinds_of_noise_that_are_not_there_are_told_with_those_that_are(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1], noise=NOISE)

    with pytest.raises(InvalidInput, match=r"augmentation.kinds.*traffic.*there is .*fan"):
        shards(cohort, request(AugmentationConfig(variants=1, kinds=("traffic",))), stored)


def test_without_noise_recordings_there_is_generated_noise_or_the_clean_version_alone(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1])

    generated = windows_of(shards(cohort, request(AugmentationConfig(variants=2)), stored))
    none = windows_of(shards(cohort, request(AugmentationConfig(variants=2, generated=False)), stored))

    assert {version for _, version in generated} == {0, 1, 2}
    assert {version for _, version in none} == {0}


def test_a_recording_that_changed_is_told_instead_of_used(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1])
    changed = Stored({**stored.data, "1": stored.data["2"]})

    with pytest.raises(Conflict, match="1 changed since it was checked"):
        shards(cohort, request(), changed)


def test_shards_are_what_training_reads(stored: Stored, tmp_path: Path) -> None:
    cohort = cohort_of(stored, labels=[0, 1] * 5, noise=NOISE)
    made = shards(cohort, request(NOISY), stored)
    files: dict[int, list[Path]] = {}
    for name, data in made:
        (tmp_path / name).write_bytes(data)
        files.setdefault(version_of(name), []).append(tmp_path / name)

    with Shards(files) as read:
        for (index, version), (values, mask) in windows_of(made).items():
            assert read.windows(index, version)[0].equal(values)
            assert read.windows(index, version)[1].equal(mask)


def by_librosa(window: FloatArray, kind: str) -> npt.NDArray[np.float64]:
    """The features from an independent implementation, [T, F]."""
    double = window.astype(np.float64)
    power = np.abs(librosa.stft(double, n_fft=512, win_length=400, hop_length=160, pad_mode="reflect")) ** 2
    if kind == "spectrogram":
        return np.asarray(power.T)
    bands = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=20, htk=True, norm=None, dtype=np.float64)
    mel = bands @ power
    if kind == "mel":
        return np.asarray(mel.T)
    levels = 10.0 * np.log10(np.maximum(mel, 1e-10))
    return np.asarray(librosa.feature.mfcc(S=np.maximum(levels, levels.max() - 80.0), n_mfcc=13).T)


@pytest.mark.parametrize("kind", ["spectrogram", "mel", "mfcc"])
@pytest.mark.parametrize("cutting", ["pad", "overlap"])
def test_the_whole_pipeline_in_order_equals_an_independent_one(kind: str, cutting: str) -> None:
    """Load (48 kHz, two channels, FLAC) → one channel at 16 kHz → noise on the whole clip → windows → features."""
    source = np.stack([np.interp(np.arange(1920 * 15) / 3, np.arange(9_600), tone(3))] * 2, axis=1)
    hiss = wav(0.3 * np.random.default_rng(5).standard_normal(20_000))
    stored = Stored({"0": wav(source, rate=48_000, file="FLAC"), "1": wav(tone(1)), "hiss": hiss})
    cohort = cohort_of(stored, labels=[0, 1], noise=[("hiss", "fan")])
    windows = WindowSettings.model_validate(
        {"kind": cutting, "window_s": 0.5 if cutting == "overlap" else 0.8, "step_s": 0.25}
    )
    augmentation = AugmentationConfig(variants=1, insertions=2)

    found = windows_of(shards(cohort, request(augmentation, kind=kind, windows=windows), stored))

    clip = decode(stored.data["0"], name="0")
    assert len(clip) == 9_600
    identity = int(cohort.recordings[0].sha256[:15], 16)
    noisy = add_noise(clip, [decode(hiss, name="hiss")], augmentation, seed=(7, 1, identity))
    for version, samples in ((0, clip), (1, noisy)):
        if cutting == "pad":
            cut = [np.pad(samples, (0, 12_800 - 9_600))]
        else:
            cut = [samples[:8_000], np.pad(samples[4_000:], (0, 12_000 - 9_600))]
        expected = np.stack([by_librosa(one, kind) for one in cut])
        values, mask = found[0, version]
        assert values.shape == expected.shape
        assert np.allclose(values.numpy(), expected, rtol=2e-3, atol=2e-4 * np.abs(expected).max())
        real = [min(9_600 - 4_000 * number, len(cut[0])) for number in range(len(cut))]
        assert mask.sum(1).tolist() == [sum(160 * t - 200 < n for t in range(mask.shape[1])) for n in real]


def test_overlapping_windows_hear_the_same_noise_where_they_overlap(stored: Stored) -> None:
    cohort = cohort_of(stored, labels=[0, 1], noise=NOISE)

    values, _ = windows_of(shards(cohort, request(NOISY, kind="waveform"), stored))[0, 1]

    assert values[0, 4_000:].equal(values[1, :4_000])

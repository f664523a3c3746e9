"""A model scores to the same bit wherever it runs, and refuses what is not exactly its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from spira.kernel.errors import InvalidInput
from spira.kernel.ids import sha256_hex
from spira.voice.features import FeatureSettings, prepare
from spira.voice.score import ModelSettings, ScreeningModel

FloatArray = npt.NDArray[np.float32]
Encode = Callable[..., bytes]
Voice = Callable[..., FloatArray]

V2 = ModelSettings(code_version="test")
SMALL = V2.model_validate({"code_version": "test", "windows": {"window_s": 1.0, "step_s": 0.5}})
ENSEMBLE = ModelSettings.model_validate(SMALL.model_dump() | {"network": {"members": 2}})
ROBUST = ModelSettings.model_validate(
    SMALL.model_dump()
    | {
        "features": {"kind": "phonation", "win_length": 640, "n_fft": 2048, "n_mfcc": 20, "level": "rms"},
        "network": {"architecture": "robust", "dropout": 0.1},
    }
)


def made(settings: ModelSettings, seed: int = 0) -> ScreeningModel:
    torch.manual_seed(seed)
    return ScreeningModel.untrained(settings)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    made(SMALL).save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Other weights under a digest that fits them."""
    save_file(weights, folder / "weights.safetensors")
    kept = json.loads((folder / "model.json").read_text())
    kept["weights_sha256"] = sha256_hex((folder / "weights.safetensors").read_bytes())
    (folder / "model.json").write_text(json.dumps(kept))


@pytest.mark.parametrize("settings", [V2, ENSEMBLE, ROBUST], ids=["v2", "ensemble", "robust"])
def test_scores_are_bit_equal_wherever_they_are_made(settings: ModelSettings, voice: Voice, tmp_path: Path) -> None:
    model = made(settings)
    clips = [voice(0.4 + 0.83 * number, seed=number, noise=0.02) for number in range(7)]
    alone = [model.score_samples(clip) for clip in clips]

    model.save(tmp_path / "model")
    loaded = ScreeningModel.load(tmp_path / "model")
    with ThreadPoolExecutor(6) as pool:
        in_threads = list(pool.map(loaded.score_samples, clips * 3))
    after_others = []
    before = torch.get_num_threads()
    for threads, clip in zip((1, 2, 4, 3, 2, 1, 5), clips, strict=True):
        torch.set_num_threads(threads)
        torch.randn(300, 300) @ torch.randn(300, 300)
        after_others.append(model.score_samples(clip))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    prepared = [model.score_features(prepare(clip, settings.windows, settings.features)) for clip in clips]
    shifted = [model.score_samples(np.concatenate([clip[:1], clip])[1:]) for clip in clips]  # other alignment

    assert in_threads == alone * 3
    assert after_others == alone
    assert prepared == alone
    assert shifted == alone


def test_the_score_is_the_mean_of_calibrated_probabilities_of_mean_logits(voice: Voice) -> None:
    calibrated = ModelSettings.model_validate(ENSEMBLE.model_dump() | {"temperature": 2.5, "bias": -0.3})
    model = made(calibrated)
    prepared = prepare(voice(2.2), calibrated.windows, calibrated.features)
    with torch.inference_mode():
        logits = sum(network.eval()(prepared.values, prepared.mask) for network in model.networks) / 2

    score = model.score_samples(voice(2.2))

    assert score == pytest.approx(float(torch.sigmoid((logits - 0.3) / 2.5).mean()), abs=1e-6)


def test_training_mode_of_a_network_does_not_reach_the_score(voice: Voice) -> None:
    model = made(SMALL)
    before = model.score_samples(voice())

    for network in model.networks:
        network.train()

    assert model.score_samples(voice()) == before


def test_extreme_logits_give_probabilities() -> None:
    model = made(ModelSettings.model_validate(SMALL.model_dump() | {"bias": 1e6}))

    assert model.score_samples(np.full(16_000, 0.1, np.float32)) == 1.0


def test_a_person_is_screened_from_the_required_recordings(encode: Encode, voice: Voice) -> None:
    model = made(ModelSettings.model_validate(SMALL.model_dump() | {"required_recordings": ("sustained", "rhyme")}))
    recordings = {"sustained": encode(voice(1.5)), "rhyme": encode(voice(2.0), file="FLAC"), "acceptance": b"not read"}

    screening = model.screen(recordings)

    assert set(screening.scores) == {"sustained", "rhyme", "final"}
    assert screening.scores["final"] == math.fsum([screening.scores["sustained"], screening.scores["rhyme"]]) / 2
    assert screening.diagnosis == ("positive" if screening.scores["final"] >= 0.5 else "negative")
    assert screening.quality["rhyme"].duration_s == 2.0


def test_everything_wrong_with_the_recordings_is_told_at_once(encode: Encode, voice: Voice) -> None:
    needed = ("sustained", "rhyme", "sentence")
    model = made(ModelSettings.model_validate(SMALL.model_dump() | {"required_recordings": needed}))
    hiss = np.asarray(0.1 * np.random.default_rng(0).standard_normal(32_000), np.float32)

    with pytest.raises(InvalidInput) as unreadable:
        model.screen({"rhyme": b"text", "sentence": encode(voice(1.0))})
    with pytest.raises(InvalidInput) as unfit:
        model.screen({"sustained": encode(voice(0.1)), "rhyme": encode(hiss), "sentence": encode(voice(1.0))})

    assert [problem.where for problem in unreadable.value.problems] == ["sustained", "rhyme"]
    assert {problem.where for problem in unfit.value.problems} == {"sustained", "rhyme"}


@pytest.mark.parametrize(
    ("score", "diagnosis"),
    [(0.2, "negative"), (0.4, "inconclusive"), (0.59, "inconclusive"), (0.6, "positive"), (1.0, "positive")],
)
def test_the_inconclusive_band_includes_its_low_end_only(score: float, diagnosis: str) -> None:
    settings = ModelSettings(code_version="test", inconclusive=(0.4, 0.6))

    assert settings.diagnose(score) == diagnosis


def test_a_missing_an_extra_and_a_misshapen_weight_are_named(saved: Path) -> None:
    weights = load_file(saved / "weights.safetensors")
    removed = weights.pop("0.last.bias")
    rewrite(saved, weights | {"0.surprise": removed.clone(), "0.last.weight": torch.zeros(2, 100)})

    with pytest.raises(InvalidInput) as caught:
        ScreeningModel.load(saved)

    told = [problem.what for problem in caught.value.problems]
    assert told == [
        "lacks 0.last.bias",
        "holds unknown 0.surprise",
        "0.last.weight is float32 [2, 100], not float32 [1, 100]",
    ]


def test_weights_of_another_type_are_refused(saved: Path) -> None:
    weights = load_file(saved / "weights.safetensors")
    rewrite(saved, weights | {"0.last.bias": weights["0.last.bias"].double()})

    with pytest.raises(InvalidInput, match="float64"):
        ScreeningModel.load(saved)


def test_one_changed_byte_of_the_weights_is_noticed(saved: Path) -> None:
    weights = bytearray((saved / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (saved / "weights.safetensors").write_bytes(weights)

    with pytest.raises(InvalidInput, match="is not the file"):
        ScreeningModel.load(saved)


def test_bytes_that_are_no_safetensors_are_refused(saved: Path) -> None:
    (saved / "weights.safetensors").write_bytes(b"\x80\x04pickled")
    kept = json.loads((saved / "model.json").read_text())
    kept["weights_sha256"] = sha256_hex(b"\x80\x04pickled")
    (saved / "model.json").write_text(json.dumps(kept))

    with pytest.raises(InvalidInput, match="no safetensors"):
        ScreeningModel.load(saved)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_folder_that_lacks_a_file_is_no_model(saved: Path, name: str) -> None:
    (saved / name).unlink()

    with pytest.raises(InvalidInput, match=name):
        ScreeningModel.load(saved)


def test_unknown_settings_and_newer_schemas_are_refused(saved: Path) -> None:
    kept = json.loads((saved / "model.json").read_text())
    kept["settings"] |= {"schema_version": 2, "surprise": 1}
    (saved / "model.json").write_text(json.dumps(kept))

    with pytest.raises(InvalidInput) as caught:
        ScreeningModel.load(saved)

    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    "wrong", [{"threshold": 1.5}, {"temperature": 0.0}, {"inconclusive": (0.6, 0.4)}, {"required_recordings": ()}]
)
def test_settings_refuse_wrong_values(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ModelSettings.model_validate({"code_version": "test"} | wrong)


def test_features_settings_travel_with_the_model(saved: Path) -> None:
    assert ScreeningModel.load(saved).settings == SMALL
    assert SMALL.features == FeatureSettings()

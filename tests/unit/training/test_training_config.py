from __future__ import annotations

from pathlib import Path

import pytest

from spira.kernel.errors import InvalidInput, NotFound
from spira.training.core.config import preset_names, read_config, read_preset


def problems_of(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_config(file, overrides=overrides)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str) -> None:
    assert read_preset(name, overrides=["augmentation.allow_label_dependent=true"]).seed >= 0


def test_the_presets_that_are_promised_are_there() -> None:
    assert {"smoke", "spira-v1-3.5", "robust"} <= set(preset_names())


def test_the_published_recipe_gives_both_classes_the_same_noise() -> None:
    config = read_preset("spira-v1-3.5")

    assert config.augmentation.insertions == 3
    assert (config.windows.window_s, config.windows.step_s) == (4.0, 1.0)
    assert (config.features.n_mfcc, config.features.n_fft, config.features.level) == (40, 1200, "none")
    assert (config.training.batch_recordings, config.training.warmup_steps) == (5, 1000)


def test_all_mistakes_are_told_at_once_with_path_and_line(tmp_path: Path) -> None:
    text = '{\n "seed": "x",\n "training": {\n  "epocs": 3,\n  "patience": 1.5\n },\n "extra": 1\n}'

    found = problems_of(tmp_path, text)

    assert [one.split(":")[0] for one in found] == [
        "mine.json, line 2, seed",
        "mine.json, line 5, training.patience",
        "mine.json, line 4, training.epocs",
        "mine.json, line 7, extra",
    ]
    assert "is not a known key" in found[2]
    assert "known: batch_recordings, " in found[2]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            '{\n "windows": {"kind": "pad", "step_s": 1.0}}',
            "line 2, windows.step_s: has no meaning for windows.kind 'pad'",
        ),
        ('{\n "training": {"time_masks": 2}}', "line 2, training: time_masks and time_mask_frames"),
        ('{\n "augmentation": {"peak_low": 0.5, "peak_high": 0.1}}', "line 2, augmentation: peak_low is above"),
        ('{\n "augmentation": {"clean": false}}', "line 1: augmentation.clean false"),
        ('{\n "features": {"win_length": 2000}}', "line 2, features: win_length 2000 is above n_fft"),
        ('{"seed": 1.0}', "line 1, seed: .*integer"),
        ('{"seed": "1"}', "line 1, seed: .*integer"),
        ("[]", "is no JSON object"),
    ],
)
def test_a_contradiction_or_a_wrong_type_is_refused(tmp_path: Path, text: str, what: str) -> None:
    (found,) = problems_of(tmp_path, text)

    import re

    assert re.search(what, found)


def test_overrides_reach_any_depth_and_are_json_or_text(tmp_path: Path) -> None:
    overrides = ["training.epochs=3", "features.level=rms", "evaluation.slices=[]", "dataset.columns.label=klass"]

    config = read_preset("smoke", overrides=overrides)

    assert (config.training.epochs, config.features.level, config.evaluation.slices) == (3, "rms", ())
    assert config.dataset.columns == {"label": "klass"}


def test_a_wrong_override_names_itself(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "{}", "training.epochs=many")[0].startswith("--set training.epochs: ")
    assert problems_of(tmp_path, "{}", "training.epocs=1")[0].startswith("--set training.epocs: is not a known key")
    assert "is not of the form" in problems_of(tmp_path, "{}", "nothing")[0]


def test_a_preset_may_be_padded_although_its_file_has_a_step() -> None:
    assert read_preset("robust", overrides=["windows.kind=pad"]).windows.kind == "pad"
    with pytest.raises(InvalidInput, match=r"--set windows\.step_s: has no meaning"):
        read_preset("robust", overrides=["windows.kind=pad", "windows.step_s=1.0"])


def test_an_unknown_preset_tells_those_that_exist() -> None:
    with pytest.raises(NotFound, match="smoke"):
        read_preset("nonsense")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        read_config(tmp_path / "none.json")

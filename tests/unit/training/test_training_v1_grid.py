"""The published grid of 18 experiments, as presets."""

from __future__ import annotations

import pytest

from spira.kernel.errors import InvalidInput
from spira.training.core.config import TrainingConfig, preset_names, read_preset
from spira.training.core.v1_grid import GRID
from spira.voice.features import bins, frames
from spira.voice.network import build_network

ALLOWED = ("augmentation.allow_label_dependent=true",)
PUBLISHED = {
    "3.1": (1, 1), "3.2": (2, 1), "3.3": (2, 2), "3.4": (3, 2), "3.5": (3, 3), "3.6": (4, 3),
    "3.7": (4, 4), "3.8": (5, 4), "3.9": (5, 5), "3.10": (6, 5), "3.11": (6, 6), "3.12": (7, 6),
}  # fmt: skip


def preset(number: str) -> TrainingConfig:
    return read_preset(f"spira-v1-{number}", overrides=ALLOWED)


def test_all_eighteen_are_presets() -> None:
    assert len(GRID) == 18
    assert {f"spira-v1-{number}" for number in GRID} <= set(preset_names())


@pytest.mark.parametrize(("number", "counts"), PUBLISHED.items())
def test_the_third_family_counts_noise_as_published(number: str, counts: tuple[int, int]) -> None:
    augmentation = preset(number).augmentation

    assert (augmentation.insertions_of(0), augmentation.insertions_of(1)) == counts
    assert not augmentation.clean


@pytest.mark.parametrize(
    ("second", "kind", "window_s"), [("1", "pad", 25.49), ("2", "overlap", 3.0), ("3", "overlap", 4.0)]
)
def test_the_first_two_families_differ_in_their_windows(second: str, kind: str, window_s: float) -> None:
    for first in ("1", "2"):
        windows = preset(f"{first}.{second}").windows
        assert (windows.kind, windows.window_s) == (kind, window_s)


def test_the_first_family_hears_no_noise_and_the_second_only_on_controls() -> None:
    assert (preset("1.2").augmentation.variants, preset("1.2").augmentation.clean) == (0, True)
    assert (preset("2.2").augmentation.insertions_of(0), preset("2.2").augmentation.insertions_of(1)) == (1, 0)


@pytest.mark.parametrize(("number", "inputs"), [("1.1", 49_920), ("1.2", 4_960), ("1.3", 6_880)])
def test_the_network_has_the_published_size(number: str, inputs: int) -> None:
    """The first full layer has 100 outputs; its inputs follow from the length of the window."""
    config = preset(number)
    count = frames(config.features, config.windows.window)

    network = build_network(config.network, frames=count, bins=bins(config.features))

    assert network.get_parameter("first.weight").shape == (100, inputs)


@pytest.mark.parametrize("number", [number for number, one in GRID.items() if one.control != one.patient])
def test_noise_that_tells_the_label_is_refused_unless_it_is_allowed(number: str) -> None:
    with pytest.raises(InvalidInput, match="--allow-label-dependent-noise"):
        read_preset(f"spira-v1-{number}")


@pytest.mark.parametrize("number", [number for number, one in GRID.items() if one.control == one.patient])
def test_noise_that_is_blind_to_the_label_needs_no_leave(number: str) -> None:
    assert read_preset(f"spira-v1-{number}").augmentation.allow_label_dependent is False


def test_everything_else_is_the_recipe_of_3_5() -> None:
    recipe = preset("3.5")

    for number in GRID:
        one = preset(number)
        assert (one.network, one.training, one.features, one.calibration, one.seed) == (
            recipe.network,
            recipe.training,
            recipe.features,
            recipe.calibration,
            recipe.seed,
        )


def test_settings_of_a_preset_can_still_be_changed() -> None:
    assert read_preset("spira-v1-3.3", overrides=["training.epochs=2"]).training.epochs == 2

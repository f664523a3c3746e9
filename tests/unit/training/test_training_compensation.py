"""What noise adds along a few directions is found and taken out again, and what has no noise stays where it is."""

from __future__ import annotations

import torch

from spira.training.core.compensation import fitted_compensation
from spira.voice.compensation import REACH, Compensation
from spira.voice.robust import RobustNet

SIZE = 12


def voices(people: int, seed: int) -> torch.Tensor:
    """Statistics that vary in their first ten; the last two are almost the same for everybody."""
    spread = torch.tensor([1.0] * 10 + [0.05] * 2)
    return torch.randn(people, SIZE, generator=torch.Generator().manual_seed(seed)) * spread


def with_noise(clean: torch.Tensor, seed: int) -> torch.Tensor:
    """Moved along one direction, which shows in the last two statistics as well."""
    amount = torch.rand(len(clean), 1, generator=torch.Generator().manual_seed(seed)) * 3.0
    direction = torch.tensor([[1.0, -1.0] + [0.0] * 8 + [0.2, 0.2]])
    return clean + amount * direction


def fitted(directions: int = 1) -> Compensation:
    clean = voices(400, 1)
    compensation = Compensation(size=SIZE, directions=directions)
    buffers = fitted_compensation(clean, [with_noise(clean, seed) for seed in (2, 3)], directions=directions)
    compensation.load_state_dict(buffers)
    return compensation


def test_noise_on_people_never_seen_is_taken_out_by_more_than_half() -> None:
    clean = voices(200, 7)
    compensation = fitted()

    still, moved = compensation(clean), compensation(with_noise(clean, 8))
    before = (compensation_input(compensation, with_noise(clean, 8)) - compensation_input(compensation, clean))[:, :2]

    assert (moved - still)[:, :2].abs().mean() < 0.5 * before.abs().mean()


def test_clean_statistics_hardly_move() -> None:
    clean = voices(200, 7)
    compensation = fitted()

    shift = compensation(clean) - compensation_input(compensation, clean)

    assert shift[:, :2].abs().mean() < 0.35
    assert shift[:, 2:10].abs().max() < 0.3


def compensation_input(compensation: Compensation, values: torch.Tensor) -> torch.Tensor:
    return ((values - compensation.centre) / compensation.spread).clamp(-REACH, REACH)


def test_before_it_is_fitted_it_moves_nothing() -> None:
    values = torch.linspace(-2.0, 2.0, 3 * SIZE).reshape(3, SIZE)

    assert torch.equal(Compensation(size=SIZE, directions=4)(values), values)


def test_it_takes_no_gradient_and_travels_with_the_weights() -> None:
    network = RobustNet(bins=27, dropout=0.0, noise_directions=4)

    assert not any("compensation" in name for name, _ in network.named_parameters())
    assert {name for name in network.state_dict() if name.startswith("compensation.")} == {
        f"compensation.{name}"
        for name in ("centre", "spread", "directions", "terms_centre", "terms_spread", "slopes", "offset")
    }

from __future__ import annotations

import pytest
import torch

from spira.voice.attention import AttentionNet, attentive_statistics
from spira.voice.features import one_thread
from spira.voice.network import NetworkSettings, build_network


def network(bins: int = 6) -> AttentionNet:
    torch.manual_seed(1)
    return AttentionNet(bins=bins, dropout=0.5).eval()


def windows(count: int = 3, frames: int = 40, bins: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(count, frames, bins), torch.ones(count, frames, dtype=torch.bool)


def test_equal_attention_gives_the_plain_mean_and_deviation() -> None:
    frames = torch.tensor([[[1.0], [3.0], [5.0], [99.0]]])
    mask = torch.tensor([[True, True, True, False]])

    found = attentive_statistics(frames, torch.zeros(1, 4), mask)

    assert found[0].tolist() == pytest.approx([3.0, (8.0 / 3.0) ** 0.5], rel=1e-4)


def test_attention_on_one_frame_gives_that_frame() -> None:
    frames, scores = torch.tensor([[[1.0], [3.0], [5.0]]]), torch.tensor([[0.0, 50.0, 0.0]])

    found = attentive_statistics(frames, scores, torch.ones(1, 3, dtype=torch.bool))

    assert found[0].tolist() == pytest.approx([3.0, 0.01], abs=1e-3)


def test_a_window_of_no_frames_is_still_a_number() -> None:
    found = network()(torch.zeros(1, 40, 6), torch.zeros(1, 40, dtype=torch.bool))

    assert torch.isfinite(found).all()


def test_padding_changes_nothing_whatever_it_holds() -> None:
    values, mask = windows(frames=40)
    padded = torch.cat((values, 7.0 * torch.randn(3, 25, 6)), dim=1)
    longer = torch.cat((mask, torch.zeros(3, 25, dtype=torch.bool)), dim=1)

    assert torch.allclose(network()(padded, longer), network()(values, mask), atol=1e-6)


def test_a_louder_clip_sounds_the_same() -> None:
    values, mask = windows()

    assert torch.allclose(network()(values + 20.0, mask), network()(values, mask), atol=1e-4)


def test_a_window_is_scored_alike_alone_and_among_others() -> None:
    values, mask = windows()
    together = network()(values, mask)

    alone = torch.cat([network()(values[n : n + 1], mask[n : n + 1]) for n in range(3)])

    assert torch.allclose(together, alone, atol=1e-6)


def test_it_is_small_and_every_weight_learns() -> None:
    made = build_network(NetworkSettings(architecture="attention", dropout=0.1), frames=40, bins=6)
    values, mask = windows()

    made(values, mask).square().sum().backward()

    assert sum(weight.numel() for weight in made.parameters()) < 25_000
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in made.parameters())


def test_it_learns_where_in_the_window_a_sign_is_without_being_told() -> None:
    torch.manual_seed(3)
    values, mask = torch.randn(32, 20, 6), torch.ones(32, 20, dtype=torch.bool)
    targets = torch.arange(32) % 2
    places = torch.randint(0, 18, (32,))
    for window in torch.nonzero(targets).flatten().tolist():
        values[window, places[window] : places[window] + 2, 0] += 6.0
    made = AttentionNet(bins=6, dropout=0.0)
    optimiser = torch.optim.Adam(made.parameters(), lr=0.01)

    with one_thread():
        for _ in range(25):
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(made(values, mask), targets.float())
            loss.backward()  # type: ignore[no-untyped-call]  # torch's has no annotations
            optimiser.step()
        found = (made(values, mask) > 0).long()

    assert (found == targets).float().mean() > 0.95

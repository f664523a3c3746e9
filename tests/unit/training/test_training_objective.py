from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spira.training.core.config import OptimisationConfig
from spira.training.core.objective import augmented, class_factors, learning_rate, window_loss


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.randn(4, 10, 5), torch.ones(4, 10, dtype=torch.bool), torch.tensor([0.0, 1, 0, 1])


def test_the_noam_rate_rises_to_its_peak_and_falls_as_the_root() -> None:
    config = OptimisationConfig(learning_rate=0.001, warmup_steps=100)

    assert learning_rate(100, config, steps=1000) == pytest.approx(0.001)
    assert learning_rate(50, config, steps=1000) == pytest.approx(0.0005)
    assert learning_rate(400, config, steps=1000) == pytest.approx(0.0005)


def test_a_constant_rate_is_constant() -> None:
    config = OptimisationConfig(schedule="constant")

    assert [learning_rate(step, config, steps=10) for step in (1, 7, 10)] == [0.001] * 3


def test_the_cosine_rate_rises_straight_and_falls_to_nothing() -> None:
    config = OptimisationConfig(schedule="cosine", learning_rate=0.4, warmup_steps=100)

    assert learning_rate(25, config, steps=300) == pytest.approx(0.1)
    assert learning_rate(100, config, steps=300) == pytest.approx(0.4)
    assert learning_rate(200, config, steps=300) == pytest.approx(0.2)
    assert learning_rate(300, config, steps=300) == pytest.approx(0.0)


def test_the_loss_of_known_logits_is_known() -> None:
    logits, targets = torch.tensor([0.0, math.log(3.0)]), torch.tensor([0.0, 1.0])

    assert float(window_loss(logits, targets)) == pytest.approx((math.log(2.0) + math.log(4.0 / 3.0)) / 2.0)


def test_label_smoothing_moves_targets_towards_one_half() -> None:
    logit = torch.tensor([math.log(9.0)])

    smoothed = float(window_loss(logit, torch.tensor([1.0]), smoothing=0.2))

    assert smoothed == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1))


def test_weights_multiply_the_loss_of_each_window() -> None:
    logits, targets = torch.tensor([1.0, -2.0]), torch.tensor([1.0, 1.0])
    apart = [float(window_loss(logits[n : n + 1], targets[n : n + 1])) for n in (0, 1)]

    weighted = float(window_loss(logits, targets, weights=torch.tensor([0.5, 1.5])))

    assert weighted == pytest.approx((0.5 * apart[0] + 1.5 * apart[1]) / 2.0)


def test_people_of_no_weight_have_no_say_and_leave_a_number() -> None:
    logits = torch.tensor([3.0, -3.0], requires_grad=True)

    loss = window_loss(logits, torch.tensor([0.0, 1.0]), weights=torch.zeros(2))
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here

    assert float(loss.detach()) == 0.0
    assert logits.grad is not None
    assert logits.grad.tolist() == [0.0, 0.0]


def test_both_classes_get_the_same_mass_whatever_the_weights_of_their_people() -> None:
    labels, weights = np.array([0, 0, 0, 1]), np.array([1.0, 0.5, 0.5, 2.0])

    factors = class_factors(labels, weights)

    assert (factors * weights)[labels == 0].sum() == pytest.approx((factors * weights)[labels == 1].sum())
    assert (factors * weights).sum() == pytest.approx(weights.sum())


def test_masks_and_mixing_are_off_by_default() -> None:
    values, mask, targets = batch()

    same, unmixed = augmented(values, mask, targets, config=OptimisationConfig(), random=np.random.default_rng(1))

    assert same is values
    assert unmixed is targets


def test_masks_replace_stripes_by_the_windows_mean() -> None:
    config = OptimisationConfig(time_masks=2, time_mask_frames=4, bin_masks=1, bin_mask_bins=2)
    values, mask, targets = batch()
    before = values.clone()

    changed, unmixed = augmented(values, mask, targets, config=config, random=np.random.default_rng(1))

    replaced = changed != before
    assert torch.equal(values, before)
    assert unmixed is targets
    for window in range(4):
        frames, bins = replaced[window].all(1), replaced[window].all(0)
        assert frames.sum() <= 8
        assert bins.sum() <= 2
        assert (replaced[window] == (frames[:, None] | bins[None, :])).all()
        assert torch.equal(changed[window][replaced[window]], before[window].mean().expand(int(replaced[window].sum())))
    assert replaced.any()


def test_a_time_mask_lies_within_the_frames_that_hold_sound() -> None:
    config = OptimisationConfig(time_masks=16, time_mask_frames=2)
    values, mask, targets = batch()
    mask[:, 6:] = False

    changed, _ = augmented(values, mask, targets, config=config, random=np.random.default_rng(1))

    assert torch.equal(changed[:, 6:], values[:, 6:])


def test_mixing_softens_targets_as_it_mixes_values() -> None:
    config = OptimisationConfig(mixup_alpha=0.5)
    _, mask, targets = batch()
    values = targets[:, None, None].expand(4, 10, 5)

    mixed, softened = augmented(values, mask, targets, config=config, random=np.random.default_rng(1))

    assert torch.allclose(mixed[:, 0, 0], softened)
    assert float(softened.sum()) == pytest.approx(2.0)
    assert set(softened.tolist()) != {0.0, 1.0}

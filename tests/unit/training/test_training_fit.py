from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spira.training.core.calibration import calibrate
from spira.training.core.config import CalibrationConfig, OptimisationConfig
from spira.training.core.fit import FitState, augmented, noam_rate, window_loss


def fresh(seed: int = 1) -> FitState:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    return FitState(network=network, optimiser=optimiser, random=np.random.default_rng(seed))


def advance(state: FitState, steps: int) -> list[float]:
    state.network.train()
    losses = []
    for _ in range(steps):
        values = torch.from_numpy(state.random.standard_normal((8, 4)).astype(np.float32))
        state.optimiser.zero_grad()
        loss = window_loss(state.network(values).squeeze(1), (values[:, 0] > 0).float(), smoothing=0.0)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        state.optimiser.step()
        state.step += 1
        losses.append(float(loss.detach()))
    return losses


def test_a_saved_state_goes_on_as_if_nothing_had_happened() -> None:
    state = fresh()
    advance(state, 5)
    state.note_epoch(loss=1.0, validation_loss=1.0, validation_auc=0.6)
    saved = state.save()
    unbroken = advance(state, 5)

    other = fresh(seed=99)
    other.load(saved)

    assert advance(other, 5) == unbroken
    assert (other.epoch, other.best_epoch, other.curves) == (1, 1, state.curves)


def test_the_best_epoch_is_the_one_of_the_highest_area_then_of_the_lowest_loss() -> None:
    state = fresh()
    for area, loss in ((0.7, 0.5), (0.8, 0.6), (0.8, 0.5), (0.8, 0.55), (0.6, 0.1)):
        state.note_epoch(loss=1.0, validation_loss=loss, validation_auc=area)

    assert state.best_epoch == 3
    assert state.is_over(OptimisationConfig(epochs=100, patience=2))
    assert not state.is_over(OptimisationConfig(epochs=100, patience=3))
    assert state.is_over(OptimisationConfig(epochs=5, patience=None))


def test_the_noam_rate_rises_to_its_peak_and_falls_as_the_root() -> None:
    config = OptimisationConfig(learning_rate=0.001, warmup_steps=100)

    assert noam_rate(100, config) == pytest.approx(0.001)
    assert noam_rate(50, config) == pytest.approx(0.0005)
    assert noam_rate(400, config) == pytest.approx(0.0005)
    assert noam_rate(7, OptimisationConfig(schedule="constant")) == 0.001


def test_masks_and_mixing_are_off_by_default() -> None:
    values, mask, targets = torch.randn(4, 10, 5), torch.ones(4, 10, dtype=torch.bool), torch.tensor([0.0, 1, 0, 1])

    same, unmixed = augmented(values, mask, targets, config=OptimisationConfig(), random=np.random.default_rng(1))

    assert same is values
    assert unmixed is targets


def test_masks_replace_stripes_and_mixing_softens_targets() -> None:
    config = OptimisationConfig(time_masks=2, time_mask_frames=4, bin_masks=1, bin_mask_bins=2, mixup_alpha=0.5)
    values, mask, targets = torch.randn(4, 10, 5), torch.ones(4, 10, dtype=torch.bool), torch.tensor([0.0, 1, 0, 1])
    before = values.clone()

    changed, mixed = augmented(values, mask, targets, config=config, random=np.random.default_rng(1))

    assert torch.equal(values, before)
    assert not torch.equal(changed, before)
    assert mixed.sum() == pytest.approx(2.0)
    assert set(mixed.tolist()) != {0.0, 1.0}


def test_calibration_undoes_a_scale_and_a_shift() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(0, 2, 4000)
    labels = (random.random(4000) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    owner = np.arange(4000)

    found = calibrate(3.0 * truth + 1.5, owner, labels, CalibrationConfig(kind="platt"))

    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert found.bias == pytest.approx(-1.5, abs=0.3)


def test_calibration_stays_finite_when_classes_are_separated() -> None:
    logits, labels = np.array([-5.0, -4, 4, 5]), np.array([0, 0, 1, 1], dtype=np.float32)

    found = calibrate(logits, np.arange(4), labels, CalibrationConfig())

    assert 0.02 <= found.temperature <= 50
    assert 0 < found.threshold < 1
    assert calibrate(logits, np.arange(4), labels, CalibrationConfig(kind="none", threshold="fixed")).threshold == 0.5

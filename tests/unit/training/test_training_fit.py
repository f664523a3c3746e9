from __future__ import annotations

import numpy as np
import torch
from torch import nn

from spira.training.core.config import OptimisationConfig
from spira.training.core.fit import FitState
from spira.training.core.objective import window_loss


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
        loss = window_loss(state.network(values).squeeze(1), (values[:, 0] > 0).float())
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
        state.optimiser.step()
        state.note_batch(float(loss.detach()))
        losses.append(float(loss.detach()))
    return losses


def test_a_state_saved_within_an_epoch_goes_on_as_if_nothing_had_happened() -> None:
    state = fresh()
    advance(state, 5)
    state.note_epoch(validation_loss=1.0, validation_auc=0.6, learning_rate=0.01)
    state.begin_epoch(np.array([2, 0, 1]), np.array([0, 1, 1]))
    advance(state, 2)
    saved = state.save()
    unbroken = advance(state, 5)

    other = fresh(seed=99)
    other.load(saved)

    assert (other.order.tolist(), other.chosen.tolist(), len(other.losses)) == ([2, 0, 1], [0, 1, 1], 2)
    assert (other.epoch, other.step, other.best_epoch) == (1, 7, 1)
    assert advance(other, 5) == unbroken
    assert other.curves == state.curves
    assert other.save() == state.save()


def test_a_state_that_was_loaded_saves_the_same_bytes() -> None:
    state = fresh()
    advance(state, 3)
    saved = state.save()

    other = fresh(seed=2)
    other.load(saved)

    assert other.save() == saved


def test_the_best_epoch_is_the_one_of_the_highest_area_then_of_the_lowest_loss() -> None:
    state = fresh()
    for area, loss in ((0.7, 0.5), (0.8, 0.6), (0.8, 0.5), (0.8, 0.55), (0.6, 0.1)):
        state.note_batch(1.0)
        state.note_epoch(validation_loss=loss, validation_auc=area, learning_rate=0.01)

    assert state.best_epoch == 3
    assert state.is_over(OptimisationConfig(epochs=100, patience=2))
    assert not state.is_over(OptimisationConfig(epochs=100, patience=3))
    assert state.is_over(OptimisationConfig(epochs=5, patience=None))


def test_the_weights_of_the_best_epoch_are_the_ones_that_are_kept() -> None:
    state = fresh()
    advance(state, 1)
    state.note_epoch(validation_loss=0.5, validation_auc=0.9, learning_rate=0.01)
    best = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
    advance(state, 3)
    state.note_epoch(validation_loss=0.4, validation_auc=0.8, learning_rate=0.01)

    state.restore_best()

    assert all(tensor.equal(best[name]) for name, tensor in state.network.state_dict().items())


def test_an_epochs_loss_is_the_mean_over_its_batches() -> None:
    state = fresh()
    for loss in (1.0, 2.0, 6.0):
        state.note_batch(loss)

    state.note_epoch(validation_loss=0.5, validation_auc=0.9, learning_rate=0.01)

    assert state.curves["loss"] == [3.0]
    assert (state.losses, len(state.order)) == ([], 0)

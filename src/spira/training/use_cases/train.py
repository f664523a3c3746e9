"""The fit of an ensemble's members, each alone: epochs, the best of them, and what it says of its validation people.

    material -> for each epoch: deal recordings and versions -> batches -> judge -> keep the best -> Member

An epoch takes one version (clean or noisy) of every recording at random, in random order. The whole state is saved
from time to time, after any batch, so that a fit which is killed and resumed equals an unbroken one bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.calibration import out_of_sample
from spira.training.core.cohort import Cohort, Split
from spira.training.core.compute import Compute, repeatable
from spira.training.core.config import TrainingConfig
from spira.training.core.figures import auc
from spira.training.core.fit import FitState
from spira.training.core.member import Heard, Member, MemberFacts, heard_of
from spira.training.core.objective import augmented, learning_rate, window_loss
from spira.training.core.ranks import Alone, Ranks
from spira.training.ports import Checkpoints, Tell, Windows
from spira.training.use_cases.compensate import compensate
from spira.training.use_cases.material import Batch, Material, PooledWindows, batches_of
from spira.voice.network import build_network
from spira.voice.robust import RobustNet

CHECKPOINT_EVERY_S = 30.0


def fit_members(
    cohort: Cohort,
    windows: Windows,
    sides: Mapping[int, Split],
    *,
    config: TrainingConfig,
    compute: Compute,
    checkpoints: Checkpoints,
    tell: Tell,
    resume: bool = False,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    ranks: Ranks | None = None,
) -> tuple[Member, ...]:
    """Fit the members whose numbers `sides` names, each on the people of its own train side.

    Those of the test side are not touched. With `resume` a member goes on after the last batch that was saved, if any.
    Raises InvalidInput when a loss is no number, naming member, epoch and batch.
    """
    is_pooled = config.network.architecture == "robust" and not config.training.changes_features
    given = PooledWindows(windows) if is_pooled else windows
    members = []
    with repeatable(config.training, compute):
        for position, (number, split) in enumerate(sides.items()):
            material = Material.of(cohort, given, split, config=config)
            fit = _Fit(
                number=number,
                cohort=cohort,
                material=material,
                config=config,
                compute=compute,
                ranks=ranks or Alone(),
                is_pooled=is_pooled,
            )
            keeper = _Keeper(checkpoints, f"member-{number}", every_s=checkpoint_every_s)
            members.append(fit.run(keeper, _told(tell, position, len(sides), fit), resume=resume))
    return tuple(members)


class _Keeper:
    """Saves a member's state, not more often than every so many seconds, and at its end."""

    def __init__(self, checkpoints: Checkpoints, name: str, *, every_s: float) -> None:
        self._checkpoints, self._name, self._every_s = checkpoints, name, every_s
        self._last = time.monotonic()

    def saved(self) -> bytes | None:
        return self._checkpoints.load(self._name)

    def keep(self, state: FitState, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._last >= self._every_s:
            self._checkpoints.save(self._name, state.save())
            self._last = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The fit of one member."""

    number: int
    cohort: Cohort
    material: Material
    config: TrainingConfig
    compute: Compute
    ranks: Ranks
    is_pooled: bool

    @property
    def seed(self) -> int:
        return self.config.seed + 1000 * self.number

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return len(batches_of(np.arange(len(self.material.fitted)), self.config.training.batch_recordings))

    def run(self, keeper: _Keeper, tell: Callable[[FitState], None], *, resume: bool) -> Member:
        state = self._fresh()
        saved = keeper.saved() if resume else None
        if saved is not None:
            state.load(saved)
        else:
            compensate(state.network, self.material, is_pooled=self.is_pooled)
        forward = self.ranks.parallel(_Classify(state.network) if self.is_pooled else state.network)
        while not state.is_over(self.config.training):
            self._epoch(state, forward, keeper, tell)
        if self.ranks.rank == 0:
            keeper.keep(state, at_once=True)
        state.restore_best()
        return Member(facts=self._facts(state), weights=state.network.state_dict(), heard=self._heard(state))

    def _fresh(self) -> FitState:
        torch.manual_seed(self.seed)
        windows, training = self.material.windows, self.config.training
        network = build_network(self.config.network, frames=windows.frames, bins=windows.bins).to(self.compute.device)
        kind = torch.optim.AdamW if training.decoupled_decay else torch.optim.Adam
        optimiser = kind(network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
        return FitState(
            network=network, optimiser=optimiser, random=np.random.default_rng([self.config.seed, self.number])
        )

    def _epoch(self, state: FitState, forward: nn.Module, keeper: _Keeper, tell: Callable[[FitState], None]) -> None:
        """One epoch, or what is left of it; `state.losses` tells how many of its batches are over."""
        if len(state.order) == 0:
            state.begin_epoch(*self.material.deal(state.random))
        state.network.train()
        for places in batches_of(state.order, self.config.training.batch_recordings)[len(state.losses) :]:
            state.note_batch(self._step(state, forward, places))
            if self.ranks.rank == 0:
                keeper.keep(state)
                tell(state)
        self._judge(state)

    def _step(self, state: FitState, forward: nn.Module, places: slice) -> float:
        """One batch; its mean loss over all processes. Noise, masks and mixing use `state.random`, dropout torch's."""
        training = self.config.training
        if self.ranks.size > 1:
            torch.manual_seed(hash((self.seed, state.step, self.ranks.rank)) % 2**63)
        for group in state.optimiser.param_groups:
            group["lr"] = self._rate(state.step + 1)
        state.optimiser.zero_grad(set_to_none=True)
        batch, counted = self._share(state, places)
        values, targets = augmented(batch.values, batch.mask, batch.targets, config=training, random=state.random)
        with self.compute.autocast():
            logits = forward(values, batch.mask)
        loss = window_loss(logits.float(), targets, smoothing=training.label_smoothing, weights=batch.weights)
        everybody = self.ranks.total(counted)
        (loss * (counted * self.ranks.size / everybody)).backward()  # type: ignore[no-untyped-call]  # torch's has no annotations
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(state.network.parameters(), training.clip_norm)
        state.optimiser.step()
        return self._number(self.ranks.total(float(loss.detach()) * counted) / everybody, state)

    def _share(self, state: FitState, places: slice) -> tuple[Batch, int]:
        """This process's part of a batch and how many of its windows count: none when others have it all."""
        order, chosen = state.order[places], state.chosen[places]
        mine = slice(self.ranks.rank, None, self.ranks.size)
        is_mine = len(order[mine]) > 0
        part = mine if is_mine else slice(0, 1)
        batch = self.material.batch(order[part].tolist(), chosen[part].tolist()).to(self.compute.device)
        return batch, len(batch.targets) if is_mine else 0

    def _judge(self, state: FitState) -> None:
        heard = self._heard(state)
        logits = [value for one in heard for value in one.logits]
        labels = [float(self.cohort.recordings[one.recording].label) for one in heard for _ in one.logits]
        loss = float(window_loss(torch.tensor(logits), torch.tensor(labels)))
        people = out_of_sample(self.cohort, {one.recording: np.array(one.logits) for one in heard})
        area = auc(people.scores(temperature=1.0, bias=0.0), people.labels).value
        loss, area = self.ranks.agreed((self._number(loss, state), area))
        state.note_epoch(validation_loss=loss, validation_auc=area, learning_rate=self._rate(state.step))

    def _rate(self, step: int) -> float:
        return learning_rate(step, self.config.training, steps=self.config.training.epochs * self.batches)

    @torch.inference_mode()
    def _heard(self, state: FitState) -> tuple[Heard, ...]:
        """The validation people through the network as it is, without dropout or gradients."""
        network = _Classify(state.network) if self.is_pooled else state.network
        network.eval()
        found: list[Heard] = []
        for recordings, counts, values, mask in self.material.judged():
            logits: Tensor = network(values.to(self.compute.device), mask.to(self.compute.device))
            found += heard_of(recordings, counts, logits)
        return tuple(found)

    def _number(self, loss: float, state: FitState) -> float:
        if math.isfinite(loss):
            return loss
        batch = len(state.losses) + 1
        what = f"the loss became {loss} in member {self.number + 1}, epoch {state.epoch + 1}, batch {batch}"
        hint = f"lower it from {self.config.training.learning_rate:g}, or set training.clip_norm"
        raise InvalidInput.of([Problem(where="training.learning_rate", what=what, hint=hint)])

    def _facts(self, state: FitState) -> MemberFacts:
        return MemberFacts(
            number=self.number,
            seed=self.seed,
            best_epoch=state.best_epoch,
            fitted=len(self.material.fitted),
            curves=state.curves,
        )


class _Classify(nn.Module):
    """`RobustNet` behind its pooling, which was done already."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - every network takes the mask
        return cast("RobustNet", self.network).classify(values)


def _told(tell: Tell, position: int, members: int, fit: _Fit) -> Callable[[FitState], None]:
    """Counts the batches of all members."""
    each = fit.config.training.epochs * fit.batches

    def told(state: FitState) -> None:
        area = f", AUC {state.curves['validation_auc'][-1]:.3f}" if state.epoch else ""
        note = f"member {fit.number + 1}, epoch {state.epoch + 1}, loss {state.losses[-1]:.3f}{area}"
        tell(position * each + state.step, members * each, note)

    return told

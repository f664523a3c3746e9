"""The state of one member's fit: everything that its next batch depends on, as bytes that go on to the bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from spira.training.core.config import OptimisationConfig

CURVES = ("loss", "validation_loss", "validation_auc", "learning_rate")

IntArray = npt.NDArray[np.int64]
_NOBODY: IntArray = np.zeros(0, np.int64)


@dataclass(kw_only=True)
class FitState:
    """Where a fit is: weights, optimiser, chance, the place within the epoch, and the best epoch so far.

    `save` and `load` are inverse, bit for bit, after any batch. torch's own random numbers (dropout) belong to it.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    random: np.random.Generator
    epoch: int = 0
    """Epochs that are over."""
    step: int = 0
    """Batches that are over, in all epochs; the learning rate follows it."""
    order: IntArray = field(default_factory=_NOBODY.copy)
    """Of the running epoch: the recordings in the order in which they are taken; empty between epochs."""
    chosen: IntArray = field(default_factory=_NOBODY.copy)
    """Of the running epoch: the version that each recording is taken in."""
    losses: list[float] = field(default_factory=list)
    """Of the running epoch: one for each batch that is over, which also tells the next one."""
    best_epoch: int = 0
    best_auc: float = -1.0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})

    def is_over(self, config: OptimisationConfig) -> bool:
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.epochs or (config.patience is not None and waited >= config.patience)

    def begin_epoch(self, order: IntArray, chosen: IntArray) -> None:
        self.order, self.chosen, self.losses = order, chosen, []

    def note_batch(self, loss: float) -> None:
        self.step += 1
        self.losses.append(loss)

    def note_epoch(self, *, validation_loss: float, validation_auc: float, learning_rate: float) -> None:
        """Count an epoch; its weights are kept when its validation AUC is the highest, or equal with a lower loss."""
        self.epoch += 1
        loss = float(np.mean(self.losses))
        for name, value in zip(CURVES, (loss, validation_loss, validation_auc, learning_rate), strict=True):
            self.curves[name].append(value)
        if (validation_auc, -validation_loss) > (self.best_auc, -self.best_loss):
            self.best_epoch, self.best_auc, self.best_loss = self.epoch, validation_auc, validation_loss
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.begin_epoch(_NOBODY.copy(), _NOBODY.copy())

    def restore_best(self) -> None:
        self.network.load_state_dict(self.best)

    def save(self) -> bytes:
        """A safetensors file; what is no tensor is JSON in its header."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
        tensors |= {"order": torch.from_numpy(self.order), "chosen": torch.from_numpy(self.chosen)}
        tensors["torch_random"] = torch.get_rng_state()
        facts = {name: getattr(self, name) for name in _FACTS} | {"random": self.random.bit_generator.state}
        whole = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        return save_tensors(whole, metadata={"state": json.dumps(facts)})

    def load(self, data: bytes) -> None:
        """Inverse of `save`, for a state whose network and optimiser were made from the same configuration."""
        tensors, facts = load_tensors(data), _metadata(data)
        self.network.load_state_dict(_part(tensors, "network."))
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": _slots(_part(tensors, "optimiser."))})
        self.best = _part(tensors, "best.")
        self.order, self.chosen = tensors["order"].numpy(), tensors["chosen"].numpy()
        torch.set_rng_state(tensors["torch_random"])
        self.random.bit_generator.state = facts["random"]
        for name in _FACTS:
            setattr(self, name, facts[name])


_FACTS = ("epoch", "step", "losses", "best_epoch", "best_auc", "best_loss", "curves")


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _slots(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = tensor
    return slots


def _metadata(data: bytes) -> dict[str, Any]:
    """The facts beside the tensors; the format keeps them in its JSON header, whose length leads the file."""
    length = int.from_bytes(data[:8], "little")
    facts: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    return facts

"""The state of one member's fit, and the pieces of its loop."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from spira.training.core.config import OptimisationConfig

CURVES = ("loss", "validation_loss", "validation_auc", "learning_rate")


@dataclass(kw_only=True)
class FitState:
    """Everything that the next epoch depends on. `save` and `load` are inverse, bit for bit."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    random: np.random.Generator
    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float = -1.0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})

    def is_over(self, config: OptimisationConfig) -> bool:
        waited = self.epoch - self.best_epoch
        return self.epoch >= config.epochs or (config.patience is not None and waited >= config.patience)

    def note_epoch(self, *, loss: float, validation_loss: float, validation_auc: float) -> None:
        """Count an epoch; its weights are kept when its validation AUC is the highest, or equal with a lower loss."""
        self.epoch += 1
        rate = float(self.optimiser.param_groups[0]["lr"])
        for name, value in zip(CURVES, (loss, validation_loss, validation_auc, rate), strict=True):
            self.curves[name].append(value)
        if (validation_auc, -validation_loss) > (self.best_auc, -self.best_loss):
            self.best_epoch, self.best_auc, self.best_loss = self.epoch, validation_auc, validation_loss
            self.best = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def restore_best(self) -> None:
        self.network.load_state_dict(self.best)

    def save(self) -> bytes:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, slots in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in slots.items()}
        tensors["torch_random"] = torch.get_rng_state()
        facts = {
            "epoch": self.epoch,
            "step": self.step,
            "best_epoch": self.best_epoch,
            "best_auc": self.best_auc,
            "best_loss": self.best_loss,
            "curves": self.curves,
            "random": self.random.bit_generator.state,
        }
        whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        return save_tensors(whole, metadata={"state": json.dumps(facts)})

    def load(self, data: bytes) -> None:
        tensors, facts = load_tensors(data), _metadata(data)
        self.network.load_state_dict(_part(tensors, "network."))
        self.best = _part(tensors, "best.")
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": _slots(_part(tensors, "optimiser."))})
        torch.set_rng_state(tensors["torch_random"])
        self.random.bit_generator.state = facts["random"]
        self.epoch, self.step, self.best_epoch = facts["epoch"], facts["step"], facts["best_epoch"]
        self.best_auc, self.best_loss, self.curves = facts["best_auc"], facts["best_loss"], facts["curves"]


def noam_rate(step: int, config: OptimisationConfig) -> float:
    """Learning rate at `step` (from 1): lr sqrt(w) min(step w^-1.5, step^-0.5), as in Vaswani et al. (NeurIPS 2017)
    scaled so that the peak at step w is `learning_rate`."""
    if config.schedule == "constant":
        return config.learning_rate
    warmup = config.warmup_steps
    return float(config.learning_rate * warmup**0.5 * min(step * warmup**-1.5, step**-0.5))


def window_loss(logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    """Mean binary cross-entropy over windows; targets move by `smoothing` towards 0.5 on either side."""
    smoothed = targets * (1.0 - smoothing) + 0.5 * smoothing
    return nn.functional.binary_cross_entropy_with_logits(logits, smoothed)


def augmented(
    values: Tensor, mask: Tensor, targets: Tensor, *, config: OptimisationConfig, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """SpecAugment (Park et al., Interspeech 2019) and mixup (Zhang et al., ICLR 2018) of a batch [w, T, F]."""
    if config.time_masks or config.bin_masks:
        values = _striped(values, mask, config, random)
    if config.mixup_alpha == 0.0 or len(values) < 2:
        return values, targets
    share = float(random.beta(config.mixup_alpha, config.mixup_alpha))
    other = torch.from_numpy(random.permutation(len(values)))
    return share * values + (1 - share) * values[other], share * targets + (1 - share) * targets[other]


def _striped(values: Tensor, mask: Tensor, config: OptimisationConfig, random: np.random.Generator) -> Tensor:
    striped = values.clone()
    means = values.mean((1, 2))
    for window in range(len(values)):
        for axis, count, width, length in (
            (0, config.time_masks, config.time_mask_frames, max(1, int(mask[window].sum()))),
            (1, config.bin_masks, config.bin_mask_bins, values.shape[2]),
        ):
            for _ in range(count):
                size = int(random.integers(width + 1))
                start = int(random.integers(max(1, length - size)))
                stripe = slice(start, start + size)
                striped[(window, stripe) if axis == 0 else (window, slice(None), stripe)] = means[window]
    return striped


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _slots(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
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

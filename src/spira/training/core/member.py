"""One member of an ensemble when it is fitted: its weights, and what it says of people it was not fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One recording of a validation person, through a network that was not fitted on them."""

    recording: int
    """Index into the cohort."""
    logits: tuple[float, ...]
    """Of its windows, clean, in their order; uncalibrated."""


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """What is told of a member."""

    number: int
    """From 0."""
    seed: int
    best_epoch: int
    """From 1: the epoch whose weights these are."""
    fitted: int
    """Recordings that it was fitted on."""
    curves: dict[str, list[float]]
    """loss, validation_loss, validation_auc, learning_rate; one value per epoch."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A fitted network and its validation people."""

    facts: MemberFacts
    weights: Mapping[str, Tensor]
    heard: tuple[Heard, ...]

    def files(self) -> dict[str, bytes]:
        """By name; the same member gives the same bytes."""
        weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in self.weights.items()}
        told = asdict(self.facts) | {"heard": [asdict(one) for one in self.heard]}
        return {
            weights_file(self.facts.number): save_tensors(weights),
            facts_file(self.facts.number): json.dumps(told, allow_nan=False).encode(),
        }

    @classmethod
    def of_files(cls, files: Mapping[str, bytes], *, number: int) -> Member:
        """Inverse of `files`; KeyError when one is missing."""
        told: dict[str, Any] = json.loads(files[facts_file(number)])
        heard = tuple(Heard(recording=one["recording"], logits=tuple(one["logits"])) for one in told.pop("heard"))
        return cls(facts=MemberFacts(**told), weights=load_tensors(files[weights_file(number)]), heard=heard)


def weights_file(number: int) -> str:
    return f"member-{number:02d}.safetensors"


def facts_file(number: int) -> str:
    return f"member-{number:02d}.json"


def heard_of(recordings: Sequence[int], counts: list[int], logits: Tensor) -> tuple[Heard, ...]:
    """`logits` [w] of all windows, dealt to the recordings they are of."""
    dealt = torch.split(logits.detach().cpu(), counts)
    return tuple(Heard(recording=r, logits=tuple(own.tolist())) for r, own in zip(recordings, dealt, strict=True))

"""`spira bench train`, the step: SpiraConvV2 forward, backward and update, beside its layers as torch runs them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor, nn

from spira.apps.bench_runs import fastest_in_turns
from spira.voice.network import NetworkSettings, build_network
from spira.voice.spiraconv import SpiraConv

WINDOWS, FRAMES, BINS = 32, 401, 40
TOLERANCE = 1e-5

Logits = Callable[[Tensor], Tensor]


class StepBench(TypedDict):
    """A step is forward, loss, backward and Adam, on a batch that is in memory already."""

    windows: int
    threads: int
    ms_per_window: dict[str, float]
    ratio: float
    differences: dict[str, float]
    """Largest, of the logits and of all gradients (without dropout)."""


def compare_steps(*, repetitions: int) -> StepBench:
    """Both ways on one batch, in turns, with torch on all cores."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.manual_seed(1)
    values, targets = _batch()
    network = build_network(NetworkSettings(architecture="spiraconv-v2"), frames=FRAMES, bins=BINS)
    assert isinstance(network, SpiraConv)  # noqa: S101 - for the type checker
    ways: dict[str, Logits] = {"spira": _ours(network), "plain": _plain(network)}
    differences = _differences(network, ways, values, targets)
    network.train()
    steps = {name: _step(network, logits, values, targets) for name, logits in ways.items()}
    for step in steps.values():  # the first one allocates
        step()
    seconds = fastest_in_turns(steps, repetitions=repetitions)
    return StepBench(
        windows=WINDOWS,
        threads=torch.get_num_threads(),
        ms_per_window={name: round(1e3 * taken / WINDOWS, 2) for name, taken in seconds.items()},
        ratio=round(seconds["plain"] / seconds["spira"], 2),
        differences=differences,
    )


def _batch() -> tuple[Tensor, Tensor]:
    values = 5.0 * torch.randn(WINDOWS, FRAMES, BINS)
    values[:, :, 0] = 8.0 * values[:, :, 0] - 300.0  # the level, as in MFCCs
    return values, (torch.arange(WINDOWS) % 2).float()


def _ours(network: SpiraConv) -> Logits:
    mask = torch.ones(WINDOWS, FRAMES, dtype=torch.bool)

    def logits(values: Tensor) -> Tensor:
        found: Tensor = network(values, mask)
        return found

    return logits


def _plain(network: SpiraConv) -> Logits:
    return lambda values: network.classify(network.convolutions(values.unsqueeze(1)))


def _step(network: SpiraConv, logits: Logits, values: Tensor, targets: Tensor) -> Callable[[], None]:
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=0.01)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.binary_cross_entropy_with_logits(logits(values), targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's method has no annotations
        optimiser.step()

    return step


def _differences(network: SpiraConv, ways: dict[str, Logits], values: Tensor, targets: Tensor) -> dict[str, float]:
    network.eval()
    found = {name: logits(values) for name, logits in ways.items()}
    gradients = {
        name: torch.autograd.grad(
            nn.functional.binary_cross_entropy_with_logits(one, targets), list(network.parameters())
        )
        for name, one in found.items()
    }
    pairs = zip(gradients["spira"], gradients["plain"], strict=True)
    return {
        "logits": float((found["spira"] - found["plain"]).detach().abs().max()),
        "gradients": max(float((ours - plain).abs().max()) for ours, plain in pairs),
    }

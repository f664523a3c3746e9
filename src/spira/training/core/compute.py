"""Where a fit computes and how repeatably: the device, mixed precision, torch's flags, and what is told of them."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from spira.kernel.errors import InvalidInput, Problem
from spira.training.core.config import OptimisationConfig


@dataclass(frozen=True, kw_only=True)
class Compute:
    """A device, and whether it computes in bfloat16 where that is safe."""

    device: torch.device
    bfloat16: bool = False

    @classmethod
    def of(cls, config: OptimisationConfig, *, index: int = 0) -> Compute:
        """What `training.device` and `training.precision` ask for; `index` is the GPU's number.

        Raises InvalidInput when a GPU is asked for and there is none.
        """
        has_gpu = torch.cuda.is_available()
        if config.device == "cuda" and not has_gpu:
            raise _no_gpu("training.device", "cuda", hint="run it where a GPU is visible, or set it to auto or cpu")
        on_gpu = has_gpu and config.device != "cpu"
        if config.precision == "bfloat16" and not on_gpu:
            raise _no_gpu("training.precision", "bfloat16", hint="set it to float32, or run it on a GPU")
        device = torch.device("cuda", index) if on_gpu else torch.device("cpu")
        return cls(device=device, bfloat16=config.precision == "bfloat16")

    def autocast(self) -> AbstractContextManager[Any]:
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def facts(self) -> dict[str, Any]:
        """As JSON values, for the record of a fit; to be asked within `repeatable`."""
        on_gpu = self.device.type == "cuda"
        return {
            "device": torch.cuda.get_device_name(self.device) if on_gpu else f"cpu {platform.machine()}",
            "precision": "bfloat16" if self.bfloat16 else "float32",
            "threads": torch.get_num_threads(),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "warns_only": torch.is_deterministic_algorithms_warn_only_enabled(),
            "bit_equal_promised": not on_gpu,
            "torch": torch.__version__,
            "cuda": torch.version.cuda if on_gpu else None,
        }


def gpus(config: OptimisationConfig) -> int:
    """How many GPUs a fit may take."""
    return 0 if config.device == "cpu" else torch.cuda.device_count()


@contextmanager
def repeatable(config: OptimisationConfig, compute: Compute) -> Iterator[None]:
    """torch with the configuration's threads and deterministic algorithms; everything is put back afterwards.

    On a GPU an operation that has no deterministic form warns instead of failing: equal bits are promised on the CPU.
    """
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warned_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(True, warn_only=compute.device.type == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned_only)
        torch.set_num_threads(threads)


def _no_gpu(where: str, value: str, *, hint: str) -> InvalidInput:
    return InvalidInput.of([Problem(where=where, what=f"{value} needs a GPU, and none is visible here", hint=hint)])

"""Processes of one fit, started by torchrun: gradients and decisions over torch.distributed (NCCL; gloo on the CPU)."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import torch
from torch import Tensor, distributed, nn

from spira.training.core.compute import Compute


class TorchRanks:
    """The port `Ranks` for a process that torchrun started; a context that leaves the group at its end."""

    def __init__(self, compute: Compute) -> None:
        self._device = compute.device
        distributed.init_process_group("nccl" if self._on_gpu else "gloo")
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        distributed.destroy_process_group()

    def parallel(self, network: nn.Module) -> nn.Module:
        if not self._on_gpu:
            return nn.parallel.DistributedDataParallel(network)
        together = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]  # as torch is
        return nn.parallel.DistributedDataParallel(together, device_ids=[self._device.index])

    def total(self, value: float) -> float:
        found = self._tensor(value)
        distributed.all_reduce(found)
        return float(found[0])

    def agreed(self, values: tuple[float, ...]) -> tuple[float, ...]:
        found = self._tensor(*values)
        distributed.broadcast(found, src=0)
        return tuple(found.tolist())

    @property
    def _on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def _tensor(self, *values: float) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self._device)

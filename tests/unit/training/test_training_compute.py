from __future__ import annotations

import pytest
import torch

from spira.kernel.errors import InvalidInput
from spira.training.core.compute import Compute, gpus, repeatable
from spira.training.core.config import OptimisationConfig

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@needs_no_gpu
def test_a_gpu_that_is_asked_for_and_absent_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"training\.device: cuda needs a GPU, and none is visible here"):
        Compute.of(OptimisationConfig(device="cuda"))


@needs_no_gpu
def test_mixed_precision_without_a_gpu_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"training\.precision: bfloat16 needs a GPU"):
        Compute.of(OptimisationConfig(precision="bfloat16"))


@needs_no_gpu
def test_without_a_gpu_auto_is_the_cpu() -> None:
    compute = Compute.of(OptimisationConfig())

    assert compute.device.type == "cpu"
    assert gpus(OptimisationConfig()) == 0


def test_a_fit_runs_with_deterministic_algorithms_and_puts_the_flags_back() -> None:
    config, before = OptimisationConfig(threads=2), torch.get_num_threads()
    compute = Compute(device=torch.device("cpu"))

    with repeatable(config, compute):
        told = compute.facts()

    assert told["deterministic_algorithms"] is True
    assert (told["threads"], told["precision"], told["bit_equal_promised"]) == (2, "float32", True)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before

"""The published network has the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput
from spira.voice.network import NetworkSettings, SpiraConv, build_network


def spiraconv(version: str = "spiraconv-v2", *, frames: int = 401) -> SpiraConv:
    network = build_network(NetworkSettings.model_validate({"architecture": version}), frames=frames, bins=40)
    assert isinstance(network, SpiraConv)
    return network


def inputs(count: int = 2, *, frames: int = 401) -> tuple[Tensor, Tensor]:
    return torch.randn(count, frames, 40), torch.ones(count, frames, dtype=torch.bool)


@pytest.mark.parametrize(("frames", "inputs_"), [(401, 6_880), (301, 4_960), (2_549, 49_920)])
def test_the_first_dense_layer_is_as_wide_as_published(frames: int, inputs_: int) -> None:
    first = spiraconv(frames=frames).first

    assert first.in_features == inputs_
    assert sum(parameter.numel() for parameter in first.parameters()) == 100 * inputs_ + 100


def test_the_first_dense_layer_has_688100_parameters_and_the_network_694_thousand() -> None:
    network = spiraconv()

    assert sum(parameter.numel() for parameter in network.first.parameters()) == 688_100
    convolutions = (7 * 1 + 1) * 32 + (5 * 32 + 1) * 16 + (3 * 16 + 1) * 8 + (2 * 8 + 1) * 4
    norms = 2 * (32 + 16 + 8 + 4)
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + norms + 688_100 + 101


def test_every_kernel_lies_along_time() -> None:
    layers = [layer for layer in spiraconv().convolutions if isinstance(layer, nn.Conv2d)]

    assert [layer.kernel_size for layer in layers] == [(7, 1), (5, 1), (3, 1), (2, 1)]
    assert [layer.dilation for layer in layers] == [(2, 1), (2, 1), (2, 1), (1, 1)]
    assert [layer.out_channels for layer in layers] == [32, 16, 8, 4]


def test_v1_differs_by_its_norm() -> None:
    norms = {version: {type(layer) for layer in spiraconv(version).convolutions} for version in ("spiraconv-v1",)}
    groups = [layer.num_groups for layer in spiraconv().convolutions if isinstance(layer, nn.GroupNorm)]

    assert nn.BatchNorm2d in norms["spiraconv-v1"]
    assert nn.GroupNorm not in norms["spiraconv-v1"]
    assert groups == [16, 8, 4, 2]


@pytest.mark.parametrize("version", ["spiraconv-v1", "spiraconv-v2"])
def test_windows_give_one_logit_each_and_gradients_reach_every_weight(version: str) -> None:
    network = spiraconv(version)

    logits = network(*inputs(3))

    assert logits.shape == (3,)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_too_few_frames_are_refused_with_the_number_needed() -> None:
    with pytest.raises(InvalidInput, match="at least") as caught:
        spiraconv(frames=20)

    needed = int(str(caught.value).split("at least ")[1].split(" ")[0])
    spiraconv(frames=needed)(*inputs(1, frames=needed))
    with pytest.raises(InvalidInput):
        spiraconv(frames=needed - 1)

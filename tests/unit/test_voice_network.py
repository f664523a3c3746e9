"""The published network has the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spira.kernel.errors import InvalidInput
from spira.voice.network import NetworkSettings, build_network
from spira.voice.spiraconv import SpiraConv


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


def mfcc_like(count: int, *, frames: int = 401) -> Tensor:
    """The first coefficient is far from zero, as that of a quiet recording is."""
    values = 5.0 * torch.randn(count, frames, 40)
    values[:, :, 0] = 8.0 * values[:, :, 0] - 300.0
    return values


def as_torch_composes_it(network: SpiraConv, values: Tensor) -> Tensor:
    return network.classify(network.convolutions(values.unsqueeze(1)))


def gradients(network: SpiraConv, logits: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    targets = (torch.arange(len(logits)) % 2).to(logits)
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
    loss.backward()  # type: ignore[no-untyped-call]  # torch's has no annotations
    return {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("frames", [401, 301])
def test_v2_equals_torchs_composition_forward_and_in_every_gradient(frames: int, threads: int) -> None:
    torch.manual_seed(1)
    network = spiraconv(frames=frames).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    values = mfcc_like(7, frames=frames)
    before = torch.get_num_threads()

    try:
        torch.set_num_threads(threads)
        ours, plain = network(values, torch.ones(7, frames, dtype=torch.bool)), as_torch_composes_it(network, values)
        found, expected = gradients(network, ours), gradients(network, plain)
    finally:
        torch.set_num_threads(before)

    assert torch.allclose(ours, plain, rtol=0, atol=1e-5)
    assert found.keys() == expected.keys() == dict(network.named_parameters()).keys()
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-5), name


def test_a_window_has_the_same_logit_to_the_bit_in_any_company_of_the_convolutions() -> None:
    torch.manual_seed(1)
    network, values = spiraconv().eval(), mfcc_like(5)

    with torch.inference_mode():
        together = network._by_columns(values.unsqueeze(1))
        windows = values.split(1)  # type: ignore[no-untyped-call]  # torch's has no annotations
        alone = torch.cat([network._by_columns(one.clone().unsqueeze(1)) for one in windows])

    assert together.equal(alone)


def test_weights_have_the_names_they_had_before_the_layers_were_made_fast() -> None:
    names = [name for name, _ in spiraconv().named_parameters()]

    assert names == [
        *(f"convolutions.{n}.{kind}" for n in (0, 1, 5, 6, 10, 11, 15, 16) for kind in ("weight", "bias")),
        *(f"{layer}.{kind}" for layer in ("first", "last") for kind in ("weight", "bias")),
    ]


def test_dropout_works_in_training_alone_and_follows_torchs_seed() -> None:
    network, values = spiraconv(), mfcc_like(2)
    mask = torch.ones(2, 401, dtype=torch.bool)

    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(network.train()(values, mask))
    judged = [network.eval()(values, mask) for _ in range(2)]

    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])
    assert judged[0].equal(judged[1])

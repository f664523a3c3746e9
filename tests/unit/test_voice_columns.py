"""The fast layer is the plain one: in its values, its gradients and its corner cases."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spira.voice.columns import dropped, layer


def modules(channels: int, out: int, *, kernel: int, dilation: int, groups: int) -> tuple[nn.Conv2d, nn.GroupNorm]:
    torch.manual_seed(3)
    convolution, norm = nn.Conv2d(channels, out, (kernel, 1), dilation=(dilation, 1)), nn.GroupNorm(groups, out)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return convolution.double(), norm.double()


def plain(maps: Tensor, convolution: nn.Conv2d, norm: nn.GroupNorm, *, pooled: bool) -> Tensor:
    active = nn.functional.mish(norm(convolution(maps)))
    return nn.functional.max_pool2d(active, (2, 1)) if pooled else active


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        # windows, channels in and out, frames · kernel, dilation, groups
        ((1, 1, 4, 9), (3, 2, 2)),
        ((3, 4, 6, 12), (2, 1, 3)),
        ((2, 3, 2, 8), (3, 2, 1)),
        ((2, 1, 2, 5), (1, 1, 2)),
        ((5, 2, 2, 6), (4, 1, 1)),
    ],
)
def test_values_and_all_gradients_equal_those_of_torch_in_double_precision(
    shape: tuple[int, int, int, int], kind: tuple[int, int, int], pooled: bool
) -> None:
    (windows, channels, out, frames), (kernel, dilation, groups) = shape, kind
    convolution, norm = modules(channels, out, kernel=kernel, dilation=dilation, groups=groups)
    maps = (3.0 * torch.randn(windows, channels, frames, 5, dtype=torch.float64)).requires_grad_()
    inputs = [maps, *convolution.parameters(), *norm.parameters()]

    ours, theirs = (make(maps, convolution, norm, pooled=pooled) for make in (layer, plain))
    weights = torch.randn_like(theirs)
    found, expected = (torch.autograd.grad((one * weights).sum(), inputs) for one in (ours, theirs))

    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_small_and_huge_values_stay_finite_and_right(size: float) -> None:
    convolution, norm = modules(1, 4, kernel=3, dilation=2, groups=2)
    convolution, norm = convolution.float(), norm.float()
    nn.init.constant_(norm.weight, size)
    maps = torch.randn(2, 1, 20, 3)

    ours, theirs = (make(maps, convolution, norm, pooled=True) for make in (layer, plain))
    found, expected = (torch.autograd.grad(one.sum(), [*convolution.parameters()]) for one in (ours, theirs))

    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6 * max(1.0, size))
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5 * max(1.0, size))


def test_without_gradients_nothing_is_remembered_and_the_values_are_the_same() -> None:
    convolution, norm = modules(1, 4, kernel=3, dilation=2, groups=2)
    maps = torch.randn(3, 1, 20, 3, dtype=torch.float64)

    learning = layer(maps, convolution, norm, pooled=True)
    with torch.no_grad():
        looking = layer(maps, convolution, norm, pooled=True)
    with torch.inference_mode():
        judging = layer(maps, convolution, norm, pooled=True)

    assert learning.grad_fn is not None
    assert looking.grad_fn is None
    assert learning.equal(looking)
    assert learning.equal(judging)


def test_threads_change_no_value_and_are_left_as_they_were() -> None:
    convolution, norm = modules(1, 4, kernel=3, dilation=2, groups=2)
    maps = torch.randn(7, 1, 20, 3, dtype=torch.float64)
    before = torch.get_num_threads()

    try:
        torch.set_num_threads(1)
        one = layer(maps, convolution, norm, pooled=True)
        torch.set_num_threads(3)
        three = layer(maps, convolution, norm, pooled=True)
        left = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)

    assert left == 3
    assert one.equal(three)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_dropout_keeps_its_share_and_the_mean(share: float) -> None:
    torch.manual_seed(1)
    ones = torch.ones(1000, 400)

    found = dropped(ones, share)

    assert float((found == 0).double().mean()) == pytest.approx(share, abs=0.003)
    assert float(found.mean()) == pytest.approx(1.0, abs=0.01)
    assert len(found.unique()) == 2  # type: ignore[no-untyped-call]  # torch's has no annotations
    assert dropped(ones, 0.0) is ones


def test_dropout_lets_gradients_through_where_it_lets_values() -> None:
    values = torch.ones(100, requires_grad=True)

    found = dropped(values, 0.5)
    found.sum().backward()  # type: ignore[no-untyped-call]  # torch's has no annotations

    assert values.grad is not None
    assert values.grad.equal(found.detach())

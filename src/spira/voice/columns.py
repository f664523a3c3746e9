"""A layer of convolutional networks whose kernels lie along time alone, made for a CPU.

`Conv2d((k, 1)) -> GroupNorm -> Mish -> MaxPool2d((2, 1))`, as torch composes it, spends its time on moving data: the
convolution's gradients over single columns, three logarithms and exponentials for every Mish, an integer index for
every pooled value. Here a map [C, T, F] is a matrix with one row per channel. Tap j of a kernel is that matrix from
column j·dilation·F on, so a convolution is k products of matrices without a copy; Mish and its slope take one
exponential; the gradient of a Mish is computed where the pool has let a value through, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Result = TypeVar("Result")

_CACHED = 500_000
"""Values of maps that are worked on at once, so that they stay in the cache."""
_FLAT = 20.0
"""From here on Mish is the identity in float32; the exponential of more would overflow when squared."""


def layer(maps: Tensor, convolution: nn.Conv2d, norm: nn.GroupNorm, *, pooled: bool) -> Tensor:
    """Of maps [B, C, T, F], float32 on a CPU: convolution (k x 1, no padding), norm, Mish and, if `pooled`, the larger
    of each two frames. Values and gradients are torch's within float32's rounding; gradients of gradients there are
    none. Windows do not depend on each other."""
    kind = _Kind(
        groups=norm.num_groups,
        dilation=int(convolution.dilation[0]),
        pooled=pooled,
        epsilon=norm.eps,
        remembers=torch.is_grad_enabled(),
    )
    parameters = (convolution.weight, convolution.bias, norm.weight, norm.bias)
    found: Tensor = _Layer.apply(maps, kind, *parameters)  # type: ignore[no-untyped-call]  # torch has no annotations
    return found


def dropped(maps: Tensor, share: float) -> Tensor:
    """Dropout for training: about `share` of the values are 0, the others are as much larger.

    The chance comes from a generator of 16-bit numbers that torch's own seeds, which is ten times as fast as
    torch's; the share that is kept is a multiple of 2^-16.
    """
    if share == 0.0:
        return maps
    random = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
    limit = max(1, round((1.0 - share) * 2**16))
    kept = torch.from_numpy(random.integers(2**16, size=maps.shape, dtype=np.uint16) < limit)
    return maps * kept.to(maps.dtype).mul_(2**16 / limit)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    groups: int
    dilation: int
    pooled: bool
    epsilon: float
    remembers: bool
    """Whether gradients may be asked for."""


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, maps: Tensor, kind: _Kind, *parameters: Tensor) -> Tensor:
        weight, bias, gain, shift = parameters
        windows, _, frames, bins = maps.shape
        channels, frames = len(weight), frames - (weight.shape[2] - 1) * kind.dilation
        out = maps.new_empty(windows, channels, frames // 2 if kind.pooled else frames, bins)
        chosen = maps.new_empty(out.shape if kind.pooled and kind.remembers else 0)
        centred = maps.new_empty(windows if kind.remembers else 0, channels, frames * bins)
        rates = maps.new_empty(windows, kind.groups)
        taps, some = _taps(weight), _at_once(channels * frames * bins)

        def work(part: range) -> None:
            active, spare, passing = maps.new_empty(3, min(some, len(part)), channels, frames * bins)
            for at in _portions(part, some):
                count = at.stop - at.start
                own = centred[at] if kind.remembers else passing[:count]
                _convolve(maps[at], taps, bias, kind.dilation, out=own)
                rates[at] = _centre(own.view(count, kind.groups, -1), kind.epsilon)
                scaled = torch.addcmul(shift[:, None], own, _scales(rates[at], gain), out=active[:count])
                values = _mish(scaled, spare[:count]).view(count, channels, frames, bins)
                if not kind.pooled:
                    out[at] = values
                    continue
                torch.maximum(*_pairs(values), out=out[at])
                if kind.remembers:  # as float: to choose by a bool is many times slower
                    torch.ge(*_pairs(values), out=chosen[at])

        _side_by_side(work, windows)
        context.save_for_backward(maps, weight, gain, shift, centred, rates, chosen)
        context.kind = kind
        return out

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, gain, shift, centred, rates, chosen = context.saved_tensors
        kind: _Kind = context.kind
        windows, channels, _, bins = grad.shape
        frames = centred.shape[2] // bins
        taps = _taps(weight)
        to_maps = torch.zeros_like(maps) if context.needs_input_grad[0] else None

        def work(part: range) -> tuple[Tensor, ...]:
            to_taps = torch.zeros_like(taps)
            to_bias, to_gain, to_shift = gain.new_zeros(3, channels)
            for at in _portions(part, _at_once(channels * frames * bins)):
                own = centred[at]
                through = _chosen(own.view(-1, channels, frames, bins), chosen[at]).flatten(2) if kind.pooled else own
                scales = _scales(rates[at], gain)
                back = _mish_slope(torch.addcmul(shift[:, None], through, scales)).mul_(grad[at].flatten(2))
                by_shift = back.sum(2)
                by_gain = (back * through).sum(2) * _of_channels(rates[at], channels)
                to_own = _through_statistics(own, rates[at], by_shift * gain, by_gain * gain)
                back = back.mul_(scales).view(grad[at].shape)
                _add_back(back, to_own.view(-1, channels, frames, bins), chosen[at] if kind.pooled else None)
                to_bias += to_own.sum((0, 2))
                to_gain += by_gain.sum(0)
                to_shift += by_shift.sum(0)
                _convolve_back(maps[at], to_own, kind.dilation, to_taps=to_taps)
                if to_maps is not None:
                    _convolve_back_to_maps(taps, to_own, kind.dilation, to_maps=to_maps[at])
            return to_taps, to_bias, to_gain, to_shift

        parts = _side_by_side(work, windows)
        to_taps, to_bias, to_gain, to_shift = (torch.stack(one).sum(0) for one in zip(*parts, strict=True))
        return to_maps, None, to_taps.permute(1, 2, 0).unsqueeze(3), to_bias, to_gain, to_shift


def _side_by_side(work: Callable[[range], Result], windows: int) -> list[Result]:
    """`work` on as many stretches of the windows as torch has threads, each on one: threads that meet once per layer
    lose less to each other than those that meet at every product. Results are in the order of the windows."""
    threads = min(torch.get_num_threads(), windows)
    if threads <= 1:
        return [work(range(windows))]
    bounds = [windows * number // threads for number in range(threads + 1)]

    before, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()

    def alone(number: int) -> Result:
        torch.set_num_threads(1)  # of this thread, and of those that are made meanwhile
        with torch.inference_mode(inference), torch.no_grad():
            return work(range(bounds[number], bounds[number + 1]))

    try:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(alone, range(threads)))
    finally:
        torch.set_num_threads(before)


def _at_once(values: int) -> int:
    """How many windows of so many values."""
    return max(1, _CACHED // max(1, values))


def _portions(part: range, some: int) -> Iterator[slice]:
    return (slice(start, min(start + some, part.stop)) for start in range(part.start, part.stop, some))


def _taps(weight: Tensor) -> Tensor:
    """Weights [C', C, k, 1] as k matrices [C', C]."""
    return weight.squeeze(3).permute(2, 0, 1).contiguous()


def _shifted(window: Tensor, taps: int, dilation: int, length: int) -> list[Tensor]:
    """What each of the taps multiplies, of a window's map [C, T, F]: views [C, length]."""
    flat, step = window.flatten(1), dilation * window.shape[2]
    return [flat[:, start : start + length] for start in range(0, taps * step, step)]


def _convolve(maps: Tensor, taps: Tensor, bias: Tensor, dilation: int, *, out: Tensor) -> None:
    for window, result in zip(maps, out, strict=True):
        shifted = _shifted(window, len(taps), dilation, out.shape[2])
        if len(window) == 1:  # too little for a product per tap
            torch.addmm(bias[:, None], taps.squeeze(2).T, torch.cat(shifted), out=result)
            continue
        torch.addmm(bias[:, None], taps[0], shifted[0], out=result)
        for tap, one in zip(taps[1:], shifted[1:], strict=True):
            result.addmm_(tap, one)


def _convolve_back(maps: Tensor, grad: Tensor, dilation: int, *, to_taps: Tensor) -> None:
    for window, one in zip(maps, grad, strict=True):
        shifted = _shifted(window, len(to_taps), dilation, grad.shape[2])
        if len(window) == 1:
            to_taps.squeeze(2).T.addmm_(one, torch.cat(shifted).T)
            continue
        for to_tap, its in zip(to_taps, shifted, strict=True):
            to_tap.addmm_(one, its.T)


def _convolve_back_to_maps(taps: Tensor, grad: Tensor, dilation: int, *, to_maps: Tensor) -> None:
    for to_window, one in zip(to_maps, grad, strict=True):
        for tap, its in zip(taps, _shifted(to_window, len(taps), dilation, grad.shape[2]), strict=True):
            its.addmm_(tap.T, one)


def _centre(groups: Tensor, epsilon: float) -> Tensor:
    """Takes the mean from groups [w, G, n] in place; gives the inverse deviations [w, G]."""
    groups -= groups.mean(2, keepdim=True)
    variances: Tensor = torch.linalg.vector_norm(groups, dim=2).square() / groups.shape[2]
    return (variances + epsilon).rsqrt()


def _through_statistics(own: Tensor, rates: Tensor, by_mean: Tensor, by_size: Tensor) -> Tensor:
    """What reaches the centred maps [w, C, n] by way of their groups' mean and deviation."""
    windows, groups = rates.shape
    count = own[0].numel() // groups
    shared = by_mean.view(windows, groups, -1).sum(2) * rates / count
    stretched = by_size.view(windows, groups, -1).sum(2) * rates.square() / count
    found = torch.addcmul(-shared[..., None], own.view(windows, groups, -1), -stretched[..., None])
    return found.view(own.shape)


def _of_channels(groups: Tensor, channels: int) -> Tensor:
    return groups.repeat_interleave(channels // groups.shape[1], 1)


def _scales(rates: Tensor, gain: Tensor) -> Tensor:
    return (_of_channels(rates, len(gain)) * gain).unsqueeze(2)


def _pairs(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd frames of maps [w, C, T, F], as views; an odd last frame is left out, as by the pool."""
    half = maps.shape[2] // 2
    paired = maps[:, :, : 2 * half].view(*maps.shape[:2], half, 2, maps.shape[3])
    return paired[:, :, :, 0], paired[:, :, :, 1]


def _chosen(maps: Tensor, chosen: Tensor) -> Tensor:
    """Of each pair of frames the one that the pool let through: the even one where `chosen` is 1, the odd where 0."""
    even, odd = _pairs(maps)
    return torch.lerp(odd, even, chosen)


def _add_back(back: Tensor, maps: Tensor, chosen: Tensor | None) -> None:
    """Adds each value of `back` to the frame of `maps` that it came from; `back` is used up."""
    if chosen is None:
        maps += back
        return
    even, odd = _pairs(maps)
    to_even = back * chosen
    even += to_even
    odd += back.sub_(to_even)


def _mish(values: Tensor, spare: Tensor) -> Tensor:
    """x tanh(ln(1 + e^x)) in place: x n / (n + 2) with n = e^x (e^x + 2)."""
    power = torch.clamp(values, max=_FLAT, out=spare).exp_()
    ratio = torch.add(power, 2.0).mul_(power)
    return values.mul_(ratio).div_(ratio.add_(2.0))


def _mish_slope(values: Tensor) -> Tensor:
    """(n + 4 x e (e + 1) / d) / d with e = e^x, n = e (e + 2), d = n + 2."""
    power = values.clamp(max=_FLAT).exp_()
    whole = torch.add(power, 2.0).mul_(power)
    part = torch.add(power, 1.0).mul_(power).mul_(values)
    below = torch.add(whole, 2.0, out=power)
    return whole.addcdiv_(part, below, value=4.0).div_(below)

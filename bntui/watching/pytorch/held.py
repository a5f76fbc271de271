"""Keeps what passes through a layer until the step is over: all of a small tensor, the figures of a large one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bntui.keyframe import HISTOGRAM_BINS
from bntui.watching.captured import Captured, Reduced

EXACT: Final = 65_536
"""Up to as many values, percentiles are exact; of more, they are those of an even sample."""

SAMPLE: Final = 16_384
"""Values of such a sample at most."""

_AT_ONCE: Final = 2**17
"""Values that are converted to float64 at a time."""

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Small:
    """A copy of a tensor, on its device, in its shape."""

    values: Tensor


@dataclass(frozen=True, slots=True)
class Large:
    """The figures of a tensor, reduced on its device."""

    figures: tuple[Tensor | float, ...]
    """Mean, population standard deviation, smallest and largest value."""
    counts: Tensor
    sample: Tensor


Held = Small | Large


def plain(tensor: Tensor) -> Tensor:
    """A tensor, without its gradient; of a nested one, the samples one after another."""
    tensor = tensor.detach()
    return torch.cat(list(tensor.unbind())) if tensor.is_nested else tensor


def sharded(tensor: Tensor) -> bool:
    """True for a tensor of which this process has only a part, as those of FSDP: asking for its figures would wait for
    the other processes, which do not record."""
    return hasattr(tensor, "to_local")


def _usual(tensor: Tensor) -> bool:
    """True for a tensor as most are, of which less has to be asked: dense, in single precision, and small."""
    if type(tensor) is not Tensor and type(tensor) is not nn.Parameter:
        return False
    dense = tensor.dtype is torch.float32 and tensor.layout is torch.strided and not tensor.is_nested
    return dense and 0 < tensor.numel() <= EXACT


def hold(tensor: Tensor) -> Held | None:
    """Keep a tensor's values as they are now; None of an empty one, and of one of which this process has only a part.

    The values of half precision and of integers are those that single precision has of them.
    """
    if _usual(tensor):
        return Small((tensor.detach() if tensor.requires_grad else tensor).clone())
    if sharded(tensor):
        return None
    tensor = plain(tensor)
    if tensor.numel() == 0:
        return None
    if tensor.is_complex():
        tensor = tensor.abs()
    if tensor.numel() <= EXACT:
        return Small(tensor.to(torch.float32, copy=True))
    return _large(tensor.float())


def stride(shape: Sequence[int]) -> int:
    """The distance between values of an even sample of a tensor, in the order of its memory.

    It has no factor in common with the values of one sample of the batch, so that each unit, pixel, and time step has
    its share: every third value of 300 units would be always those of the same hundred.
    """
    each = math.prod(shape[1:])
    found = -(-math.prod(shape) // SAMPLE)
    while math.gcd(found, each) > 1:
        found += 1
    return found


def _large(values: Tensor) -> Large:
    flat = values.flatten()
    mean, variance = moments(flat, (0,))
    low, high = (float(one) for one in flat.aminmax())
    sample = flat[:: stride(values.shape)].clone()
    return Large((mean, variance.sqrt_(), low, high), _counts(flat, low, high), sample)


def moments(values: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and population variance along axes, the first of them included, in float64."""
    if values.numel() <= _AT_ONCE:
        wide = values.to(torch.float64, copy=True)
        mean = wide.mean(axes, keepdim=True)
        variance = wide.sub_(mean).square_().mean(axes)
        return mean.reshape(variance.shape), variance
    pieces = torch.split(values, max(1, _AT_ONCE * len(values) // values.numel()))
    count = math.prod(values.shape[axis] for axis in axes)
    mean = torch.stack([piece.sum(axes, keepdim=True, dtype=torch.float64) for piece in pieces]).sum(0) / count
    variance = torch.stack([piece.sub(mean).square_().sum(axes) for piece in pieces]).sum(0) / count
    return mean.reshape(variance.shape), variance


def _counts(flat: Tensor, low: float, high: float) -> Tensor:
    if not (math.isfinite(low) and math.isfinite(high)):
        flat = flat[torch.isfinite(flat)]
        if not flat.numel():
            return torch.zeros(HISTOGRAM_BINS, dtype=torch.int64)
        low, high = (float(one) for one in flat.aminmax())
    width = (high - low) / HISTOGRAM_BINS
    if not width > 0:
        return torch.bincount(torch.full((1,), HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS) * flat.numel()
    if flat.device.type != "cpu":
        return torch.histc(flat, HISTOGRAM_BINS, low, high).long()
    if not 1e-36 < width < 1e36:  # single precision cannot hold what is computed below
        flat = flat.double()
    bins = flat.sub(low).mul_(1 / width).int()
    counts = torch.bincount(bins, minlength=HISTOGRAM_BINS + 1)
    counts[-2] += counts[-1]  # the largest value belongs to the last bin
    return counts[:-1]


def fetched(kept: Sequence[Held]) -> list[Captured]:
    """What was kept, on the CPU and without torch; what is on another device is fetched together."""
    whole = iter(arrays([one.values for one in kept if isinstance(one, Small)]))
    figures = iter(numbers([figure for one in kept if isinstance(one, Large) for figure in one.figures]))
    return [next(whole) if isinstance(one, Small) else _reduced(one, *islice(figures, 4)) for one in kept]


def _reduced(one: Large, mean: float, std: float, low: float, high: float) -> Reduced:
    return Reduced(mean, std, low, high, array(one.counts), array(one.sample))


def arrays(tensors: Sequence[Tensor]) -> list[Values]:
    """The values of tensors on the CPU; those of another device are fetched together."""
    if all(tensor.is_cpu for tensor in tensors):
        return [tensor.numpy() for tensor in tensors]
    found: list[Values | None] = [None] * len(tensors)
    by_device: dict[torch.device, list[int]] = {}
    for at, tensor in enumerate(tensors):
        by_device.setdefault(tensor.device, []).append(at)
    for device, places in by_device.items():
        if device.type == "cpu":
            for at in places:
                found[at] = tensors[at].numpy()
            continue
        together = array(torch.cat([tensors[at].flatten() for at in places]))
        ends = np.cumsum([tensors[at].numel() for at in places])
        for at, values in zip(places, np.split(together, ends[:-1]), strict=True):
            found[at] = values.reshape(tensors[at].shape)
    return [values for values in found if values is not None]


def array(tensor: Tensor) -> NDArray[Any]:
    """A tensor's values on the CPU."""
    values: NDArray[Any] = tensor.numpy(force=True)
    return values


def norm(tensor: Tensor) -> Tensor:
    """Euclidean norm in float64, on the tensor's device; NaN of a tensor of which this process has only a part."""
    found: Tensor
    if _usual(tensor):  # twice as fast as converting each value when it is added
        found = torch.linalg.vector_norm((tensor.detach() if tensor.requires_grad else tensor).double())
        return found
    if sharded(tensor):
        return torch.full((), math.nan, dtype=torch.float64)
    tensor = plain(tensor)
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    if tensor.is_complex():
        tensor = tensor.abs()
    if tensor.numel() <= EXACT:
        tensor = tensor.double()
    found = torch.linalg.vector_norm(tensor, dtype=torch.float64)
    return found


def numbers(tensors: Sequence[Tensor | float]) -> list[float]:
    """Single values, those of a device fetched together."""
    found = [one.item() if isinstance(one, Tensor) and one.is_cpu else one for one in tensors]
    by_device: dict[torch.device, list[int]] = {}
    for at, one in enumerate(found):
        if isinstance(one, Tensor):
            by_device.setdefault(one.device, []).append(at)
    for places in by_device.values():
        fetched = torch.stack([torch.as_tensor(tensors[at]).detach().double().reshape(()) for at in places]).tolist()
        for at, value in zip(places, fetched, strict=True):
            found[at] = value
    return [float(one) for one in found]

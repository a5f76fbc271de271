"""Keeps what passes through a layer until the step is over: all of a small tensor, the figures of a large one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bntui.distributions import distributions, unit_percentiles
from bntui.keyframe import HISTOGRAM_BINS, Distribution

EXACT: Final = 65_536
"""Up to as many values, percentiles are exact; of more, they are those of an even sample of at most as many."""

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Small:
    """A copy of a tensor, on its device, in its shape."""

    values: Tensor


@dataclass(frozen=True, slots=True)
class Large:
    """The figures of a tensor, reduced on its device."""

    figures: Tensor
    """Mean, population standard deviation, smallest and largest value in float64."""
    counts: Tensor
    sample: Tensor


Held = Small | Large


def hold(tensor: Tensor) -> Held | None:
    """Keep a tensor's values as they are now; None of an empty one.

    The values of half precision and of integers are those that single precision has of them.
    """
    tensor = tensor.detach()
    if tensor.numel() == 0:
        return None
    if tensor.is_complex():
        tensor = tensor.abs()
    if tensor.numel() <= EXACT:
        return Small(tensor.to(torch.float32, copy=True))
    return _large(tensor.float())


def _large(values: Tensor) -> Large:
    count = values.numel()
    mean = values.sum(dtype=torch.float64) / count
    away = values - mean.to(values.dtype)
    # the mean in single precision is not exactly that of the values, hence the second term
    std = (away.mul_(away).sum(dtype=torch.float64) / count - (mean - mean.to(values.dtype)) ** 2).clamp_min(0).sqrt()
    low, high = values.aminmax()
    figures = torch.stack([mean, std, low.double(), high.double()])
    flat = values.flatten()
    stride = -(-count // EXACT)
    return Large(figures, _counts(flat, low, high), flat[::stride].clone())


def _counts(flat: Tensor, low: Tensor, high: Tensor) -> Tensor:
    if not bool(torch.isfinite(high - low)):
        flat = flat[torch.isfinite(flat)]
        if not flat.numel():
            return torch.zeros(HISTOGRAM_BINS, dtype=torch.int64)
        low, high = flat.aminmax()
    width = (high.double() - low.double()) / HISTOGRAM_BINS
    if not width > 0:
        return torch.bincount(torch.full((1,), HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS) * flat.numel()
    if flat.device.type == "cpu":
        bins = flat.sub(low).mul_((1 / width).to(flat.dtype)).to(torch.int64).clamp_(0, HISTOGRAM_BINS - 1)
        return torch.bincount(bins, minlength=HISTOGRAM_BINS)
    return torch.histc(flat, HISTOGRAM_BINS, float(low), float(high)).long()


def described(kept: Sequence[Held]) -> list[Distribution]:
    """The distribution of each tensor."""
    small = [one.values for one in kept if isinstance(one, Small)]
    of_small = iter(distributions(arrays(small)))
    return [next(of_small) if isinstance(one, Small) else _of_large(one) for one in kept]


def _of_large(kept: Large) -> Distribution:
    mean, std, low, high = kept.figures.tolist()
    sound = math.isfinite(low) and math.isfinite(high)
    p15, p50, p85 = unit_percentiles(array(kept.sample)).values() if sound else [math.nan] * 3
    return Distribution(mean, std, p15, p50, p85, low, high, array(kept.counts).astype(np.int32))


def arrays(tensors: Sequence[Tensor]) -> list[Values]:
    """The values of tensors on the CPU; those of another device are fetched together."""
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
    """Euclidean norm in float64, on the tensor's device."""
    tensor = tensor.detach()
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    found: Tensor = torch.linalg.vector_norm(tensor, dtype=torch.float64)
    return found


def numbers(tensors: Sequence[Tensor | float]) -> list[float]:
    """Single values, those of a device fetched together."""
    found = [one if isinstance(one, float) else math.nan for one in tensors]
    by_device: dict[torch.device, list[int]] = {}
    for at, one in enumerate(tensors):
        if isinstance(one, Tensor):
            by_device.setdefault(one.device, []).append(at)
    for places in by_device.values():
        fetched = torch.stack([torch.as_tensor(tensors[at]).detach().double().reshape(()) for at in places]).tolist()
        for at, value in zip(places, fetched, strict=True):
            found[at] = value
    return found

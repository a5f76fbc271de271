"""Says where the units of a layer are in a tensor, also after it was viewed, transposed or pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from bntui.watching.pytorch.held import plain
from bntui.watching.pytorch.roles import SUMS, Role

TRANSPOSED: Final = frozenset({"transpose", "permute", "movedim", "moveaxis", "swapaxes", "swapdims", "t"})


class Units(NamedTuple):
    """The shape in which a tensor has its units along the middle axis; views keep the order of values, and so this."""

    before: int
    units: int
    after: int

    @classmethod
    def along(cls, shape: Sequence[int], axis: int) -> Units:
        """Those of a tensor that has them along an axis."""
        axis %= len(shape)
        return cls(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))

    def axis(self, shape: Sequence[int]) -> int | None:
        """The axis of a tensor along which they are; None if they are a part of one."""
        return next((at for at, side in enumerate(shape) if side == self.units and self._begins(shape, at)), None)

    def _begins(self, shape: Sequence[int], axis: int) -> bool:
        return math.prod(shape[:axis]) == self.before and math.prod(shape[axis + 1 :]) == self.after


def unbatched(module: nn.Module, out: Tensor) -> bool:
    """True if a module that counts its units along the second axis was given a single sample, without that of the
    batch."""
    if isinstance(module, _ConvNd):
        return out.ndim == len(module.kernel_size) + 1
    return isinstance(module, _InstanceNorm) and out.ndim == module._get_no_batch_dim()  # type: ignore[no-untyped-call]


def units_of(role: Role, module: nn.Module, out: Tensor) -> Units | None:
    """Those of what a layer or a normalization gives; None of a single number."""
    shape = plain(out).shape
    return Units.along(shape, 0 if unbatched(module, out) else role.axis) if shape else None


def followed(
    units: Units | None, name: str, again: Callable[[Tensor], Any], before: Sequence[int] | None, after: Tensor
) -> Units | None:
    """Those of what a function gives; None if they cannot be told apart any more.

    Args:
        units: those of what entered.
        again: calls the function with another tensor.
        before: the shape of that; of a sum, that of the operand that is followed; None of a nested tensor.
    """
    if units is None or before is None or after.is_nested:
        return units
    if name in TRANSPOSED:
        axis = units.axis(before)
        if axis is None:
            return None
        # strides say where each axis went
        probe = torch.empty_strided(before, tuple(range(1, len(before) + 1)), device="meta")
        return Units.along(after.shape, again(probe).stride().index(axis + 1))
    if name in SUMS or "pool" in name:
        axis = units.axis(before)
        axis = None if axis is None else axis + after.ndim - len(before)
        return None if axis is None or after.shape[axis] != units.units else Units.along(after.shape, axis)
    if after.numel() == math.prod(before):
        return units
    axis = units.axis(before)  # such as that of a gated unit, which halves an axis
    return None if axis is None or after.ndim != len(before) else Units.along(after.shape, axis)

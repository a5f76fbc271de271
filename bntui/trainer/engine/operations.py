"""Passes values forward and gradients backward through one stage, with formulas written out.

``forward`` keeps on the object what ``backward`` needs, up to the next ``forward``.  ``backward`` stores the gradients
of the stage's parameters, and gives the gradient of its input.  Results are written over those of the last mini-batch,
which must have the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from bntui.trainer.engine.activations import elementwise
from bntui.trainer.engine.base import Draw, Operation
from bntui.trainer.engine.normalizations import BatchNorm, GroupNorm, LayerNorm
from bntui.trainer.engine.weighted import Convolution, Linear
from bntui.trainer.network import DRAWN, Stage

_aten: Final = torch.ops.aten


class Flatten:
    """All values of a sample in a row."""

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.flatten(1)

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient.view(self._shape)


class Pool:
    """Max pooling without overlap."""

    def __init__(self, stage: Stage) -> None:
        module = stage.module
        assert isinstance(module, nn.MaxPool2d)
        self._side = [int(module.kernel_size)] * 2  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        output: Tensor
        output, self._places = _aten.max_pool2d_with_indices.default(x, self._side, self._side)
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        of_x: Tensor = _aten.max_pool2d_with_indices_backward.default(
            gradient, self._x, self._side, self._side, [0, 0], [1, 1], False, self._places
        )
        return of_x


class Drawn:
    """Dropout or noise: the input is multiplied by a mask or a scale."""

    def __init__(self, stage: Stage, draw: Draw) -> None:
        self._stage = stage
        self._draw = draw
        self.drawn: Tensor
        """The draw of the last mini-batch."""
        self._of_x: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        output, self.drawn = self._draw(self._stage, x)
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        factor = self.drawn if self._stage.kind == "dropout" else self.drawn[0]  # scale and shift, stacked
        self._of_x = torch.mul(gradient, factor, out=self._of_x)
        return self._of_x


_WITH_PARAMETERS: Final[Mapping[type[nn.Module], Callable[[Stage, Mapping[str, Tensor]], Operation]]] = {
    nn.Linear: Linear,
    nn.Conv2d: Convolution,
    nn.BatchNorm1d: BatchNorm,
    nn.BatchNorm2d: BatchNorm,
    nn.LayerNorm: LayerNorm,
    nn.GroupNorm: GroupNorm,
}


def operation(stage: Stage, gradients: Mapping[str, Tensor], draw: Draw) -> Operation:
    """The operation of a stage.

    Args:
        gradients: where to store the gradients of the stage's parameters, by PyTorch's names.
        draw: applies dropout or noise.
    """
    if stage.kind in DRAWN:
        return Drawn(stage, draw)
    if stage.kind == "activation":
        return elementwise(stage)
    if stage.kind == "flatten":
        return Flatten()
    return Pool(stage) if stage.kind == "pool" else _WITH_PARAMETERS[type(stage.module)](stage, gradients)

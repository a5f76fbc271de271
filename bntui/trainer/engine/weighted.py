"""Passes values through linear and convolutional stages, with formulas written out; see ``operations.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from bntui.trainer.network import Stage

_aten: Final = torch.ops.aten


class Linear:
    """``x W^T + b``."""

    def __init__(self, stage: Stage, gradients: Mapping[str, Tensor]) -> None:
        module = stage.module
        assert isinstance(module, nn.Linear)
        self._weight, self._bias = module.weight.detach(), module.bias.detach()
        self._transposed = self._weight.t()
        self._weight_gradient, self._bias_gradient = gradients["weight"], gradients["bias"]
        self._output: Tensor | None = None
        self._of_x: Tensor | None = None
        self._gradient: Tensor | None = None
        self._ones: Tensor | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of inputs and of outputs."""
        return self._weight.shape[1], self._weight.shape[0]

    def write_to(self, output: Tensor, of_x: Tensor) -> None:
        """Write outputs, and gradients of inputs, to given memory."""
        self._output, self._of_x = output, of_x

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        self._output = torch.addmm(self._bias, x, self._transposed, out=self._output)
        return self._output

    def learn(self, gradient: Tensor) -> None:
        if gradient is not self._gradient:  # it may be written to the same memory in every step
            self._gradient, self._turned = gradient, gradient.t()
        if self._ones is None:
            self._ones = gradient.new_ones(len(gradient))
        torch.mm(self._turned, self._x, out=self._weight_gradient)
        torch.mv(self._turned, self._ones, out=self._bias_gradient)

    def backward(self, gradient: Tensor) -> Tensor:
        self.learn(gradient)
        self._of_x = torch.mm(gradient, self._weight, out=self._of_x)
        return self._of_x


class Convolution:
    """A two-dimensional convolution with zero padding."""

    def __init__(self, stage: Stage, gradients: Mapping[str, Tensor]) -> None:
        module = stage.module
        assert isinstance(module, nn.Conv2d)
        self._weight, self._bias = module.weight.detach(), module.bias
        assert self._bias is not None
        self._bias_sizes = list(self._bias.shape)
        padding = module.padding
        if isinstance(padding, str):  # "same": an odd kernel with stride 1
            padding = tuple(side // 2 for side in module.kernel_size)
        self._geometry = (list(module.stride), list(padding), list(module.dilation), False, [0, 0], module.groups)
        self._weight_gradient, self._bias_gradient = gradients["weight"], gradients["bias"]

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        output: Tensor = torch.convolution(x, self._weight, self._bias, *self._geometry)
        return output

    def learn(self, gradient: Tensor) -> None:
        self._backward(gradient, of_input=False)

    def backward(self, gradient: Tensor) -> Tensor:
        return self._backward(gradient, of_input=True)

    def _backward(self, gradient: Tensor, *, of_input: bool) -> Tensor:
        of_x: Tensor
        of_x, of_weight, of_bias = _aten.convolution_backward.default(
            gradient, self._x, self._weight, self._bias_sizes, *self._geometry, [of_input, True, True]
        )
        self._weight_gradient.copy_(of_weight)
        self._bias_gradient.copy_(of_bias)
        return of_x

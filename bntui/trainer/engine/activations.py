"""Passes values through activation functions, with formulas written out; see ``operations.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from bntui.trainer.engine.base import Operation
from bntui.trainer.network import Stage

_aten: Final = torch.ops.aten


class Identity:
    """No activation function."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient


class FormulaActivation:
    """An activation function whose derivative is a formula of its input or output."""

    def __init__(
        self, function: Callable[[Tensor], Tensor], backward: Callable[[Tensor, Tensor], Tensor], *, of_output: bool
    ) -> None:
        """``backward`` gives the input's gradient from the output's gradient and the output, or else the input."""
        self._function = function
        self._backward = backward
        self._of_output = of_output

    def forward(self, x: Tensor) -> Tensor:
        output = self._function(x)
        self._kept = output if self._of_output else x
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        return self._backward(gradient, self._kept)


class Squashing:
    """Sigmoid, tanh or ReLU, written over the results of the last mini-batch."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        backward: Callable[..., Tensor],
        into: Callable[..., Tensor],
        *more: float,
    ) -> None:
        """``backward`` and ``into`` give the input's gradient from that of the output, the output, and ``more``.

        Args:
            into: writes it to ``grad_input``.
        """
        self._function = function
        self._backward, self._into, self._more = backward, into, more
        self._output: Tensor | None = None
        self._of_x: Tensor | None = None

    def write_to(self, output: Tensor, of_x: Tensor) -> None:
        """Write outputs, and gradients of inputs, to given memory."""
        self._output, self._of_x = output, of_x

    def forward(self, x: Tensor) -> Tensor:
        self._output = self._function(x, out=self._output)
        return self._output

    def backward(self, gradient: Tensor) -> Tensor:
        if self._of_x is None:
            self._of_x = self._backward(gradient, self._output, *self._more)
        else:
            self._into(gradient, self._output, *self._more, grad_input=self._of_x)
        return self._of_x


class Derived:
    """An activation function without a formula here: autograd differentiates it."""

    def __init__(self, stage: Stage) -> None:
        self._module = stage.module

    def forward(self, x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            self._x = x.clone().requires_grad_()
            self._output: Tensor = self._module(self._x)
        output: Tensor = self._output.detach()
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        with torch.inference_mode(False):
            of_x: Tensor = torch.autograd.grad(self._output, self._x, gradient.clone())[0]
        return of_x


def _softsign_backward(gradient: Tensor, x: Tensor) -> Tensor:
    scale: Tensor = (x.abs() + 1).square_()
    return gradient / scale


_ACTIVATIONS: Final[Mapping[type[nn.Module], Callable[[], Operation]]] = {
    nn.Identity: Identity,
    nn.Sigmoid: lambda: Squashing(torch.sigmoid, _aten.sigmoid_backward.default, _aten.sigmoid_backward.grad_input),
    nn.Tanh: lambda: Squashing(torch.tanh, _aten.tanh_backward.default, _aten.tanh_backward.grad_input),
    nn.ReLU: lambda: Squashing(
        partial(torch.clamp_min, min=0), _aten.threshold_backward.default, _aten.threshold_backward.grad_input, 0
    ),
    nn.LeakyReLU: lambda: FormulaActivation(
        nn.functional.leaky_relu, lambda g, x: _aten.leaky_relu_backward.default(g, x, 0.01, False), of_output=False
    ),
    nn.GELU: lambda: FormulaActivation(nn.functional.gelu, _aten.gelu_backward.default, of_output=False),
    nn.Softsign: lambda: FormulaActivation(nn.functional.softsign, _softsign_backward, of_output=False),
}


def elementwise(stage: Stage) -> Operation:
    """The operation of an activation function, for values of any shape."""
    kind = type(stage.module)
    return _ACTIVATIONS[kind]() if kind in _ACTIVATIONS else Derived(stage)

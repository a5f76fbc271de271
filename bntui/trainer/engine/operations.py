"""Passes values forward and gradients backward through one stage, with formulas written out.

``forward`` keeps on the object what ``backward`` needs, up to the next ``forward``.  ``backward`` stores the gradients
of the stage's parameters, and gives the gradient of its input.  Results are written over those of the last mini-batch,
which must have the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from bntui.trainer.engine.base import Draw
from bntui.trainer.network import DRAWN, Stage

_aten: Final = torch.ops.aten


class Operation(Protocol):
    """A stage in training mode."""

    def forward(self, x: Tensor) -> Tensor:
        """The stage's output."""

    def backward(self, gradient: Tensor) -> Tensor:
        """The gradient of the loss with respect to the stage's input, from that of its output."""


class WeightedOperation(Operation, Protocol):
    """A linear or convolutional stage; the input of the first one is the data, whose gradient nobody needs."""

    def learn(self, gradient: Tensor) -> None:
        """Store the gradients of the parameters only."""


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


class _Norm:
    """What all normalizations share: γ and β, and where their gradients are stored."""

    def __init__(self, stage: Stage, gradients: Mapping[str, Tensor]) -> None:
        self._module = stage.module
        weight, bias, eps = stage.module.weight, stage.module.bias, stage.module.eps
        assert isinstance(weight, nn.Parameter)
        assert isinstance(bias, nn.Parameter)
        assert isinstance(eps, float)
        self._gamma, self._beta, self._eps = weight.detach(), bias.detach(), eps
        self._gradients = gradients["weight"], gradients["bias"]

    def _store(self, of_gamma: Tensor, of_beta: Tensor) -> None:
        self._gradients[0].copy_(of_gamma)
        self._gradients[1].copy_(of_beta)


class BatchNorm(_Norm):
    """Batch normalization by the statistics of the mini-batch; updates the running ones, but not their count."""

    def __init__(self, stage: Stage, gradients: Mapping[str, Tensor]) -> None:
        super().__init__(stage, gradients)
        module = stage.module
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        assert module.momentum is not None
        self._running = module.running_mean, module.running_var
        self._momentum = module.momentum

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        output, *self._statistics = torch.native_batch_norm(
            x, self._gamma, self._beta, *self._running, True, self._momentum, self._eps
        )
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        of_x: Tensor
        of_x, *of_parameters = _aten.native_batch_norm_backward.default(
            gradient, self._x, self._gamma, *self._running, *self._statistics, True, self._eps, [True, True, True]
        )
        self._store(*of_parameters)
        return of_x


class LayerNorm(_Norm):
    """Layer normalization of each sample."""

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        self._shape = list(x.shape[1:])
        output, *self._statistics = torch.native_layer_norm(x, self._shape, self._gamma, self._beta, self._eps)
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        of_x: Tensor
        of_x, *of_parameters = _aten.native_layer_norm_backward.default(
            gradient, self._x, self._shape, *self._statistics, self._gamma, self._beta, [True, True, True]
        )
        self._store(*of_parameters)
        return of_x


class GroupNorm(_Norm):
    """Normalization of each group of features or channels of each sample."""

    def __init__(self, stage: Stage, gradients: Mapping[str, Tensor]) -> None:
        super().__init__(stage, gradients)
        assert isinstance(stage.module, nn.GroupNorm)
        self._groups = stage.module.num_groups

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        self._sizes = (*x.shape[:2], x[0, 0].numel(), self._groups)
        output: Tensor
        output, *self._statistics = _aten.native_group_norm.default(x, self._gamma, self._beta, *self._sizes, self._eps)
        return output

    def backward(self, gradient: Tensor) -> Tensor:
        of_x: Tensor
        of_x, *of_parameters = _aten.native_group_norm_backward.default(
            gradient.contiguous(), self._x, *self._statistics, self._gamma, *self._sizes, [True, True, True]
        )
        self._store(*of_parameters)
        return of_x


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


def elementwise(stage: Stage) -> Operation:
    """The operation of an activation function, for values of any shape."""
    kind = type(stage.module)
    return _ACTIVATIONS[kind]() if kind in _ACTIVATIONS else Derived(stage)

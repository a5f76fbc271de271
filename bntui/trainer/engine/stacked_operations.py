"""Passes the mini-batches of several networks of one form through a stage at once, with formulas written out.

Values have the shape ``(S, B, …)``: networks, samples, features.  The first axis of parameters and gradients is that of
the networks, too.  Otherwise, these are the operations of ``operations.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from bntui.trainer.engine.operations import Operation, elementwise
from bntui.trainer.network import DRAWN, Stage

_aten: Final = torch.ops.aten

Draws = Sequence[Callable[[Stage, Tensor], tuple[Tensor, Tensor]]]
"""For each network, how it applies dropout or noise to the input of one of its stages; see ``base.Draw``."""


class Stacked(Operation, Protocol):
    """A stage of all networks."""

    def evaluate(self, x: Tensor) -> Tensor:
        """The output in evaluation mode."""


class Linear:
    """``x W^T + b``."""

    def __init__(self, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        self._weight, self._bias = tensors["weight"], tensors["bias"].unsqueeze(1)
        self._transposed = self._weight.transpose(1, 2)
        self._weight_gradient, self._bias_gradient = gradients["weight"], gradients["bias"].unsqueeze(1)
        self._output: Tensor | None = None
        self._of_x: Tensor | None = None
        self._gradient: Tensor | None = None
        self._ones: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        self._output = torch.baddbmm(self._bias, x, self._transposed, out=self._output)
        return self._output

    def evaluate(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self._bias, x, self._transposed)

    def learn(self, gradient: Tensor) -> None:
        """Store the gradients of the parameters only."""
        if gradient is not self._gradient:  # it may be written to the same memory in every step
            self._gradient, self._turned = gradient, gradient.transpose(1, 2)
        if self._ones is None:
            self._ones = gradient.new_ones((len(gradient), 1, gradient.shape[1]))
        torch.bmm(self._turned, self._x, out=self._weight_gradient)
        torch.bmm(self._ones, gradient, out=self._bias_gradient)

    def backward(self, gradient: Tensor) -> Tensor:
        self.learn(gradient)
        self._of_x = torch.bmm(gradient, self._weight, out=self._of_x)
        return self._of_x


class BatchNorm:
    """Batch normalization; the features of all networks are those of one wide normalization."""

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        assert isinstance(module, nn.BatchNorm1d)
        assert module.momentum is not None
        self._gamma, self._beta = (tensors[name].view(-1) for name in ("weight", "bias"))
        self._running = tensors["running_mean"].view(-1), tensors["running_var"].view(-1)
        self._gradients = gradients["weight"].view(-1), gradients["bias"].view(-1)
        self._momentum, self._eps = module.momentum, module.eps

    def forward(self, x: Tensor) -> Tensor:
        self._x = _side_by_side(x)
        output, *self._statistics = torch.native_batch_norm(
            self._x, self._gamma, self._beta, *self._running, True, self._momentum, self._eps
        )
        return _apart(output, x)

    def evaluate(self, x: Tensor) -> Tensor:
        mean, var = self._running
        output = torch.batch_norm(
            _side_by_side(x), self._gamma, self._beta, mean, var, False, self._momentum, self._eps, False
        )
        return _apart(output, x)

    def backward(self, gradient: Tensor) -> Tensor:
        of_x, of_gamma, of_beta = _aten.native_batch_norm_backward.default(
            _side_by_side(gradient), self._x, self._gamma, *self._running, *self._statistics, True, self._eps,
            [True, True, True],
        )  # fmt: skip
        self._gradients[0].copy_(of_gamma)
        self._gradients[1].copy_(of_beta)
        return _apart(of_x, gradient)


class _PerSample(ABC):
    """A normalization of each sample, scaled and shifted by the γ and β of its network."""

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        assert isinstance(module.eps, float)
        self._eps = module.eps
        self._gamma, self._beta = (tensors[name].unsqueeze(1) for name in ("weight", "bias"))
        self._gradients = gradients["weight"], gradients["bias"]

    def forward(self, x: Tensor) -> Tensor:
        self._x = x.contiguous()
        self._normalized = self._normalize(self._x)
        return torch.addcmul(self._beta, self._normalized, self._gamma)

    def evaluate(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def backward(self, gradient: Tensor) -> Tensor:
        torch.sum(gradient * self._normalized, 1, out=self._gradients[0])
        torch.sum(gradient, 1, out=self._gradients[1])
        return self._backward((gradient * self._gamma).contiguous())

    @abstractmethod
    def _normalize(self, x: Tensor) -> Tensor:
        """Normalize each sample, without scale and shift."""

    @abstractmethod
    def _backward(self, gradient: Tensor) -> Tensor:
        """The gradient of the inputs, given that of the normalized values."""


class LayerNorm(_PerSample):
    """Layer normalization."""

    def _normalize(self, x: Tensor) -> Tensor:
        output: Tensor
        output, *self._statistics = torch.native_layer_norm(x, list(x.shape[2:]), None, None, self._eps)
        return output

    def _backward(self, gradient: Tensor) -> Tensor:
        of_x: Tensor = _aten.native_layer_norm_backward.default(
            gradient, self._x, list(gradient.shape[2:]), *self._statistics, None, None, [True, False, False]
        )[0]
        return of_x


class GroupNorm(_PerSample):
    """Normalization of each group of features."""

    def __init__(self, module: nn.Module, tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> None:
        super().__init__(module, tensors, gradients)
        assert isinstance(module, nn.GroupNorm)
        self._groups = module.num_groups

    def _normalize(self, x: Tensor) -> Tensor:
        self._sizes = x.shape[0] * x.shape[1], x.shape[2], 1, self._groups
        output: Tensor
        output, *self._statistics = _aten.native_group_norm.default(
            x.view(self._sizes[:2]), None, None, *self._sizes, self._eps
        )
        return output.view(x.shape)

    def _backward(self, gradient: Tensor) -> Tensor:
        flat = self._sizes[:2]
        of_x: Tensor = _aten.native_group_norm_backward.default(
            gradient.view(flat), self._x.view(flat), *self._statistics, None, *self._sizes, [True, False, False]
        )[0]
        return of_x.view(gradient.shape)


class Flatten:
    """All values of a sample in a row."""

    def forward(self, x: Tensor) -> Tensor:
        self._shape = x.shape
        return x.flatten(2)

    def evaluate(self, x: Tensor) -> Tensor:
        return x.flatten(2)

    def backward(self, gradient: Tensor) -> Tensor:
        return gradient.view(self._shape)


class Drawn:
    """Dropout or noise, drawn for each network as if it were alone."""

    def __init__(self, stages: Sequence[Stage], draws: Draws) -> None:
        self._each = list(zip(stages, draws, strict=True))
        self._of_x: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        made = [draw(stage, own) for (stage, draw), own in zip(self._each, x.unbind(), strict=True)]
        self._draws = [drawn for _output, drawn in made]
        return torch.stack([output for output, _drawn in made])

    def evaluate(self, x: Tensor) -> Tensor:
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        mask = self._each[0][0].kind == "dropout"
        factor = torch.stack(self._draws if mask else [drawn[0] for drawn in self._draws])
        self._of_x = torch.mul(gradient, factor, out=self._of_x)
        return self._of_x


class Elementwise:
    """An activation function: the operation of a single network."""

    def __init__(self, stage: Stage) -> None:
        self._module = stage.module
        single = elementwise(stage)
        self.forward, self.backward = single.forward, single.backward

    def evaluate(self, x: Tensor) -> Tensor:
        output: Tensor = self._module(x)
        return output


def _side_by_side(x: Tensor) -> Tensor:
    """The features of all networks in a row, from shape ``(S, B, F)`` to ``(B, S * F)``; a view where it can be one."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def _apart(x: Tensor, like: Tensor) -> Tensor:
    """The inverse of :func:`_side_by_side`, a view."""
    networks, samples, features = like.shape
    return x.view(samples, networks, features).transpose(0, 1)


_NORMS: Final[Mapping[type[nn.Module], Callable[[nn.Module, Mapping[str, Tensor], Mapping[str, Tensor]], Stacked]]] = {
    nn.BatchNorm1d: BatchNorm, nn.LayerNorm: LayerNorm, nn.GroupNorm: GroupNorm,
}  # fmt: skip
SUPPORTED: Final = ("linear", "norm", "flatten", "activation", *DRAWN)
"""Kinds of the stages that can be stacked."""


def stacked(
    stages: Sequence[Stage], tensors: Mapping[str, Tensor], gradients: Mapping[str, Tensor], draws: Draws
) -> Stacked:
    """The operation of the same stage of several networks.

    Args:
        tensors: the stacked parameters and running statistics of the stages, by PyTorch's names.
        gradients: where to store the gradients of the parameters.
        draws: apply dropout or noise, one for each network.
    """
    first = stages[0]
    if first.kind in DRAWN:
        return Drawn(stages, draws)
    if first.kind == "activation":
        return Elementwise(first)
    if first.kind == "flatten":
        return Flatten()
    if first.kind == "linear":
        return Linear(tensors, gradients)
    return _NORMS[type(first.module)](first.module, tensors, gradients)

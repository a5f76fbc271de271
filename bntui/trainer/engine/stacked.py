"""Passes mini-batches of several networks of one form forward and backward, where calls cost more than arithmetic.

An operation without parameters is done for all networks at once; the others are those of each network.  Results are
those of the networks alone, bit for bit: kernels see the values of each network as a row of their own, at an address as
aligned as that of a tensor alone, so that they add, and round, in the same order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor

from bntui.trainer.engine.activations import Identity, Squashing
from bntui.trainer.engine.base import Operation
from bntui.trainer.engine.explicit import Explicit, Way
from bntui.trainer.engine.flat import ALIGNED
from bntui.trainer.engine.weighted import Linear

_aten: Final = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Values:
    """Values of all networks."""

    each: Sequence[Tensor]
    """Those of each network, shape ``(B, …)``."""
    whole: Tensor | None = None
    """The same in one tensor, shape ``(S, B, …)``, of which ``each`` are views; None if they are separate."""

    @classmethod
    def room(cls, like: Sequence[Tensor], *shape: int) -> Values:
        """Memory for values of one shape.  The rows of networks are apart, so that no kernel sees them as one."""
        apart = (math.ceil(math.prod(shape) / ALIGNED) + 1) * ALIGNED
        whole = like[0].new_zeros((len(like), apart))[:, : math.prod(shape)].view(len(like), *shape)
        return cls(whole.unbind(), whole)


class Stacked(Protocol):
    """A stage of all networks."""

    def forward(self, x: Values) -> Values:
        """The outputs."""

    def backward(self, gradient: Values) -> Values:
        """The gradients of the inputs from those of the outputs."""


class _Each:
    """The operation of each network."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations

    def forward(self, x: Values) -> Values:
        return Values([one.forward(own) for one, own in zip(self._operations, x.each, strict=True)])

    def backward(self, gradient: Values) -> Values:
        return Values([one.backward(own) for one, own in zip(self._operations, gradient.each, strict=True)])


class _Unchanged:
    """No activation function."""

    def forward(self, x: Values) -> Values:
        return x

    def backward(self, gradient: Values) -> Values:
        return gradient


class _Linear:
    """The linear stage of each network, with the results of all in one tensor."""

    def __init__(self, operations: Sequence[Linear]) -> None:
        self._operations = operations
        self._output: Values | None = None
        self._of_x: Values

    def forward(self, x: Values) -> Values:
        if self._output is None:
            inputs, outputs = self._operations[0].sizes
            self._output, self._of_x = (Values.room(x.each, len(x.each[0]), size) for size in (outputs, inputs))
            for one, *places in zip(self._operations, self._output.each, self._of_x.each, strict=True):
                one.write_to(*places)
        for one, own in zip(self._operations, x.each, strict=True):
            one.forward(own)
        return self._output

    def backward(self, gradient: Values) -> Values:
        for one, own in zip(self._operations, gradient.each, strict=True):
            one.backward(own)
        return self._of_x


class _Squashing:
    """Sigmoid, tanh or ReLU of all networks at once."""

    def __init__(self, operation: Squashing) -> None:
        self._operation = operation
        self._output: Values | None = None
        self._of_x: Values

    def forward(self, x: Values) -> Values:
        if self._output is None:
            self._output, self._of_x = (Values.room(x.each, *x.each[0].shape) for _way in range(2))
            assert self._output.whole is not None
            assert self._of_x.whole is not None
            self._operation.write_to(self._output.whole, self._of_x.whole)
        self._operation.forward(x.whole if x.whole is not None else torch.stack(tuple(x.each)))
        return self._output

    def backward(self, gradient: Values) -> Values:
        whole = gradient.whole if gradient.whole is not None else torch.stack(tuple(gradient.each))
        self._operation.backward(whole)
        return self._of_x


class _CrossEntropy:
    """Mean cross-entropy of each network's mini-batch, and its gradient by the outputs."""

    def __init__(self, output: Tensor) -> None:
        self._share = output.new_full((), 1 / output.shape[1])
        self._gradient = Values.room(output.unbind(), *output.shape[1:])

    def __call__(self, output: Tensor, targets: Sequence[Tensor]) -> tuple[Sequence[Tensor], Values]:
        logs = torch.log_softmax(output, 2)
        flat = logs.flatten(0, 1)
        losses = [
            _aten.nll_loss_forward.default(own, target, None, 1, -100)[0]
            for own, target in zip(logs.unbind(), targets, strict=True)
        ]
        each = _aten.nll_loss_backward.default(self._share, flat, torch.cat(tuple(targets)), None, 2, -100, self._share)
        of_output = _aten._log_softmax_backward_data.default(each, flat, 1, output.dtype)
        assert self._gradient.whole is not None
        self._gradient.whole.copy_(of_output.view(output.shape))
        return losses, self._gradient


class _MeanSquaredError:
    """Mean squared error of each network's mini-batch, and its gradient by the outputs."""

    def __init__(self, output: Tensor) -> None:
        self._share = output.new_full((), 1 / output[0].numel())
        self._gradient = Values.room(output.unbind(), *output.shape[1:])

    def __call__(self, output: Tensor, targets: Sequence[Tensor]) -> tuple[Sequence[Tensor], Values]:
        target = torch.stack(tuple(targets))
        losses = (output - target).square_().mean((1, 2)).unbind()
        _aten.mse_loss_backward.grad_input(self._share, output, target, 2, grad_input=self._gradient.whole)
        return losses, self._gradient


class StackedNetworks:
    """The explicit engines of several networks that differ in their values only."""

    def __init__(self, task: str, engines: Sequence[Explicit]) -> None:
        self._task = task
        self._engines = engines
        self._ways: dict[int, _Way] = {}
        """By size of the mini-batch; two sizes occur in an epoch."""

    def learn(self, xs: Sequence[Tensor], ys: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Compute the gradients of a mini-batch of each network; gives its losses and outputs."""
        size = len(xs[0])
        if size not in self._ways:
            self._ways[size] = _Way(self._task, [engine.way() for engine in self._engines])
        done = self._ways[size].learn(Values(xs), ys)
        for engine in self._engines:
            engine.count()
        return done


class _Way:
    """The operations of the networks for mini-batches of one size."""

    def __init__(self, task: str, ways: Sequence[Way]) -> None:
        stages = zip(*(way.operations for way in ways), strict=True)
        self._forward = [_stacked(operations) for operations in stages]
        entry = ways[0].operations.index(ways[0].entry)
        self._backward = self._forward[:entry:-1]
        self._entries = [way.entry for way in ways]
        self._loss: _CrossEntropy | _MeanSquaredError | None = None
        self._task = task

    def learn(self, x: Values, targets: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        for one in self._forward:
            x = one.forward(x)
        output = x.whole
        assert output is not None  # the last stage that changes anything is linear
        if self._loss is None:
            self._loss = (_CrossEntropy if self._task == "classification" else _MeanSquaredError)(output)
        losses, gradient = self._loss(output, targets)
        for one in self._backward:
            gradient = one.backward(gradient)
        for entry, own in zip(self._entries, gradient.each, strict=True):
            entry.learn(own)
        return losses, output.clone().unbind()  # the next mini-batch overwrites it


def _stacked(operations: Sequence[Operation]) -> Stacked:
    linear = [one for one in operations if isinstance(one, Linear)]
    if linear:
        return _Linear(linear)
    first = operations[0]
    if isinstance(first, Identity):
        return _Unchanged()
    return _Squashing(first) if isinstance(first, Squashing) else _Each(operations)

"""Passes values through normalizations, with formulas written out; see ``operations.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from bntui.trainer.network import Stage

_aten: Final = torch.ops.aten


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

"""Builds normalizations from PyTorch's modules with a scenario's ε, momentum and γ, including ones per time step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bntui.scenario.blocks import Block
from bntui.scenario.network import NetworkConfig


class SequenceBatchNorm(nn.BatchNorm1d):
    """Batch normalization of sequences ``(B, T, C)`` with statistics over batch and time together.

    As in Laurent et al., arXiv:1510.01378, it is applied only to the projected inputs.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class's name
        """Values ``(B, T, C)``, normalized per feature over ``B * T`` values."""
        return super().forward(input.flatten(0, 1)).view_as(input)


class StepBatchNorm(nn.Module):
    """Batch normalization with separate statistics for each time step, after Cooijmans et al., arXiv:1603.09025.

    The running statistics have shape ``(T, C)``; γ and β, with shape ``(C,)``, are shared by all steps.  In evaluation
    mode, steps beyond ``T`` use the statistics of the last one.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, shape: tuple[int, ...], eps: float, momentum: float, *, shift: bool = True) -> None:
        super().__init__()
        features = shape[-1]
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features)) if shift else None
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a whole sequence ``(B, T, C)``; in training mode, it cannot have more steps than the statistics."""
        _, steps, features = x.shape
        known = len(self.running_mean)
        if steps > known:
            assert not self.training, f"{steps} time steps, and statistics are kept of {known}"
            reused = torch.arange(steps, device=x.device).clamp_(max=known - 1)
            mean, var = self.running_mean[reused], self.running_var[reused]
        else:
            mean, var = self.running_mean[:steps], self.running_var[:steps]
        bias = None if self.bias is None else self.bias.repeat(steps)
        # treat each feature of each time step as a separate feature, and normalize all at once
        normalized = functional.batch_norm(
            x.reshape(-1, steps * features), mean.view(-1), var.view(-1), self.weight.repeat(steps), bias,
            self.training, self.momentum, self.eps,
        )  # fmt: skip
        return normalized.view(x.shape)

    def at(self, step: int, x: Tensor) -> Tensor:
        """Normalize the values ``(B, C)`` of one time step, for a recurrence that has not computed later ones yet."""
        step = min(step, len(self.running_mean) - 1)
        return functional.batch_norm(
            x, self.running_mean[step], self.running_var[step], self.weight, self.bias,
            self.training, self.momentum, self.eps,
        )  # fmt: skip


class StepLayerNorm(nn.LayerNorm):
    """Layer normalization of each time step, after Ba et al., arXiv:1607.06450; it has no running statistics."""

    def at(self, step: int, x: Tensor) -> Tensor:  # noqa: ARG002 - as in StepBatchNorm
        """Normalize the values ``(B, C)`` of one time step, in the same way for every step."""
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


StepNorm = StepBatchNorm | StepLayerNorm
"""A normalization that can be applied to one time step of a sequence."""


def per_step(block: Block, config: NetworkConfig) -> bool:
    """True if the block is a recurrent layer that normalizes each time step, including the hidden state."""
    if block.type != "recurrent":
        return False
    return block.norm == "layer" or (block.norm == "batch" and config.norm_recurrent == "step")


def normalization(block: Block, shape: tuple[int, ...], config: NetworkConfig) -> nn.Module:
    """The normalization of a block whose samples have ``shape``: ``(C,)``, ``(C, H, W)``, or ``(T, C)``."""
    eps, momentum = config.norm_eps, config.norm_momentum
    module: nn.Module
    if block.type == "recurrent" and block.norm == "batch":
        if per_step(block, config):
            module = StepBatchNorm(shape, eps, momentum)
        else:
            module = SequenceBatchNorm(shape[1], eps, momentum)
    elif block.norm == "batch":
        module = (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0], eps, momentum)
    elif block.norm == "group":
        module = nn.GroupNorm(config.groups, shape[0], eps)
    else:
        module = nn.LayerNorm(shape[-1:] if block.type == "recurrent" else shape, eps)
    return _scaled(module, config.norm_gamma)


def hidden_normalization(
    block: Block, steps: int, features: int, config: NetworkConfig, *, shift: bool
) -> StepNorm | None:
    """The normalization inside a recurrence; None if only the projected inputs are normalized, or nothing is.

    Args:
        steps: number of time steps.
        features: number of values per time step.
        shift: whether it has a β.
    """
    if not per_step(block, config):
        return None
    module: StepNorm
    if block.norm == "batch":
        module = StepBatchNorm((steps, features), config.norm_eps, config.norm_momentum, shift=shift)
    else:
        module = StepLayerNorm(features, config.norm_eps, bias=shift)
    _scaled(module, config.norm_gamma)
    return module


def _scaled(module: nn.Module, gamma: float) -> nn.Module:
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    nn.init.constant_(weight, gamma)
    return module

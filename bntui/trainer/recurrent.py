"""Computes the hidden states of recurrent layers: Elman, GRU and LSTM over projected inputs.

The projection of all inputs, ``W_ih x_t + b``, is a separate stage, computed at once.  These modules compute the
hidden-to-hidden part in a loop over time.  Without normalization, they are PyTorch's RNN, GRU and LSTM, with the same
order of gates.  With normalization per time step, the projection ``W_hh h_{t-1}`` is normalized too, and so is the cell
of an LSTM before its tanh (Cooijmans et al. 2016, arXiv:1603.09025; Ba et al. 2016, arXiv:1607.06450).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from bntui.scenario.blocks import Block
from bntui.scenario.network import NetworkConfig
from bntui.trainer.normalization import StepNorm, hidden_normalization

HiddenNorm = Callable[[int, bool], StepNorm | None]
"""Builds the normalization for a number of features, with β or without; returns None if there is none."""


class Recurrence(nn.Module):
    """Computes hidden states ``(B, T, H)`` from projected inputs ``(B, T, gates * H)``; the initial state is 0."""

    gates: ClassVar[int]
    """Number of pre-activations of each hidden unit."""

    def __init__(self, units: int, norm: HiddenNorm) -> None:
        super().__init__()
        self.weight_hh = nn.Parameter(torch.empty(self.gates * units, units))
        self.norm = norm(self.gates * units, False)  # a β would be redundant: the projected inputs have a bias or a β

    def _start(self, projected: Tensor) -> Tensor:
        return projected.new_zeros(len(projected), self.weight_hh.shape[1])

    def _hidden(self, step: int, h: Tensor, weight: Tensor) -> Tensor:
        """``W_hh h``, normalized if the recurrence has a normalization; ``weight`` is W_hh transposed."""
        hidden = h @ weight
        return hidden if self.norm is None else self.norm.at(step, hidden)

    def _sum(self, step: int, projected: Tensor, h: Tensor, weight: Tensor) -> Tensor:
        """``projected + W_hh h``, in one operation if there is no normalization."""
        if self.norm is None:
            return torch.addmm(projected, h, weight)
        return projected + self._hidden(step, h, weight)


class Elman(Recurrence):
    """``h_t = φ(p_t + W_hh h_{t-1})``, the simple recurrent network."""

    gates = 1

    def __init__(self, units: int, norm: HiddenNorm, activation: nn.Module) -> None:
        super().__init__(units, norm)
        self.activation = activation

    def forward(self, projected: Tensor) -> Tensor:
        """Hidden states of all time steps."""
        h, weight, states = self._start(projected), self.weight_hh.t(), []
        for step, p in enumerate(projected.unbind(1)):
            h = self.activation(self._sum(step, p, h, weight))
            states.append(h)
        return torch.stack(states, 1)


class GRU(Recurrence):
    """PyTorch's GRU; the gates are reset, update, new.  ``bias`` belongs to the hidden part of the new gate."""

    gates = 3

    def __init__(self, units: int, norm: HiddenNorm) -> None:
        super().__init__(units, norm)
        self.bias = nn.Parameter(torch.zeros(units))  # not redundant, because the reset gate multiplies it

    def forward(self, projected: Tensor) -> Tensor:
        """Hidden states of all time steps."""
        h, weight, states = self._start(projected), self.weight_hh.t(), []
        two = 2 * h.shape[1]
        for step, p in enumerate(projected.unbind(1)):
            hidden = self._hidden(step, h, weight)
            reset, update = (p[:, :two] + hidden[:, :two]).sigmoid().chunk(2, 1)
            new = torch.addcmul(p[:, two:], reset, hidden[:, two:] + self.bias).tanh()
            h = torch.lerp(new, h, update)
            states.append(h)
        return torch.stack(states, 1)


class LSTM(Recurrence):
    """PyTorch's LSTM; the gates are input, forget, cell, output."""

    gates = 4

    def __init__(self, units: int, norm: HiddenNorm) -> None:
        super().__init__(units, norm)
        self.norm_cell = norm(units, True)

    def forward(self, projected: Tensor) -> Tensor:
        """Hidden states of all time steps."""
        h = cell = self._start(projected)
        weight, states = self.weight_hh.t(), []
        for step, p in enumerate(projected.unbind(1)):
            admit, forget, new, out = self._sum(step, p, h, weight).chunk(4, 1)
            cell = forget.sigmoid() * cell + admit.sigmoid() * new.tanh()
            shown = cell if self.norm_cell is None else self.norm_cell.at(step, cell)
            h = out.sigmoid() * shown.tanh()
            states.append(h)
        return torch.stack(states, 1)


def recurrence(block: Block, activation: nn.Module, steps: int, config: NetworkConfig) -> Recurrence:
    """The recurrence of a block over sequences of ``steps`` time steps; only Elman uses the activation function."""

    def norm(features: int, shift: bool) -> StepNorm | None:
        return hidden_normalization(block, steps, features, config, shift=shift)

    if block.cell == "elman":
        return Elman(block.units, norm, activation)
    return GRU(block.units, norm) if block.cell == "gru" else LSTM(block.units, norm)


class LastStep(nn.Module):
    """Selects the last time step of a sequence ``(B, T, H)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape ``(B, H)``."""
        return x[:, -1]


class ImageRows(nn.Module):
    """Converts an image ``(B, C, H, W)`` into a sequence of its rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape ``(B, H, C * W)``."""
        return x.transpose(1, 2).flatten(2)

"""Computes the gradients of several networks of one form at once, where calls cost more than arithmetic.

Each network has its own weights, samples, and draws; the formulas are those of ``explicit.py``.  Results agree with
those of the networks alone up to float32 rounding, not bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from bntui.recording.evidence import Average
from bntui.scenario.schema import Training
from bntui.trainer.engine.flat import Flat, one_count
from bntui.trainer.engine.flat_optimizer import FlatOptimizer
from bntui.trainer.engine.stacked_operations import SUPPORTED, Draws, Linear, Stacked, stacked
from bntui.trainer.network import Network

_aten: Final = torch.ops.aten

Gradient = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets of a mini-batch of each network: the gradient of its own mean loss by its outputs."""


def stackable(network: Network) -> bool:
    """True if networks of this form can be stacked."""
    return all(stage.kind in SUPPORTED for stage in network.stages)


class StackedNetworks:
    """The explicit engine for several networks that differ in weights only.

    From here on, their parameters and buffers are views of the stacked ones.
    """

    def __init__(
        self,
        training: Training,
        task: str,
        networks: Sequence[Network],
        draws: Draws,
        averages: Sequence[Mapping[Average, Tensor]] = (),
    ) -> None:
        """``averages`` are the states of the networks' optimizers, if they have any; see :meth:`averages`."""
        named = [network.named_parameters() for network in networks]
        device = next(iter(named[0].values())).device
        together = {name: nn.Parameter(torch.stack([own[name].detach() for own in named])) for name in named[0]}
        flat = StackedFlat(together, device)
        for name, parameter in together.items():
            for own, view in zip(named, parameter.detach().unbind(), strict=True):
                own[name].data = view
        self.optimizer = FlatOptimizer(training, flat)
        if averages:
            columns = {key: [own[key] for own in averages] for key in averages[0]}
            self.optimizer.load({key: of[0] if key.name == "step" else torch.stack(of) for key, of in columns.items()})
        self._task, self._networks, self._draws = task, networks, draws
        self._tensors = {name: parameter.detach() for name, parameter in together.items()} | _statistics(networks)
        self._gradients = flat.named_gradients
        self._counts = one_count(networks, device)
        self._ways: dict[int, _Way] = {}

    def averages(self) -> list[dict[Average, Tensor]]:
        """The state of each network's optimizer."""
        state = self.optimizer.state()
        return [
            {key: values.clone() if key.name == "step" else values[at].clone() for key, values in state.items()}
            for at in range(len(self._networks))
        ]

    def learn(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the gradients of a mini-batch of each network; gives the outputs, which the next one overwrites."""
        way = self._way(x)
        for pass_forward in way.forward:
            x = pass_forward(x)
        gradient = way.gradient(x, y)
        for pass_backward in way.backward:
            gradient = pass_backward(gradient)
        way.entry.learn(gradient)
        if self._counts is not None:
            self._counts.add_(1)
        return x

    def evaluate(self, x: Tensor) -> Tensor:
        """The outputs in evaluation mode."""
        for one in self._way(x).operations:
            x = one.evaluate(x)
        return x

    def gradient_ratios(self) -> Tensor:
        """Norm of the first layer's weight gradient divided by that of the last layer's; NaN where that is 0."""
        weights = [values for name, values in self._gradients.items() if name.endswith(".linear.weight")]
        first, last = (torch.linalg.vector_norm(values.flatten(1), dim=1) for values in (weights[0], weights[-1]))
        return torch.where(last == 0, torch.nan, first / last)

    def _way(self, x: Tensor) -> _Way:
        size = x.shape[1]
        if size not in self._ways:
            self._ways[size] = _Way(self._networks, self._tensors, self._gradients, self._draws, self._task)
        return self._ways[size]


class StackedFlat(Flat):
    """The parameters of several networks as views of one tensor, the networks along the first axis of each."""

    def clip_norm(self, largest: float) -> None:
        """See :meth:`Flat.clip_norm`; each network has its own norm."""
        parts = [values.flatten(1) for values in self.named_gradients.values()]
        norms = torch.stack([torch.linalg.vector_norm(values, dim=1) for values in parts])
        scale = torch.clamp(largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6), max=1.0)
        for values in parts:
            values.mul_(scale.unsqueeze(1))


def _statistics(networks: Sequence[Network]) -> dict[str, Tensor]:
    """The running statistics of all networks by name, of which those of each network are made views."""
    found = {}
    for stages in zip(*(network.stages for network in networks), strict=True):
        if isinstance(stages[0].module, nn.BatchNorm1d):
            for name in ("running_mean", "running_var"):
                together = torch.stack([stage.module.get_buffer(name) for stage in stages])
                for stage, own in zip(stages, together.unbind(), strict=True):
                    setattr(stage.module, name, own)
                found[f"{networks[0].layers[stages[0].layer].name}.norm.{name}"] = together
    return found


class _Way:
    """The operations of the networks for mini-batches of one size."""

    def __init__(
        self,
        networks: Sequence[Network],
        tensors: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        draws: Draws,
        task: str,
    ) -> None:
        self.operations: list[Stacked] = []
        for stages in zip(*(network.stages for network in networks), strict=True):
            prefix = f"{networks[0].layers[stages[0].layer].name}.{stages[0].kind}."
            own, store = (
                {name.removeprefix(prefix): values for name, values in whole.items() if name.startswith(prefix)}
                for whole in (tensors, gradients)
            )
            self.operations.append(stacked(stages, own, store, draws))
        at = next(at for at, one in enumerate(self.operations) if isinstance(one, Linear))
        entry = self.operations[at]
        assert isinstance(entry, Linear)
        self.entry = entry
        """The first operation with parameters; nobody needs the gradient of its input."""
        self.forward = [one.forward for one in self.operations]
        self.backward = [one.backward for one in self.operations[:at:-1]]
        self.gradient: Gradient = (_of_cross_entropy if task == "classification" else _of_squared_error)()


def _of_cross_entropy() -> Gradient:
    share: Tensor | None = None

    def gradient(output: Tensor, target: Tensor) -> Tensor:
        nonlocal share
        if share is None:
            share = output.new_full((), 1 / output.shape[1])
        logs = torch.log_softmax(output.flatten(0, 1), 1)
        each = _aten.nll_loss_backward.default(share, logs, target.flatten(), None, 2, -100, share)
        of_output: Tensor = _aten._log_softmax_backward_data.default(each, logs, 1, output.dtype)
        return of_output.view(output.shape)

    return gradient


def _of_squared_error() -> Gradient:
    share: Tensor | None = None

    def gradient(output: Tensor, target: Tensor) -> Tensor:
        nonlocal share
        if share is None:
            share = output.new_full((), 1 / output[0].numel())
        of_output: Tensor = _aten.mse_loss_backward.default(share, output, target, 2)
        return of_output

    return gradient

"""Updates flat parameters with PyTorch's fused optimizers, with the same meaning as ``trainer.optim``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from bntui.recording.evidence import Average
from bntui.scenario.training import Training
from bntui.trainer.engine.flat import Flat
from bntui.trainer.optim import EPSILON, averages_of
from bntui.trainer.probes import array

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the flat tensors whose parameters have been updated equally often."""

    values: Tensor
    gradients: Tensor
    averages: Mapping[str, Tensor]
    count: Tensor
    """Number of updates, a float32 scalar."""


class FlatOptimizer:
    """One fused update of all parameters.

    After a fork that added layers, parameters differ in their number of updates, on which Adam depends: neighbours
    with the same number are updated together.
    """

    def __init__(self, config: Training, flat: Flat) -> None:
        self._config = config
        self._flat = flat
        self._averages = {name: torch.zeros_like(flat.values) for name in averages_of(config)}
        self._moved = config.optimizer != "sgd"
        """False while momentum is 0 because no step has been taken, in which case it is not part of the state."""
        self._divide(dict.fromkeys(flat.places, 0.0))

    def _divide(self, counts: Mapping[str, float]) -> None:
        """Divide the flat tensors by the number of updates of each parameter."""
        starts = [place.start for place in self._flat.places.values()]
        each = list(counts.values())
        cuts = [at for at in range(len(each)) if at == 0 or each[at] != each[at - 1]]
        self.parts: list[_Part] = []  # another list whenever the memory of the counts is another
        self._counts: dict[str, Tensor] = {}
        names = list(counts)
        for first, after in zip(cuts, [*cuts[1:], len(each)], strict=True):
            own = slice(starts[first], starts[after] if after < len(each) else len(self._flat.values))
            averages = {name: values[own] for name, values in self._averages.items()}
            count = torch.full((), each[first], dtype=torch.float32, device=self._flat.values.device)
            self.parts.append(_Part(self._flat.values[own], self._flat.gradients[own], averages, count))
            self._counts |= dict.fromkeys(names[first:after], count)

    def step(self, lr: float) -> None:
        """Update the parameters by their gradients, clipped if configured."""
        config, gradients = self._config, self._flat.gradients
        if config.clip_norm is not None:
            self._flat.clip_norm(config.clip_norm)
        if config.clip_value is not None:
            gradients.clamp_(-config.clip_value, config.clip_value)
        for part in self.parts:
            _UPDATES[config.optimizer](config, part, lr)
        self._moved = True

    def changed_by_steps(self) -> list[Tensor]:
        """Averages and counts."""
        return [*self._averages.values(), *(part.count for part in self.parts)]

    def forget(self) -> None:
        """The next mini-batch overwrites the gradients."""

    def state(self) -> dict[Average, Tensor]:
        """Running averages and step counts of each parameter."""
        return self._state(self._flat.views, lambda count: count)

    def copied(self) -> dict[Average, NDArray[Any]]:
        """A copy of the :meth:`state`, on the CPU."""
        return self._state(self._flat.copies, lambda count: array(count).copy())

    def _state(self, parts: Callable[[Tensor], Mapping[str, T]], of_count: Callable[[Tensor], T]) -> dict[Average, T]:
        found = {
            Average(parameter, name): part
            for name, values in (self._averages.items() if self._moved else ())
            for parameter, part in parts(values).items()
        }
        if self._config.optimizer != "sgd":
            found |= {Average(parameter, "step"): of_count(count) for parameter, count in self._counts.items()}
        return found

    @torch.no_grad()
    def load(self, state: Mapping[Average, Tensor]) -> None:
        """Copy the entries of a :meth:`state` that exist in this optimizer."""
        counts = {name: float(count) for name, count in self._counts.items()}
        for (parameter, kind), tensor in state.items():
            if parameter not in self._flat.places:
                continue
            if kind == "step":
                counts[parameter] = float(tensor)
            elif kind in self._averages:
                self._flat.places[parameter].of(self._averages[kind]).copy_(tensor)
                self._moved = True
        self._divide(counts)


def _sgd(config: Training, part: _Part, lr: float) -> None:
    if not (config.momentum or config.weight_decay):
        part.values.add_(part.gradients, alpha=-lr)
        return
    momentum = list(part.averages.values())
    torch._fused_sgd_(
        [part.values], [part.gradients], momentum, weight_decay=config.weight_decay, momentum=config.momentum, lr=lr,
        dampening=0.0, nesterov=config.nesterov, maximize=False, is_first_step=False,
    )  # fmt: skip


def _adam(config: Training, part: _Part, lr: float) -> None:
    part.count.add_(1)
    fused = torch._fused_adamw_ if config.optimizer == "adamw" else torch._fused_adam_
    fused(
        [part.values], [part.gradients], [part.averages["exp_avg"]], [part.averages["exp_avg_sq"]], [], [part.count],
        lr=lr, beta1=config.betas[0], beta2=config.betas[1], weight_decay=config.weight_decay, eps=EPSILON,
        amsgrad=False, maximize=False,
    )  # fmt: skip


def _rmsprop(config: Training, part: _Part, lr: float) -> None:
    part.count.add_(1)
    gradients, squares = part.gradients, part.averages["square_avg"]
    if config.weight_decay:
        gradients.add_(part.values, alpha=config.weight_decay)
    squares.mul_(config.alpha).addcmul_(gradients, gradients, value=1 - config.alpha)
    scale = squares.sqrt().add_(EPSILON)
    if config.momentum:
        momentum = part.averages["momentum_buffer"]
        part.values.sub_(momentum.mul_(config.momentum).addcdiv_(gradients, scale), alpha=lr)
    else:
        part.values.addcdiv_(gradients, scale, value=-lr)


_UPDATES = {"sgd": _sgd, "adam": _adam, "adamw": _adam, "rmsprop": _rmsprop}

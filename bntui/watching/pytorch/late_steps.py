"""Measures the steps of optimizers that follow the first one's, which completes the measured step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from bntui.watching.pytorch.eager import untraced
from bntui.watching.pytorch.held import norm
from bntui.watching.pytorch.measured import SeenLayer


class LateSteps:
    """How far the other optimizers move the weights of some layers after a measured step; see :meth:`completed`.

    Args:
        weights: the weights that are still to be moved, by layer.
    """

    def __init__(
        self, optimizers: Sequence[Optimizer], weights: Mapping[str, nn.Parameter], guard: Callable[..., Any]
    ) -> None:
        self._guard = guard
        self._weights = weights
        self._known = {id(weight) for weight in weights.values()}
        self._before: dict[int, Tensor] = {}
        self._moved: dict[int, float] = {}
        self._handles: list[RemovableHandle] = []
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(partial(untraced(LateSteps._pre), self)))
            self._handles.append(optimizer.register_step_post_hook(partial(untraced(LateSteps._post), self)))

    def completed(self, layer: SeenLayer) -> SeenLayer:
        """A layer with the update-to-weight ratio of its optimizer's step, if there was one by now."""
        moved = self._moved.get(id(self._weights.get(layer.info.name)))
        if moved is None or not layer.captured.weight_norm:
            return layer
        captured = replace(layer.captured, update_ratio=moved / layer.captured.weight_norm)
        return replace(layer, captured=captured, absent=layer.absent - {"update_ratio"})

    def end(self) -> None:
        """Stop looking."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _pre(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002 - PyTorch calls it
        self._guard(self._keep, optimizer)

    def _keep(self, optimizer: Optimizer) -> None:
        for parameter in self._of(optimizer):
            if id(parameter) not in self._moved:
                self._before[id(parameter)] = parameter.detach().clone()

    def _post(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002 - PyTorch calls it
        self._guard(self._measure, optimizer)

    def _measure(self, optimizer: Optimizer) -> None:
        for parameter in self._of(optimizer):
            if (before := self._before.pop(id(parameter), None)) is not None:
                self._moved[id(parameter)] = float(norm(before.sub_(parameter.detach())))

    def _of(self, optimizer: Optimizer) -> list[nn.Parameter]:
        return [one for group in optimizer.param_groups for one in group["params"] if id(one) in self._known]

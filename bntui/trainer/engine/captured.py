"""Replays the steps of the explicit engine as a CUDA graph, which is launched as a whole.

A step of a small network launches some dozens of kernels, each of which takes the CPU longer than the GPU.  A graph is
captured for each size of mini-batch and learning rate that occur often enough, with the mini-batch and the draws in
memory that stays where it is.  Its kernels are those of the usual step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from bntui.trainer.engine.explicit import Explicit
from bntui.trainer.network import Stage
from bntui.trainer.stage_draws import applied

OFTEN: Final = 10
"""Steps with the same size and learning rate before one is captured."""
MOST: Final = 4
"""Graphs kept at a time; a schedule changes the learning rate in every epoch."""
WARM_UP: Final = 3
"""Steps before a capture, in which libraries allocate their memory."""

Work = Callable[[], None]
Capture = Callable[[Work], Work]
"""Does some work a few times, and gives a function that repeats it."""


def cuda_graph(work: Work) -> Work:
    """Capture work on the GPU; see PyTorch's notes on CUDA graphs."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _step in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class Captured:
    """Does steps of an engine by graphs where that is possible."""

    def __init__(
        self, engine: Explicit, draw_of: Callable[[Stage, Tensor], Tensor], capture: Capture = cuda_graph
    ) -> None:
        """``draw_of`` gives the draw of a stage in the current step, for an input of the shape of a tensor."""
        self._engine = engine
        self._draw_of = draw_of
        self._capture = capture
        self._parts = engine.optimizer.parts
        self._graphs: dict[tuple[int, float], _Graph] = {}
        self._seen: Counter[tuple[int, float]] = Counter()
        self._possible = engine.capturable

    def step(self, x: Tensor, y: Tensor, lr: float) -> tuple[Tensor, Tensor] | None:
        """Do a step and the update; gives loss and output, or None if the usual step must be done instead."""
        if not self._possible:
            return None
        if self._parts is not self._engine.optimizer.parts:  # a state was loaded into other memory
            self._graphs.clear()
            self._parts = self._engine.optimizer.parts
        key = len(x), lr
        if key not in self._graphs:
            self._seen[key] += 1
            if self._seen[key] <= OFTEN:
                return None
            if len(self._graphs) == MOST:
                self._graphs.clear()
                self._seen.clear()
            try:
                self._graphs[key] = _Graph(self._engine, self._draw_of, self._capture, x, y, lr)
            except RuntimeError:  # an operation cannot be captured on this device
                self._possible = False
                return None
        return self._graphs[key].replay(x, y)


class _Graph:
    """A captured step."""

    def __init__(
        self,
        engine: Explicit,
        draw_of: Callable[[Stage, Tensor], Tensor],
        capture: Capture,
        x: Tensor,
        y: Tensor,
        lr: float,
    ) -> None:
        self._x, self._y = x.clone(), y.clone()
        self._draw_of = draw_of
        self._draws: dict[int, tuple[Stage, Tensor, Tensor]] = {}
        """Each stage that draws, a tensor of the shape of its input, and the memory of its draw."""
        way = engine.way(self._given)
        self._loss: Tensor
        self._output: Tensor

        def work() -> None:
            self._loss, self._output = engine.learn_by(way, self._x, self._y)
            engine.optimizer.step(lr)

        changed = engine.changed_by_steps()
        before = [tensor.clone() for tensor in changed]
        try:
            self._replay = capture(work)
        finally:
            for tensor, values in zip(changed, before, strict=True):
                tensor.copy_(values)

    def replay(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The step for another mini-batch."""
        self._x.copy_(x)
        self._y.copy_(y)
        for stage, like, draw in self._draws.values():
            draw.copy_(self._draw_of(stage, like))
        self._replay()
        return self._loss.clone(), self._output.clone()  # the next replay overwrites them

    def _given(self, stage: Stage, x: Tensor) -> tuple[Tensor, Tensor]:
        if id(stage) not in self._draws:
            self._draws[id(stage)] = stage, torch.empty_like(x), self._draw_of(stage, x).clone()
        draw = self._draws[id(stage)][2]
        return applied(stage, x, draw), draw

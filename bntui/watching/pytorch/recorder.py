"""Follows a loop's steps, decides which are measured, and tells a course what was seen."""

from __future__ import annotations

import atexit
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from bntui.recording.history import LayerInfo
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.captured import Captured, CapturedStep
from bntui.watching.course import Course, Figures
from bntui.watching.pytorch.capture import Capture
from bntui.watching.pytorch.eager import Eager, eager, untraced
from bntui.watching.pytorch.kept_layers import KeptLayers
from bntui.watching.pytorch.late_steps import LateSteps
from bntui.watching.pytorch.measured import SeenLayer, layers_of
from bntui.watching.pytorch.parameters import Parameters
from bntui.watching.pytorch.plan import Plan
from bntui.watching.pytorch.progress import LoopProgress
from bntui.watching.pytorch.roles import Role
from bntui.watching.pytorch.told import FIGURES, figures_of, loss_at_once, loss_of, number_of
from bntui.watching.pytorch.told_losses import MOST_LOSSES, ToldLosses
from bntui.watching.pytorch.words import announced, not_seen, nothing_recorded, summed_up
from bntui.watching.sink import keyframes_in
from bntui.watching.trouble import warn


@dataclass(slots=True)
class _Step:
    """A measured step that was not told to the course yet."""

    number: int
    epoch: float
    layers: list[SeenLayer]
    values: tuple[Captured, ...]
    lr: float | None
    scale: float | None
    """What a gradient scaler multiplied the loss by."""
    loss: float | None = None
    """The loss, if it was told before the optimizers' steps and one of them is still to come."""


class Recorder:
    """Records the loop of some models; nothing that it does ends the loop or changes what it computes."""

    def __init__(
        self, models: Mapping[str, nn.Module], optimizers: Sequence[Optimizer], roles: Mapping[nn.Module, Role],
        course: Course, plan: Plan, scaler: Any,
    ) -> None:  # fmt: skip
        self._models = models
        self._optimizers = list(optimizers)
        self._roles = roles
        self._course = course
        self._plan = plan
        self._scaler = scaler
        self._capture: Capture | None = None
        self._elsewhere = False
        """The optimizer's steps are not those of the thread that calls the model."""
        self._passes_in: int | None = None
        """The thread of the last pass that was seen."""
        self._parameters = Parameters(roles, self._look, averaged=plan.averaged)
        if not self._optimizers and scaler is not None:  # a step is told after the scaler's update
            self._parameters.read_scale = scaler.get_scale
        self._infos: dict[Any, LayerInfo] = {}
        self._eager: Eager | None = None
        self._layers = KeptLayers()
        self._pending: _Step | None = None
        self._late: LateSteps | None = None
        self._unwritten = self._behind = False
        self._losses = ToldLosses(course.tell_losses)
        self._told_lr: Any = None
        self._progress = LoopProgress(plan)
        self._measured = 0
        self._closed = False
        self._complained = False
        self._began = time.perf_counter()
        self._spent = 0.0
        self._handle: RemovableHandle | None = None
        if self._optimizers:
            self._handle = self._optimizers[0].register_step_post_hook(partial(untraced(Recorder._after_step), self))
        self._guard(self._arm)
        atexit.register(_at_exit, weakref.ref(self))  # before that of its course

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self._course.path

    def step(self, loss: Any = None, *, lr: Any = None) -> None:
        """Tell the loss of a step, before or after the optimizer's.

        Args:
            lr: the learning rate that the step used, where the optimizer is not one of PyTorch's.
        """
        if self._closed:
            return
        self._told_lr = lr
        if not self._optimizers:
            self._after_step(None, (), {})
        if self._capture is None and self._pending is None and (value := loss_at_once(loss)) is not None:
            self._losses.waiting.append(value)  # as in most steps, which should cost next to nothing
            if len(self._losses.waiting) > MOST_LOSSES:
                self._guard(self._losses.tell)
        elif loss is not None:
            self._guard(self._tell, loss)

    def epoch(self, **figures: Any) -> None:
        """Tell the figures of an epoch that has ended: ``val_loss``, ``val_accuracy``, ``train_loss``, and so on."""
        known = self._guard(self._figures, figures) or Figures()
        if not self._closed:
            self._guard(self._end_epoch, known)
        self._guard(self._course.judge, known)

    @property
    def should_stop(self) -> bool:
        """True if the patience of the recorder's rule ran out with the last epoch; it is for the loop to stop."""
        return self._course.stopper.should_stop

    def early_stopping(
        self, *, wait: int, best: Any, patience: int, monitor: str = "val_loss", best_epoch: int | None = None,
        stopped: bool = False,
    ) -> None:  # fmt: skip
        """Tell the state of early stopping after an epoch; call it after :meth:`epoch`.

        Args:
            wait: epochs without improvement.
            best: the best value of the monitor.
            best_epoch: the epoch that gave it, the first being 1.
            stopped: the patience has run out, and training ends.
        """
        if not self._closed:
            self._guard(self._stop_early, wait, best, patience, monitor, best_epoch, stopped)

    def close(self, error: BaseException | None = None) -> None:
        """Stop looking, and close the file; what ended the loop may be given."""
        if self._closed:
            return
        self._guard(self._flush)
        self._closed = True
        self._guard(self._disarm)
        if self._late is not None:
            self._late.end()
        if self._handle is not None:
            self._handle.remove()
        with suppress(Exception):
            self._course.close(error)
            self._sum_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    # what the loop's calls lead to

    def _after_step(self, optimizer: Optimizer | None, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        if self._closed:
            return
        self._progress.steps += 1
        if self._pending is not None or self._unwritten or self._behind:
            self._guard(self._settle)
        if self._capture is not None:
            self._guard(self._measure, optimizer)
        if self._progress.due:
            self._guard(self._arm)

    def _tell(self, loss: Any) -> None:
        with self._course.complaints.mistakes("loss"):
            loss = loss_of(loss)
            self._take(loss)

    def _take(self, loss: Tensor | float) -> None:
        if self._capture is not None and self._capture.found.calls:  # the optimizer's step is still to come
            self._losses.keep_early(loss, self._capture.found.passes)
        elif self._pending is not None and self._pending.loss is None:
            self._record(number_of(loss))
        elif self._pending is not None:  # this one is the next step's
            self._record(None)
            self._losses.keep(loss)
        else:
            self._losses.keep(loss)

    def _measure(self, optimizer: Optimizer | None) -> None:
        capture, parameters = self._capture, self._parameters
        assert capture is not None
        if not capture.found.calls:
            self._elsewhere = True
            capture.look_anywhere()
            return  # the step had no forward pass in the thread looked at: look at the next one
        self._passes_in = capture.thread
        parameters.after_step(optimizer)
        if not self._scales:
            parameters.keep_others()
        with np.errstate(all="ignore"):  # the figures of a diverging network overflow
            scale = self._scale(parameters)
            calls = sorted(capture.found.calls.values(), key=lambda call: capture.found.order[call.role.name])
            found, values = layers_of(calls, parameters, scale, self._infos)
        if found and not self._layers.names:
            self._layers.begin(found, capture.found.seen, self._roles, self._optimizers)
            self._say(announced(found, self._layers.names, self.path))
        layers = self._layers.of_step(found)
        self._layers.unseen |= capture.found.unseen | {f"{name}: sharded weight" for name in parameters.sharded}
        passes = capture.found.passes
        self._disarm()
        if not layers:
            return
        used = scale if self._scales or parameters.scale is not None else None
        lr = number_of(self._told_lr) if parameters.lr is None and self._told_lr is not None else parameters.lr
        self._pending = _Step(self._progress.steps, self._progress.position, layers, values, lr, used)
        told = self._losses.of_step(passes)
        weights = {call.role.name: one for call in calls if (one := parameters.weight_of.get(call.module)) is not None}
        still = {name: one for name, one in weights.items() if id(one) not in parameters.moved and one.requires_grad}
        if still and len(self._optimizers) > 1:
            self._late = LateSteps(self._optimizers[1:], still, self._look)
            self._pending.loss = None if told is None else number_of(told)
        elif told is not None:
            self._record(number_of(told))

    def _record(self, loss: float | None) -> None:
        step, self._pending = self._pending, None
        if step is None:
            return
        loss = step.loss if loss is None else loss
        late, self._late = self._late, None
        if late is not None:
            late.end()
            step.layers = [late.completed(layer) for layer in step.layers]
        self._losses.tell()
        figures = Figures(loss=loss, lr=step.lr, gradient_scale=step.scale)
        infos = [layer.info for layer in step.layers]
        captured = CapturedStep(
            step.values, tuple(layer.captured for layer in step.layers), tuple(layer.absent for layer in step.layers)
        )
        self._course.keyframe(step.number, step.epoch, infos, captured, figures, hold=True)
        self._unwritten = True
        self._measured += 1

    def _settle(self) -> None:
        self._record(None)
        self._course.settle()
        self._unwritten, self._behind = False, self._course.behind

    def _figures(self, figures: Mapping[str, Any]) -> Figures:
        """What an epoch was told that a recording has; the rest is warned of."""
        complaints = self._course.complaints
        known = {name: value for name, value in figures.items() if name in FIGURES}
        if (other := figures.keys() - known.keys()) and not self._closed and not self._complained:
            self._complained = True
            sentence = _("epoch: {name} is not recorded; known are {names}")
            warn(sentence.format(name=clean(min(other))[:80], names=", ".join(FIGURES)))
        return Figures(**figures_of(known, lambda sentence: complaints.add("epoch", sentence)))

    def _end_epoch(self, figures: Figures) -> None:
        progress = self._progress
        if progress.epochs and not progress.in_epoch:
            sentence = _("epoch: no step was done since the last epoch; tell all figures of an epoch in one call")
            self._course.complaints.add("epoch again", sentence)
            return
        self._record(None)
        self._losses.keep_skipped()
        self._losses.tell()
        progress.end_epoch()
        if progress.length is not None and self._course.subject.steps_per_epoch != progress.length:
            self._course.amend(steps_per_epoch=progress.length)
        self._course.end_epoch(figures, step=progress.steps, number=progress.epochs)
        if progress.due:
            self._arm()

    def _stop_early(
        self, wait: Any, best: Any, patience: Any, monitor: str, best_epoch: int | None, stopped: bool
    ) -> None:
        with self._course.complaints.mistakes("early stopping"):
            self._course.early_stopping(
                wait=int(wait), best=number_of(best), patience=int(patience), monitor=monitor, best_epoch=best_epoch,
                stopped=stopped,
            )  # fmt: skip

    @property
    def _scales(self) -> bool:
        """True if there is a gradient scaler that is not switched off."""
        return self._scaler is not None and bool(getattr(self._scaler, "is_enabled", lambda: True)())

    def _scale(self, parameters: Parameters) -> float:
        if parameters.scale is not None:
            return parameters.scale
        return float(self._scaler.get_scale()) if self._scaler is not None else 1.0

    # looking

    def _arm(self) -> None:
        if self._capture is not None or not self._course.open:
            return
        thread = self._passes_in if self._elsewhere or not self._progress.steps else threading.get_ident()
        self._capture = Capture(self._roles, self._look, thread, self._parameters.look)
        self._capture.attach(list(self._models.values()), everywhere=not self._plan.compiled)
        self._parameters.attach(self._optimizers)
        self._eager = eager()

    def _disarm(self) -> None:
        if self._eager is not None:
            stance, self._eager = self._eager, None
            stance.end()
        if self._capture is not None:
            self._capture.detach()
        self._parameters.detach()
        self._capture = None

    def flush(self) -> None:
        """Tell the course what was measured, at the end of a loop that does not close its recorder."""
        if not self._closed:
            self._guard(self._flush)

    def _flush(self) -> None:
        self._record(None)
        if self._progress.in_epoch:  # the loop has gone on since the epoch that its course holds
            self._course.settle()
        self._losses.keep_skipped()
        self._losses.tell()

    def _guard(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do something whose trouble is not the loop's; it is warned of once."""
        began = time.perf_counter()
        try:
            return act(*args, **kwargs)
        except Exception as error:
            if not self._closed:
                self._give_up(error)
            return None
        finally:
            self._spent += time.perf_counter() - began

    def _look(self, act: Callable[..., Any], *args: Any) -> Any:
        """See one thing; what cannot be seen is named when the recorder closes."""
        began = time.perf_counter()
        try:
            return act(*args)
        except Exception as error:
            self._layers.unseen.add(f"{type(error).__name__}: {error}")
            return None
        finally:
            self._spent += time.perf_counter() - began

    def _give_up(self, error: Exception) -> None:
        self._closed = True
        with suppress(Exception):
            self._disarm()
        with suppress(Exception):
            self._course.close(error)
        reason = clean(f"{type(error).__name__}: {error}")
        warn(_("{reason}; nothing more is recorded, training goes on").format(reason=reason))

    def _sum_up(self) -> None:
        if not self._measured:
            whose = type(self._optimizers[0]).__name__ if self._optimizers else "recorder"
            self._say(nothing_recorded(self._progress.steps, f"{whose}.step()"))
            return
        whole = max(time.perf_counter() - self._began, 1e-9)
        if count := keyframes_in(self.path):  # a full disk has no room for all that was measured
            self._say(summed_up(count, self.path, self._spent / whole))
        for sentence in not_seen(self._roles.values(), self._layers.called, self._layers.unseen):
            self._say(sentence)

    def _say(self, sentence: str) -> None:
        if not self._plan.quiet:
            with suppress(Exception):
                print(clean(sentence), file=sys.stderr)


def _at_exit(recorder: weakref.ref[Recorder]) -> None:
    if (open_ := recorder()) is not None:
        open_.flush()

"""Records the training loop of any framework from arrays that it hands over."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from bntui.errors import UsageError
from bntui.recording.history import SAME_EPOCH, LayerInfo
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching import arrays
from bntui.watching.course import Course, Figures
from bntui.watching.layers import MeasuredLayers
from bntui.watching.name import hold_name
from bntui.watching.sink import Loop, created
from bntui.watching.stopping import plan_of
from bntui.watching.subject import LoopDescription

Arrays = Mapping[str, Any]
"""What is told of a layer: arrays, and words about it; see ``arrays.KEYS``."""


def record(
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    epochs: int | None = None,
    batch_size: int | None = None,
    task: Literal["classification", "regression"] = "classification",
    channels: Literal["first", "last"] = "first",
    **known: Any,
) -> Recorder:
    """Begin a recording, which :meth:`Recorder.close` ends; use it in a ``with`` statement.

    Args:
        path: name of the new file; by default one in bntui's folder.
        title: what the screen calls it; by default the name of the file.
        epochs: how many are planned.
        batch_size: samples of a full mini-batch.
        task: what an accuracy is: a share of right answers, or R² in a regression.
        channels: which axis of a convolution's output counts channels, the first or the last of a sample.
        known: what else a :class:`bntui.watching.subject.LoopDescription` holds: ``model``, ``optimizer``, ``device``,
            ``steps_per_epoch``, ``every``; and ``early_stopping``: a rule, :class:`bntui.EarlyStopping`, that the
            recorder applies to the figures of epochs, for :attr:`Recorder.should_stop`, or ``monitor`` and ``patience``
            of the loop's own.

    Raises:
        NameTakenError: the file exists.
        RecordingError: another process records into it.
        StorageError: the folder cannot be written.
        UsageError: an argument makes no sense.
    """
    told = {field.name for field in fields(LoopDescription)} - {"by"}
    unknown = next((key for key in known if key not in told), None)
    if unknown is not None:
        raise UsageError(_("record: there is no argument {name}").format(name=clean(unknown)[:80]))
    if channels not in ("first", "last"):
        raise UsageError(
            _("record: channels is {channels}, not first or last").format(channels=clean(repr(channels))[:80])
        )
    place = None if path is None else Path(path)
    name = title or (place.stem if place is not None else "recording")
    rule, plan = plan_of(known.pop("early_stopping", None))
    subject = LoopDescription(name, "record", task, epochs=epochs, batch_size=batch_size, early_stopping=plan, **known)
    sink = created(hold_name(place, name), subject.metadata(), Loop(os.getpid()))
    return Recorder(Course(sink, subject, rule), channels_last=channels == "last")


class Recorder:
    """Records keyframes of arrays; trouble and mistakes are warned of and never raised, once training goes on."""

    def __init__(self, course: Course, *, channels_last: bool) -> None:
        self._course = course
        self._channels_last = channels_last
        self._infos: dict[str, LayerInfo] = {}
        self._judged = False
        """The rule of early stopping has seen the epoch that ended with the last keyframe."""

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self._course.path

    @property
    def should_stop(self) -> bool:
        """True if the patience of the recorder's rule ran out with the last epoch; it is for the loop to stop."""
        return self._course.stopper.should_stop

    def keyframe(
        self,
        step: int,
        epoch: float,
        layers: Mapping[str, Arrays],
        *,
        loss: Any = None,
        lr: Any = None,
        gradient_scale: Any = None,
        train_loss: Any = None,
        train_accuracy: Any = None,
        val_loss: Any = None,
        val_accuracy: Any = None,
    ) -> None:
        """Record a measured step.

        Args:
            step: optimizer steps done with this one, 0 for the initial state.
            epoch: epochs done, whole at the end of an epoch.
            layers: for each layer, in the order of the forward pass, its arrays by name: ``input``, ``pre_activation``,
                ``normalized``, ``output``, ``weight`` (as the step found it), ``updated_weight``, ``bias``,
                ``gradient`` (of the weight), ``activation_gradient`` (of the output), ``mask`` (of the dropout); of a
                batch normalization ``batch_mean``, ``batch_var``, ``running_mean``, ``running_var``, ``gamma``,
                ``beta``, ``gamma_gradient`` and ``beta_gradient``, and the number ``eps``; and words: ``kind``,
                ``activation``, ``norm``, and the probability ``dropout``.
            loss: loss of the mini-batch.
            gradient_scale: what a gradient scaler multiplied the loss by; give gradients without it.
            train_loss: mean loss of the epoch so far; by default that of the losses told.
        """
        course = self._course
        self._judged = False
        if not course.open and course.stopper.rule is None:
            return
        with course.complaints.mistakes("keyframe"):
            figures = _figures(
                loss=loss, lr=lr, gradient_scale=gradient_scale, train_loss=train_loss, train_accuracy=train_accuracy,
                val_loss=val_loss, val_accuracy=val_accuracy,
            )  # fmt: skip
            at = arrays.number(epoch, "epoch")
            if at is None:
                raise ValueError(_("{place} is not a number: {reason}").format(place="epoch", reason=None))
            ends = at > 0 and math.isfinite(at) and abs(at - round(at)) < SAME_EPOCH
            complete = ends and figures.val_loss is not None
            if course.open:
                hold = (ends or course.waits) and not (complete and course.stopper.rule is None)
                infos, measured = self._measured(layers)
                course.keyframe(step, at, infos, measured, figures, hold=hold)
            if complete and (course.step == step or not course.open):
                self._judged = True
                course.judge(figures)

    def step(self, loss: Any) -> None:
        """Tell the loss of a step that is not recorded, so that the epoch's mean has it."""
        self._judged = False
        with self._course.complaints.mistakes("loss"):
            told = arrays.number(loss, "loss")
            if told is not None and self._course.open:
                self._course.settle()  # the step that is held was not its epoch's last one
                self._course.tell_losses([told])

    def epoch(
        self,
        *,
        step: int | None = None,
        train_loss: Any = None,
        train_accuracy: Any = None,
        val_loss: Any = None,
        val_accuracy: Any = None,
    ) -> None:
        """Record the end of an epoch.

        Args:
            step: optimizer steps done; needed unless the last keyframe was that of the epoch's last step.
        """
        course = self._course
        if not course.open and course.stopper.rule is None:
            return
        with course.complaints.mistakes("epoch"):
            figures = _figures(
                train_loss=train_loss, train_accuracy=train_accuracy, val_loss=val_loss, val_accuracy=val_accuracy
            )  # fmt: skip
            course.end_epoch(figures, step=step)
            if not self._judged:
                course.judge(figures)

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
        if not self._course.open:
            return
        with self._course.complaints.mistakes("early stopping"):
            value = arrays.number(best, "best")
            self._course.early_stopping(
                wait=wait, best=math.nan if value is None else value, patience=patience, monitor=monitor,
                best_epoch=best_epoch, stopped=stopped,
            )  # fmt: skip

    def close(self) -> None:
        """End the recording."""
        self._course.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._course.close(error)

    def _measured(self, layers: Mapping[str, Arrays]) -> tuple[list[LayerInfo], MeasuredLayers]:
        if not isinstance(layers, Mapping):
            raise ValueError(_("layers must map a name to a table of arrays"))
        last = self._channels_last
        told = [arrays.told(name, given) for name, given in layers.items()]
        infos = [self._infos.setdefault(of.name, arrays.described(of, channels_last=last)) for of in told]
        every = zip(told, infos, arrays.spread(told), strict=True)
        found = [arrays.measured(of, info, values, channels_last=last) for of, info, values in every]
        return infos, MeasuredLayers(tuple(one for one, _absent in found), tuple(absent for _one, absent in found))


def _figures(**told: Any) -> Figures:
    return Figures(**{name: arrays.number(value, name) for name, value in told.items()})

"""Puts what a training loop tells in order: keyframes, ends of epochs, early stopping, and how it ended.

Recorders of every kind say what they saw of the layers, and tell it to a :class:`Course`, which makes rows of it for a
:class:`bntui.watching.row.RowWriter`.
"""

from __future__ import annotations

import atexit
import math
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bntui.keyframe import EarlyStopping, Keyframe
from bntui.recording import sentences
from bntui.recording.history import SAME_EPOCH, Event, LayerInfo
from bntui.recording.sentences import EventKind
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.bad import BadSearch
from bntui.watching.captured import ABSENT_IF_NOT_CALLED
from bntui.watching.complaints import Complaints
from bntui.watching.layers import MeasuredLayers, StepLayers
from bntui.watching.losses import EpochLosses
from bntui.watching.row import NO_INDICES, LoopRow, RowWriter
from bntui.watching.row_order import RowOrder
from bntui.watching.stopping import EarlyStopping as Rule
from bntui.watching.stopping import Stopper
from bntui.watching.stopping_told import StoppingReport, ToldStopping
from bntui.watching.subject import LoopDescription


@dataclass(frozen=True, slots=True)
class Figures:
    """Scalars of a step or an epoch; None where the loop does not tell them."""

    loss: float | None = None
    """Loss of the step's mini-batch."""
    lr: float | None = None
    gradient_scale: float | None = None
    """What the loss was multiplied by; gradients are told without it."""
    train_loss: float | None = None
    """Mean loss of the epoch so far; by default that of the losses told."""
    train_accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None


@dataclass(slots=True)
class _Held:
    """A row that is not written yet, because more may be told of it."""

    frame: Keyframe
    layers: StepLayers
    epoch_end: bool
    events: list[Event | BadSearch]


class Course:
    """The rows of one recorded loop, in order.

    Args:
        writer: what writes them.
        rule: what decides when the loop should stop, if the recorder does.
    """

    def __init__(self, writer: RowWriter, subject: LoopDescription, rule: Rule | None = None) -> None:
        self.subject = subject
        self.stopper = Stopper(rule)
        self.complaints = Complaints()
        self._writer = writer
        self._turn = threading.RLock()
        self._began = time.monotonic()
        self._order = RowOrder(self.complaints)
        self._losses = EpochLosses()
        self._stopping = ToldStopping(subject, self.complaints)
        self._layers: tuple[LayerInfo, ...] | None = None
        """The layers of the first keyframe."""
        self._absent: tuple[frozenset[str], ...] = ()
        """Of each of them, the figures that it has never had."""
        self._held: _Held | None = None
        self.waits = False
        """Keyframes are to be held although their epoch is no whole number: the loop ends epochs after them."""
        atexit.register(self._at_exit)

    @property
    def open(self) -> bool:
        """False once nothing more will be recorded; recorders need not measure then."""
        return self._writer.open

    @property
    def behind(self) -> bool:
        """True if :meth:`settle` has more to do, without a row to write: a row is on its way to another process."""
        return self._writer.behind

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self._writer.path

    @property
    def step(self) -> int:
        """The last step that was told; -1 before the first."""
        return self._order.step

    def amend(self, **known: Any) -> None:
        """Tell more of the loop, such as ``epochs=20``: the fields of a :class:`LoopDescription`."""
        self.subject = replace(self.subject, **known)
        if self._layers is not None:
            self._writer.amend(self.subject.info(self._infos))

    def tell_losses(self, losses: Sequence[float]) -> None:
        """The losses of steps that are not recorded as keyframes, for the mean of their epoch."""
        self._losses.tell(losses)

    def keyframe(
        self,
        step: int,
        epoch: float,
        infos: Sequence[LayerInfo],
        layers: StepLayers,
        figures: Figures,
        *,
        hold: bool = False,
    ) -> None:
        """Record a measured step.

        Args:
            step: optimizer steps done, larger than at the keyframe before.
            epoch: epochs done.
            infos: what is fixed about the layers.
            layers: what was seen of them in this step.
            hold: more may be told of this step, such as the validation at its epoch's end: write it with the next
                row, or :meth:`settle`.
        """  # fmt: skip
        if not self.open:
            return
        with self._turn:
            if not (self._order.follows(step, epoch) and self._order.fits(infos, self._layers)):
                return
            figures = self._possible(figures)
            self.settle()
            self._begin(infos, layers)
            if figures.loss is not None:
                self._losses.add([figures.loss], int(step))
            frame = self._frame(step, epoch, figures)
            whole = abs(epoch - round(epoch)) < SAME_EPOCH and epoch > 0
            search = self._search(figures, step, epoch, layers=True)
            self._held = _Held(frame, layers, whole and figures.val_loss is not None, [search])
            if self._held.epoch_end:
                self._losses.begin_epoch()
            if not hold:
                self.settle()

    def end_epoch(self, figures: Figures, *, step: int | None = None, number: int | None = None) -> None:
        """Record the end of an epoch, together with the keyframe of its last step if that is held.

        Args:
            step: the last step of the epoch; by default the last that was told.
            number: epochs done; by default one more than whole ones before.
        """
        if not self.open:
            return
        with self._turn:
            held, order, figures = self._held, self._order, self._possible(figures)
            step = order.step if step is None else step
            if held is not None and held.frame.step == step:
                whole = math.ceil(held.frame.epoch - SAME_EPOCH)
                self._end_held(held, max(whole, 1) if number is None else number, figures)
            elif step < 0:
                sentence = _("no step was recorded before the end of the epoch; give it as step=")
                self.complaints.add("epoch end", sentence)
            elif step == order.step:
                self.waits = True
                sentence = _(
                    "the keyframe of step {step} is written already, so that the figures of this epoch are not "
                    "recorded; from now on, keyframes wait for the end of their epoch"
                )
                self.complaints.add("epoch end", sentence.format(step=step))
            elif order.follows(step, number or 0 if number is not None else order.epoch) and self._begun():
                number = math.floor(order.epoch + SAME_EPOCH) + 1 if number is None else number
                self.settle()
                frame = self._frame(step, number, figures)
                self._held = _Held(frame, MeasuredLayers(), True, [self._search(figures, step, number)])
            self._losses.begin_epoch()
            if self._stopping.state is None:
                self.settle()

    def early_stopping(
        self, *, wait: int, best: float, patience: int, monitor: str = "val_loss", best_epoch: int | None = None,
        stopped: bool = False,
    ) -> None:  # fmt: skip
        """Tell the state of early stopping after the epoch that has just ended.

        Args:
            best: the best value of the monitor so far.
            best_epoch: the epoch that gave it; by default the last one that was told with ``wait=0``.
            stopped: the patience has run out.
        """
        if not self.open:
            return
        if self.stopper.rule is not None:
            sentence = _("early stopping is not recorded as told: the recorder applies its own rule")
            self.complaints.add("stopping", sentence)
            return
        self._tell_stopping(StoppingReport(wait, best, patience, monitor, best_epoch, stopped))

    def judge(self, figures: Figures) -> None:
        """Apply the recorder's rule to an epoch that has ended, also where nothing is recorded any more."""
        rule = self.stopper.rule
        number = math.floor(self._order.epoch + SAME_EPOCH) if self.open else 0
        if not self.stopper.see(asdict(figures), number) and rule is not None:
            sentence = _("early stopping does not count the epoch: it was not told {monitor}")
            self.complaints.add("monitored", sentence.format(monitor=rule.monitor))
        elif rule is not None and self.open:
            self._tell_rule(rule)

    def settle(self) -> None:
        """Write the row that is held."""
        held, self._held = self._held, None
        if held is None:
            self._writer.push()
        else:
            self._writer.commit(LoopRow(held.frame, held.layers, held.epoch_end, tuple(held.events)))

    def close(self, error: BaseException | None = None) -> None:
        """Record how the loop ended, and close the file.

        Args:
            error: what ended the loop.
        """
        atexit.unregister(self._at_exit)
        if not self.open:
            return
        with self._turn:
            rule = self.stopper.rule
            # a loop that went on after the patience ran out did not stop early: its last row is another one
            if rule is not None and self.stopper.should_stop and error is None and self._held and self._held.epoch_end:
                self._tell_rule(rule, stopped=True)
            self.settle()
            if self._begun() and self.step >= 0:
                self._writer.add_events(self._ending(error))
            self._writer.close()
        self.complaints.sum_up()

    def _at_exit(self) -> None:
        self.close(getattr(sys, "last_exc", None) or getattr(sys, "last_value", None))

    def _tell_rule(self, rule: Rule, *, stopped: bool = False) -> None:
        state = self.stopper.state
        told = StoppingReport(state.wait, state.best, rule.patience, rule.monitor, state.best_epoch, stopped)
        self._tell_stopping(told)

    def _tell_stopping(self, told: StoppingReport) -> None:
        with self._turn:
            first = not self._stopping.stopped
            state = self._stopping.tell(self._order.epoch, told)
            if state is None:
                return
            before = self.subject.early_stopping or {}
            plan = {**before, "monitor": state.monitor, "patience": state.patience}
            if plan != self.subject.early_stopping:
                self.amend(early_stopping=plan)
            events = [self._stopped_event(state)] if state.stopped and first else []
            if self._held is not None:
                self._held.frame = replace(self._held.frame, early_stopping=state)
                self._held.events += events
            elif self._layers is not None:
                self._writer.add_events(events)

    def _possible(self, figures: Figures) -> Figures:
        """The figures without those that cannot be what they are called, such as an accuracy in percent."""
        wrong = []
        for name in ("train_accuracy", "val_accuracy") if self.subject.task == "classification" else ():
            value = getattr(figures, name)
            if value is not None and (value < 0 or value > 1):
                wrong.append(name)
                sentence = _("{name} is {value:g}, not a share from 0 to 1; it is not recorded")
                self.complaints.add("accuracy", sentence.format(name=name, value=value))
        if figures.gradient_scale is not None and figures.gradient_scale <= 0:
            wrong.append("gradient_scale")
            sentence = _("{name} is {value:g}, not a number above 0; it is not recorded")
            self.complaints.add("scale", sentence.format(name="gradient_scale", value=figures.gradient_scale))
        return replace(figures, **dict.fromkeys(wrong)) if wrong else figures

    def _begun(self) -> bool:
        return self._layers is not None

    def _begin(self, infos: Sequence[LayerInfo], layers: StepLayers) -> None:
        """Tell readers of the layers, and later once a figure is measured that was not before.

        What is fixed about a layer is known from the step that first calls it.
        """
        if self._layers is None:
            self._layers, self._absent = tuple(infos), layers.absent
            self._writer.begin(self.subject.info(self._infos), self.subject.budget)
        elif self._absent != layers.absent:
            absent = tuple(before & now for before, now in zip(self._absent, layers.absent, strict=True))
            if absent != self._absent:
                self._layers = tuple(
                    now if never >= ABSENT_IF_NOT_CALLED else before
                    for before, now, never in zip(self._layers, infos, self._absent, strict=True)
                )
                self._absent = absent
                self._writer.amend(self.subject.info(self._infos))

    @property
    def _infos(self) -> tuple[LayerInfo, ...]:
        """The layers of the run, each with the figures that it has never had."""
        every = zip(self._layers or (), self._absent, strict=True)
        return tuple(replace(info, absent=tuple(sorted(absent))) for info, absent in every)

    def _frame(self, step: int, epoch: float, figures: Figures) -> Keyframe:
        self._order.advance(step, epoch)
        self._losses.reach(self.step, self._order.epoch)
        train_loss = self._losses.mean() if figures.train_loss is None else figures.train_loss
        lr = math.nan if figures.lr is None or not math.isfinite(figures.lr) else float(figures.lr)
        return Keyframe(
            run=0, step=self.step, epoch=self._order.epoch, lr=lr, batch_loss=_number(figures.loss),
            train_loss=_number(train_loss), train_accuracy=_number(figures.train_accuracy),
            val_loss=_number(figures.val_loss), val_accuracy=_number(figures.val_accuracy),
            wall_time=time.monotonic() - self._began, batch_indices=NO_INDICES, layers=(),
            early_stopping=self._stopping.state, weights_digest="",
            gradient_scale=_number(figures.gradient_scale),
        )  # fmt: skip

    def _end_held(self, held: _Held, number: int, figures: Figures) -> None:
        """Add an epoch's figures to the keyframe of its last step."""
        train_loss = self._losses.mean() if figures.train_loss is None else figures.train_loss
        told: dict[str, float | None] = {
            "epoch": float(number), "lr": figures.lr, "train_loss": train_loss, "batch_loss": figures.loss,
            "train_accuracy": figures.train_accuracy, "val_loss": figures.val_loss,
            "val_accuracy": figures.val_accuracy,
        }  # fmt: skip
        known: dict[str, Any] = {key: float(value) for key, value in told.items() if value is not None}
        held.frame = replace(held.frame, **known)
        held.epoch_end, self._order.epoch = True, float(number)
        self._losses.reach(held.frame.step, float(number))
        held.events.append(self._search(figures, held.frame.step, number))

    def _search(self, figures: Figures, step: int, epoch: float, *, layers: bool = False) -> BadSearch:
        """Where an event is to name the first value of the run that is not finite."""
        step, epoch = int(step), float(epoch)  # also those of NumPy
        if figures.loss is not None:
            self._losses.watch([figures.loss], step)
        last = self._layers[-1].name if self._layers else ""
        return BadSearch(step, epoch, last, figures.loss, figures.val_loss, layers)

    def _ending(self, error: BaseException | None) -> list[Event]:
        bad, loss = self._losses.bad_step, self._losses.last
        if error is not None:
            name = "Ctrl+C" if isinstance(error, KeyboardInterrupt) else type(error).__name__
            return [self._event("interrupted", sentences.BROKEN, error=clean(name)[:100], **self._here())]
        if self._stopping.stopped:
            return []
        if bad is not None and not math.isfinite(loss):
            word = sentences.NAN if math.isnan(loss) else sentences.INFINITE
            epoch = self._order.epoch if self._losses.bad_epoch is None else self._losses.bad_epoch
            return [self._event("diverged", sentences.DIVERGED_TRAINING, loss=word, step=bad, epoch=epoch)]
        return [self._event("finished", sentences.ENDED, **self._here())]

    def _stopped_event(self, state: EarlyStopping) -> Event:
        sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
        epoch = self._order.epoch
        figures = {"epoch": math.floor(epoch + SAME_EPOCH), "monitor": state.monitor,
                   "best_epoch": state.best_epoch, "wait": state.wait, "patience": state.patience}  # fmt: skip
        return Event.of(0, self.step, epoch, "stopped_early", sentence, **figures)

    def _here(self) -> dict[str, Any]:
        return {"step": self.step, "epoch": self._order.epoch}

    @staticmethod
    def _event(kind: EventKind, sentence: str, /, *, step: int, epoch: float, **arguments: Any) -> Event:
        """An event at a step; its sentence may have the step and the epoch."""
        return Event.of(0, step, epoch, kind, sentence, step=step, epoch=epoch, **arguments)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

"""Puts what a training loop tells in order: keyframes, ends of epochs, early stopping, and how it ended.

Recorders of every kind measure layers, and tell them to a :class:`Course`, which writes them into its :class:`Sink`.
"""

from __future__ import annotations

import atexit
import math
import sys
import threading
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bntui.keyframe import EarlyStopping, Keyframe
from bntui.recording import sentences
from bntui.recording.history import SAME_EPOCH, Event, LayerInfo
from bntui.recording.sentences import EventKind
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.bad import Bad, first_bad
from bntui.watching.layers import Layer, refuse_unfit
from bntui.watching.sink import Sink
from bntui.watching.stopping import MONITORS, Stopper
from bntui.watching.stopping import EarlyStopping as Rule
from bntui.watching.subject import LoopDescription
from bntui.watching.trouble import warn


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
    epoch_end: bool
    events: list[Event]


class Course:
    """The rows of one recorded loop, in order.

    Args:
        path: name of the recording; None for a new one in the user's folder.
        rule: what decides when the loop should stop, if the recorder does.

    Raises:
        NameTakenError: the file exists.
        RecordingError: another process writes it.
        StorageError: the folder cannot be written.
    """

    def __init__(self, path: Path | None, subject: LoopDescription, rule: Rule | None = None) -> None:
        self.subject = subject
        self.stopper = Stopper(rule)
        self._sink = Sink(path, subject)
        self._turn = threading.RLock()
        self._began = time.monotonic()
        self._layers: tuple[Layer, ...] | None = None
        """The layers of the first keyframe."""
        self._held: _Held | None = None
        self.waits = False
        """Keyframes are to be held although their epoch is no whole number: the loop ends epochs after them."""
        self._stopping: EarlyStopping | None = _not_yet(subject)
        self.step = -1
        """The last step that was told; -1 before the first."""
        self.epoch = 0.0
        """Epochs done at that step."""
        self._losses = array("d")
        """Losses told since the epoch began; NumPy takes thousands of them at once, unlike those of a list."""
        self._complained: dict[str, int] = {}
        self._bad_step: int | None = None
        """The step of the first loss that is not finite."""
        self._last_loss = 0.0
        self._told_bad = False
        self._stopped = False
        atexit.register(self._at_exit)

    @property
    def open(self) -> bool:
        """False once nothing more will be recorded; recorders need not measure then."""
        return self._sink.open

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return self._sink.path

    def amend(self, **known: Any) -> None:
        """Tell more of the loop, such as ``epochs=20``: the fields of a :class:`LoopDescription`."""
        self.subject = replace(self.subject, **known)
        if self._layers is not None:
            self._sink.amend(self.subject.info(self._infos))

    def tell_loss(self, loss: float) -> None:
        """The loss of a step that is not recorded as a keyframe, for the mean of its epoch."""
        self._losses.append(float(loss))
        self._watch_loss(float(loss), self.step + 1)

    def keyframe(
        self,
        step: int,
        epoch: float,
        layers: Sequence[Layer],
        figures: Figures,
        *,
        hold: bool = False,
    ) -> None:
        """Record a measured step.

        Args:
            step: optimizer steps done, larger than at the keyframe before.
            epoch: epochs done.
            hold: more may be told of this step, such as the validation at its epoch's end: write it with the next
                row, or :meth:`settle`.
        """  # fmt: skip
        if not self.open:
            return
        with self._turn:
            if not (self._in_order(step, epoch) and self._same_layers(layers)):
                return
            self.settle()
            self._begin(layers)
            self._note_absent(layers)
            if figures.loss is not None:
                self._losses.append(figures.loss)
            frame = self._frame(step, epoch, figures)
            frame = replace(frame, layers=tuple(layer.measures for layer in layers))
            events = self._troubles(layers, figures, step, epoch)
            whole = abs(epoch - round(epoch)) < SAME_EPOCH and epoch > 0
            self._held = _Held(frame, whole and figures.val_loss is not None, events)
            if self._held.epoch_end:
                self._losses = array("d")
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
            held, step = self._held, self.step if step is None else step
            if held is not None and held.frame.step == step:
                whole = math.ceil(held.frame.epoch - SAME_EPOCH)
                self._end_held(held, max(whole, 1) if number is None else number, figures)
            elif step < 0:
                self._complain("epoch end", _("no step was recorded before the end of the epoch; give it as step="))
            elif step == self.step:
                self.waits = True
                sentence = _(
                    "the keyframe of step {step} is written already, so that the figures of this epoch are not "
                    "recorded; from now on, keyframes wait for the end of their epoch"
                )
                self._complain("epoch end", sentence.format(step=step))
            elif self._in_order(step, number or 0 if number is not None else self.epoch) and self._begun():
                number = math.floor(self.epoch + SAME_EPOCH) + 1 if number is None else number
                self.settle()
                frame = self._frame(step, number, figures)
                self._held = _Held(frame, True, self._troubles((), figures, step, number))
            self._losses = array("d")
            if self._stopping is None:
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
            self._complain("stopping", _("early stopping is not recorded as told: the recorder applies its own rule"))
            return
        self._tell_stopping(
            wait=wait, best=best, patience=patience, monitor=monitor, best_epoch=best_epoch, stopped=stopped
        )

    def judge(self, figures: Figures) -> None:
        """Apply the recorder's rule to an epoch that has ended, also where nothing is recorded any more."""
        rule = self.stopper.rule
        number = math.floor(self.epoch + SAME_EPOCH) if self.open else 0
        if not self.stopper.see(asdict(figures), number) and rule is not None:
            sentence = _("early stopping does not count the epoch: it was not told {monitor}")
            self._complain("monitored", sentence.format(monitor=rule.monitor))
        elif rule is not None and self.open:
            self._tell_rule(rule)

    def _tell_rule(self, rule: Rule, *, stopped: bool = False) -> None:
        state = self.stopper.state
        self._tell_stopping(
            wait=state.wait, best=state.best, patience=rule.patience, monitor=rule.monitor,
            best_epoch=state.best_epoch, stopped=stopped,
        )  # fmt: skip

    def _tell_stopping(
        self, *, wait: int, best: float, patience: int, monitor: str, best_epoch: int | None, stopped: bool
    ) -> None:
        with self._turn:
            known = MONITORS.get(monitor)
            if known is None:
                sentence = _("early stopping monitors {monitor}, which is not recorded; use one of {names}")
                self._complain("monitor", sentence.format(monitor=clean(str(monitor)), names=", ".join(MONITORS)))
                return
            wait, patience = int(wait), int(patience)
            if min(wait, patience, best_epoch or 0) < 0:
                sentence = _("early stopping has wait={wait}, patience={patience}; numbers of epochs start from 0")
                self._complain("early stopping", sentence.format(wait=wait, patience=patience))
                return
            told = {"monitor": known, "patience": patience}
            if {**(self.subject.early_stopping or {}), **told} != self.subject.early_stopping:
                self.amend(early_stopping={**(self.subject.early_stopping or {}), **told})
            before = self._stopping
            epoch = math.floor(self.epoch + SAME_EPOCH)
            if best_epoch is None:
                best_epoch = epoch if wait == 0 or before is None else before.best_epoch
            state = EarlyStopping(known, float(best), int(best_epoch), wait, patience, bool(stopped), "")
            self._stopping = replace(state, reason=_reason(state))
            events = [self._stopped_event(self._stopping)] if stopped and not self._stopped else []
            self._stopped = self._stopped or stopped
            if self._held is not None:
                self._held.frame = replace(self._held.frame, early_stopping=self._stopping)
                self._held.events += events
            elif self._layers is not None:
                self._sink.add_events(events)

    def settle(self) -> None:
        """Write the row that is held."""
        held, self._held = self._held, None
        if held is not None:
            self._sink.commit(held.frame, epoch_end=held.epoch_end, events=held.events)

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
                self._sink.add_events(self._ending(error))
            self._sink.close()
        skipped = sum(self._complained.values())
        if skipped > len(self._complained):
            warn(_("{count} calls of the recorder could not be recorded").format(count=skipped))

    def _at_exit(self) -> None:
        self.close(getattr(sys, "last_exc", None) or getattr(sys, "last_value", None))

    @contextmanager
    def mistakes(self, what: str) -> Iterator[None]:
        """Warn of the first mistake in what the loop tells, instead of raising it."""
        try:
            yield
        except Exception as error:
            self._complain(what, _("{what} not recorded: {reason}").format(what=what, reason=clean(str(error))))

    def _begun(self) -> bool:
        return self._layers is not None

    def _begin(self, layers: Sequence[Layer]) -> None:
        if self._layers is None:
            self._layers = tuple(layers)
            self._sink.begin(self.subject.info(self._infos), self.subject.budget)

    def _note_absent(self, layers: Sequence[Layer]) -> None:
        """Tell readers once a figure is measured that was not before."""
        assert self._layers is not None
        if all(before.absent <= now.absent for before, now in zip(self._layers, layers, strict=True)):
            return
        self._layers = tuple(
            replace(before, absent=before.absent & now.absent) for before, now in zip(self._layers, layers, strict=True)
        )
        self._sink.amend(self.subject.info(self._infos))

    @property
    def _infos(self) -> tuple[LayerInfo, ...]:
        """The layers of the run, each with the figures that it has never had."""
        return tuple(replace(layer.info, absent=tuple(sorted(layer.absent))) for layer in self._layers or ())

    def _in_order(self, step: int, epoch: float) -> bool:
        """True if a row may follow; complains otherwise."""
        if isinstance(step, bool) or not isinstance(step, int | np.integer) or not 0 <= step < 2**53:
            sentence = _("step is {step!r}, not a whole number from 0; the keyframe is not recorded")
            return self._complain("step", sentence.format(step=step))
        if not isinstance(epoch, float | int | np.floating | np.integer) or not 0 <= epoch < 2**53:
            sentence = _("epoch is {epoch!r}, not a number from 0; the keyframe is not recorded")
            return self._complain("epoch", sentence.format(epoch=epoch))
        if step <= self.step:
            sentence = _("step {step} follows step {before}; steps must ascend, so it is not recorded")
            return self._complain("order", sentence.format(step=step, before=self.step))
        if epoch < self.epoch - SAME_EPOCH:
            sentence = _("epoch {epoch:g} follows epoch {before:g}; epochs must not descend, so it is not recorded")
            return self._complain("epoch order", sentence.format(epoch=epoch, before=self.epoch))
        return True

    def _same_layers(self, layers: Sequence[Layer]) -> bool:
        if self._layers is None:
            try:
                refuse_unfit([layer.info for layer in layers])
            except ValueError as error:
                sentence = _("{reason}; the keyframe is not recorded")
                return self._complain("layers", sentence.format(reason=clean(str(error))))
            return True
        before, after = ([layer.info.name for layer in of] for of in (self._layers, layers))
        if before != after:
            gone, new = (next((name for name in one if name not in other), "") for one, other in
                         ((before, after), (after, before)))  # fmt: skip
            sentence = _(
                "the layers differ from those of the first keyframe, from {name}; the keyframe is not recorded"
            )
            return self._complain("layers", sentence.format(name=gone or new or after[0]))
        return True

    def _frame(self, step: int, epoch: float, figures: Figures) -> Keyframe:
        self.step, self.epoch = int(step), max(self.epoch, float(epoch))
        train_loss = self._train_loss(figures)
        lr = math.nan if figures.lr is None or not math.isfinite(figures.lr) else float(figures.lr)
        return Keyframe(
            run=0, step=self.step, epoch=self.epoch, lr=lr, batch_loss=_number(figures.loss),
            train_loss=_number(train_loss), train_accuracy=_number(figures.train_accuracy),
            val_loss=_number(figures.val_loss), val_accuracy=_number(figures.val_accuracy),
            wall_time=time.monotonic() - self._began, batch_indices=np.empty(0, np.int64), layers=(),
            early_stopping=self._stopping, weights_digest="",
            gradient_scale=_number(figures.gradient_scale),
        )  # fmt: skip

    def _train_loss(self, figures: Figures) -> float | None:
        if figures.train_loss is not None or not self._losses:
            return figures.train_loss
        return float(np.mean(np.array(self._losses)))

    def _end_held(self, held: _Held, number: int, figures: Figures) -> None:
        """Add an epoch's figures to the keyframe of its last step."""
        train_loss = self._train_loss(figures)
        told: dict[str, float | None] = {
            "epoch": float(number), "lr": figures.lr, "train_loss": train_loss, "batch_loss": figures.loss,
            "train_accuracy": figures.train_accuracy, "val_loss": figures.val_loss,
            "val_accuracy": figures.val_accuracy,
        }  # fmt: skip
        known: dict[str, Any] = {key: float(value) for key, value in told.items() if value is not None}
        held.frame = replace(held.frame, **known)
        held.epoch_end, self.epoch = True, float(number)
        held.events += self._troubles((), figures, held.frame.step, number)

    def _watch_loss(self, loss: float, step: int) -> None:
        self._last_loss = loss
        if self._bad_step is None and not math.isfinite(loss):
            self._bad_step = step

    def _troubles(self, layers: Sequence[Layer], figures: Figures, step: int, epoch: float) -> list[Event]:
        """An event that names the first value of the run that is not finite, once."""
        if figures.loss is not None:
            self._watch_loss(figures.loss, step)
        if self._told_bad:
            return []
        last = self._layers[-1].info.name if self._layers else ""
        found: Bad | None = first_bad(layers, last, figures.loss, figures.val_loss)
        if found is None:
            return []
        self._told_bad = True
        return [self._event("first_bad", sentences.FIRST_BAD, step=step, epoch=epoch, **found.arguments())]

    def _ending(self, error: BaseException | None) -> list[Event]:
        loss = self._last_loss
        if error is not None:
            name = "Ctrl+C" if isinstance(error, KeyboardInterrupt) else type(error).__name__
            return [self._event("interrupted", sentences.BROKEN, error=clean(name)[:100], **self._here())]
        if self._stopped:
            return []
        if self._bad_step is not None and not math.isfinite(loss):
            word = sentences.NAN if math.isnan(loss) else sentences.INFINITE
            return [self._event("diverged", sentences.DIVERGED_TRAINING, loss=word, **self._here(self._bad_step))]
        return [self._event("finished", sentences.ENDED, **self._here())]

    def _stopped_event(self, state: EarlyStopping) -> Event:
        sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
        figures = {"epoch": math.floor(self.epoch + SAME_EPOCH), "monitor": state.monitor,
                   "best_epoch": state.best_epoch, "wait": state.wait, "patience": state.patience}  # fmt: skip
        return Event.of(0, self.step, self.epoch, "stopped_early", sentence, **figures)

    def _here(self, step: int | None = None) -> dict[str, Any]:
        return {"step": self.step if step is None else step, "epoch": self.epoch}

    @staticmethod
    def _event(kind: EventKind, sentence: str, /, *, step: int, epoch: float, **arguments: Any) -> Event:
        """An event at a step; its sentence may have the step and the epoch."""
        return Event.of(0, step, epoch, kind, sentence, step=step, epoch=epoch, **arguments)

    def _complain(self, kind: str, sentence: str) -> bool:
        """Warn of a mistake in the loop, the first time; returns False."""
        self._complained[kind] = self._complained.get(kind, 0) + 1
        if self._complained[kind] == 1:
            warn(sentence)
        return False


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _not_yet(subject: LoopDescription) -> EarlyStopping | None:
    """The state of early stopping before the first epoch, if the loop has it."""
    told = subject.early_stopping
    if told is None:
        return None
    return EarlyStopping(str(told["monitor"]), math.nan, 0, 0, int(told["patience"]), False, "")


def _reason(state: EarlyStopping) -> str:
    """Why early stopping ended the loop, in English, because it is recorded."""
    if not state.stopped:
        return ""
    sentence = sentences.WAITED if state.best_epoch else sentences.WAITED_ALL
    return sentence.format(
        monitor=state.monitor, best_epoch=state.best_epoch, wait=state.wait, patience=state.patience
    )  # fmt: skip

"""Checks and keeps the state of early stopping that a loop tells, or that the recorder's own rule gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bntui.keyframe import EarlyStopping
from bntui.recording import sentences
from bntui.recording.history import SAME_EPOCH
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.complaints import Complaints
from bntui.watching.stopping import MONITORS
from bntui.watching.subject import LoopDescription


@dataclass(frozen=True, slots=True)
class StoppingReport:
    """What is told of early stopping after an epoch."""

    wait: int
    best: float
    patience: int
    monitor: str
    best_epoch: int | None
    """None for the last epoch that was told with ``wait=0``."""
    stopped: bool


class ToldStopping:
    """The state of early stopping, as it was told last."""

    def __init__(self, subject: LoopDescription, complaints: Complaints) -> None:
        self._complaints = complaints
        self.state = _not_yet(subject)
        """None as long as the loop is not known to have early stopping."""
        self.stopped = False
        """The patience has run out."""

    def tell(self, position: float, told: StoppingReport) -> EarlyStopping | None:
        """The state after so many epochs; None if it cannot be recorded, of which it complains."""
        epoch = math.floor(position + SAME_EPOCH)
        known = MONITORS.get(told.monitor)
        if known is None:
            sentence = _("early stopping monitors {monitor}, which is not recorded; use one of {names}")
            names = ", ".join(MONITORS)
            self._complaints.add("monitor", sentence.format(monitor=clean(str(told.monitor)), names=names))
            return None
        wait, patience, best_epoch = int(told.wait), int(told.patience), told.best_epoch
        if min(wait, patience, best_epoch or 0) < 0:
            sentence = _("early stopping has wait={wait}, patience={patience}; numbers of epochs start from 0")
            self._complaints.add("early stopping", sentence.format(wait=wait, patience=patience))
            return None
        if best_epoch is None:
            best_epoch = epoch if wait == 0 or self.state is None else self.state.best_epoch
        best_epoch, before = int(best_epoch), self.state
        if best_epoch > math.ceil(position - SAME_EPOCH) or (before is not None and best_epoch < before.best_epoch):
            sentence = _(
                "early stopping has best_epoch={best}, but the last epoch is {epoch}, and best_epoch was {before}; "
                "the state is not recorded"
            )
            was = 0 if before is None else before.best_epoch
            self._complaints.add("best epoch", sentence.format(best=best_epoch, epoch=epoch, before=was))
            return None
        if before is not None and best_epoch == before.best_epoch and 0 < wait < before.wait:
            sentence = _(
                "early stopping has wait={wait} after wait={before}, without another best epoch; "
                "the state is not recorded"
            )
            self._complaints.add("wait", sentence.format(wait=wait, before=before.wait))
            return None
        state = EarlyStopping(known, float(told.best), best_epoch, wait, patience, bool(told.stopped), "")
        self.state = replace(state, reason=_reason(state))
        self.stopped = self.stopped or state.stopped
        return self.state


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

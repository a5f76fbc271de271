"""Checks and keeps the state of early stopping that a loop tells, or that the recorder's own rule gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from bntui.keyframe import EarlyStopping
from bntui.recording import sentences
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

    def tell(self, epoch: int, told: StoppingReport) -> EarlyStopping | None:
        """The state after an epoch; None if it cannot be recorded, of which it complains."""
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
        state = EarlyStopping(known, float(told.best), int(best_epoch), wait, patience, bool(told.stopped), "")
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

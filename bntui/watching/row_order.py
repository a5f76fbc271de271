"""Checks that the rows of a loop follow one another: steps ascend, epochs do not descend, and layers stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bntui.recording.history import SAME_EPOCH, LayerInfo
from bntui.text.language import _
from bntui.text.output import clean
from bntui.watching.complaints import Complaints
from bntui.watching.layers import refuse_unfit

_WHOLE: Final = (int, np.integer)
_REAL: Final = (float, int, np.floating, np.integer)


class RowOrder:
    """Where a loop has got to; it complains of what cannot follow."""

    def __init__(self, complaints: Complaints) -> None:
        self._complaints = complaints
        self.step = -1
        """The last step that was told; -1 before the first."""
        self.epoch = 0.0
        """Epochs done at that step."""

    def advance(self, step: int, epoch: float) -> None:
        """A row follows."""
        self.step, self.epoch = int(step), max(self.epoch, float(epoch))

    def follows(self, step: int, epoch: float) -> bool:
        """True if a row may follow; complains otherwise."""
        if isinstance(step, bool) or not isinstance(step, _WHOLE) or not 0 <= step < 2**53:
            sentence = _("step is {step!r}, not a whole number from 0; the keyframe is not recorded")
            return self._complain("step", sentence.format(step=step))
        if not isinstance(epoch, _REAL) or not 0 <= epoch < 2**53:
            sentence = _("epoch is {epoch!r}, not a number from 0; the keyframe is not recorded")
            return self._complain("epoch", sentence.format(epoch=epoch))
        if step <= self.step:
            sentence = _("step {step} follows step {before}; steps must ascend, so it is not recorded")
            return self._complain("order", sentence.format(step=step, before=self.step))
        if epoch < self.epoch - SAME_EPOCH:
            sentence = _("epoch {epoch:g} follows epoch {before:g}; epochs must not descend, so it is not recorded")
            return self._complain("epoch order", sentence.format(epoch=epoch, before=self.epoch))
        return True

    def fits(self, layers: Sequence[LayerInfo], first: Sequence[LayerInfo] | None) -> bool:
        """True if these layers may be recorded; complains otherwise.

        Args:
            first: those of the first keyframe, if there was one.
        """
        if first is None:
            try:
                refuse_unfit(layers)
            except ValueError as error:
                sentence = _("{reason}; the keyframe is not recorded")
                return self._complain("layers", sentence.format(reason=clean(str(error))))
            return True
        if tuple(layers) == first:
            return True
        before, after = ([layer.name for layer in of] for of in (first, layers))
        if before != after:
            gone, new = (next((name for name in one if name not in other), "") for one, other in
                         ((before, after), (after, before)))  # fmt: skip
            sentence = _(
                "the layers differ from those of the first keyframe, from {name}; the keyframe is not recorded"
            )
            return self._complain("layers", sentence.format(name=gone or new or after[0]))
        return True

    def _complain(self, kind: str, sentence: str) -> bool:
        self._complaints.add(kind, sentence)
        return False

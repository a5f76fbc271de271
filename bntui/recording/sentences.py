"""What happened to a run, in a sentence: recorded in English with its figures, said in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bntui.keyframe import EarlyStopping
from bntui.text.language import N_, _

WAITED: Final = N_("{monitor} has not improved since epoch {best_epoch}: waited {wait}, patience is {patience}")
WAITED_ALL: Final = N_("{monitor} has not improved at all: waited {wait}, patience is {patience}")
WAITED_BASELINE: Final = N_(
    "{monitor} has not beaten the baseline {baseline:g}: best {best:.6g} at epoch {best_epoch}; waited {wait}, "
    "patience is {patience}"
)
STOPPED: Final = N_(
    "stopped at epoch {epoch}: {monitor} has not improved since epoch {best_epoch}; waited {wait}, "
    "patience is {patience}"
)
STOPPED_ALL: Final = N_(
    "stopped at epoch {epoch}: {monitor} has not improved at all; waited {wait}, patience is {patience}"
)
STOPPED_BASELINE: Final = N_(
    "stopped at epoch {epoch}: {monitor} has not beaten the baseline {baseline:g}; best {best:.6g} at epoch "
    "{best_epoch}, waited {wait}, patience is {patience}"
)
FINISHED: Final = N_("finished after {epochs} epochs")
RESTORED: Final = N_("restored the weights of epoch {epoch}")
INTERRUPTED: Final = N_("stopped by hand at epoch {epoch:g}")
DIVERGED_INITIAL: Final = N_("the loss of the initial network is {loss}")
DIVERGED_TRAINING: Final = N_("the training loss became {loss} at step {step}")
DIVERGED_VALIDATION: Final = N_("the validation loss became {loss} at step {step}")
RESUMED: Final = N_("resumed at epoch {epoch:g}")
RESUMED_ELSEWHERE: Final = N_("resumed at epoch {epoch:g} with {now} instead of {before}: bits may differ")
DEPARTED: Final = N_("from step {step} on the weights are no longer those that were recorded")
FIRST_BAD: Final = N_("first {value} value at step {step}: {quantity} of layer {layer}")
DIED: Final = N_("the gradient of layer {layer} died at step {step}: {ratio:.1e} of the last layer's")
DIED_UNITS: Final = N_(
    "the gradient of layer {layer} died at step {step}: all its units give 0, and no training sample gives it a "
    "gradient"
)
DIED_ZERO: Final = N_("the gradient of layer {layer} died at step {step}: it is exactly 0 for every training sample")
DEAD_INITIAL: Final = N_("the gradient of layer {layer} is dead from the start: {ratio:.1e} of the last layer's")
DEAD_UNITS_INITIAL: Final = N_(
    "the gradient of layer {layer} is dead from the start: all its units give 0, and no training sample gives it a "
    "gradient"
)
DEAD_ZERO_INITIAL: Final = N_(
    "the gradient of layer {layer} is dead from the start: it is exactly 0 for every training sample"
)
DEAD_BELOW: Final = 1e-8
"""A layer's gradient is dead when the norm of its weight's is below this share of the last layer's, or exactly 0."""
NAN: Final = N_("NaN")
INFINITE: Final = N_("infinite")

SENTENCES: Final = {
    "stopped_early": (STOPPED, STOPPED_ALL, STOPPED_BASELINE),
    "finished": (FINISHED,),
    "restored_best": (RESTORED,),
    "interrupted": (INTERRUPTED,),
    "resumed": (RESUMED, RESUMED_ELSEWHERE),
    "departed": (DEPARTED,),
    "first_bad": (FIRST_BAD,),
    "died": (DIED, DIED_UNITS, DIED_ZERO, DEAD_INITIAL, DEAD_UNITS_INITIAL, DEAD_ZERO_INITIAL),
    "diverged": (DIVERGED_INITIAL, DIVERGED_TRAINING, DIVERGED_VALIDATION),
}
"""What an event of each kind may say."""


def said(kind: str, message: str, arguments: Mapping[str, Any]) -> str:
    """A recorded sentence in the language in use; as it stands where it is none that this version records.

    Only sentences of this module are ever filled in: a recording is a stranger's file.
    """
    for sentence in SENTENCES.get(kind, ()):
        try:
            if sentence.format(**arguments) == message:
                words = {name: _(arguments[name]) for name in ("loss", "value", "quantity") if name in arguments}
                return _(sentence).format(**{**arguments, **words})
        except (LookupError, ValueError, TypeError, AttributeError):
            continue
    return message


def why_stopped(stopping: EarlyStopping, baseline: float | None = None) -> str:
    """Why early stopping ended a run, from its figures and the run's baseline; empty while it has not."""
    if not stopping.stopped:
        return ""
    figures = {
        "monitor": stopping.monitor, "best_epoch": stopping.best_epoch, "best": stopping.best, "wait": stopping.wait,
        "patience": stopping.patience, "baseline": baseline,
    }  # fmt: skip
    if baseline is not None and WAITED_BASELINE.format(**figures) == stopping.reason:
        return _(WAITED_BASELINE).format(**figures)
    return _(WAITED if stopping.best_epoch else WAITED_ALL).format(**figures)

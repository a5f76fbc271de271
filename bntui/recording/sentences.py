"""Declares the kinds of events: what each means for a run, how it is shown, and its sentences.

A sentence is recorded in English with its figures, and said in the reader's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from bntui.keyframe import EarlyStopping, Foreign
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
WEIGHT_GRADIENT: Final = N_("weight gradient")
ACTIVATION_GRADIENT: Final = N_("activation gradient")
BACKWARD: Final = (WEIGHT_GRADIENT, ACTIVATION_GRADIENT)
"""Quantities of the backward pass, as the first bad value names them."""

EventKind = Literal[
    "stopped_early", "finished", "restored_best", "interrupted", "resumed", "departed", "first_bad", "died", "diverged"
]
"""Every kind of event that this version records."""
Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class EventTraits:
    """All that depends on the kind of an event; the one place to look for it, and to add to."""

    sentences: tuple[str, ...] = ()
    """What an event of this kind may say."""
    ends: Literal["run", "session"] | None = None
    """Whether the run is over after it, or only this session of training, so that the run can be resumed."""
    trouble: bool = False
    """It says where the run went wrong first: a step and a layer."""
    wrong: bool = False
    """It is drawn in the colour of what is wrong."""
    severity: Severity | None = None
    """How loud its notice is; None where there is none."""
    mark: str = "·"
    """Its sign; never a run's."""
    charted: bool = False
    """Its mark stands on curves and on the timeline."""
    word: str = ""
    """What happened, in a word or two; empty where only the sentence says it."""


EVENT_KINDS: Final[Mapping[EventKind, EventTraits]] = {
    "stopped_early": EventTraits(
        (STOPPED, STOPPED_ALL, STOPPED_BASELINE),
        ends="run", severity="information", mark="▣", charted=True, word=N_("stopped early"),
    ),
    "finished": EventTraits((FINISHED,), ends="run", mark="✓", word=N_("finished")),
    "restored_best": EventTraits((RESTORED,)),
    "interrupted": EventTraits((INTERRUPTED,), ends="session", severity="warning", word=N_("stopped")),
    "resumed": EventTraits((RESUMED, RESUMED_ELSEWHERE), severity="information"),
    "departed": EventTraits((DEPARTED,), severity="warning"),
    "first_bad": EventTraits(
        (FIRST_BAD,),
        trouble=True, wrong=True, severity="error", mark="!", charted=True, word=N_("first bad value"),
    ),
    "died": EventTraits(
        (DIED, DIED_UNITS, DIED_ZERO, DEAD_INITIAL, DEAD_UNITS_INITIAL, DEAD_ZERO_INITIAL),
        trouble=True, severity="warning", mark="!", charted=True, word=N_("gradient died"),
    ),
    "diverged": EventTraits(
        (DIVERGED_INITIAL, DIVERGED_TRAINING, DIVERGED_VALIDATION),
        ends="run", wrong=True, severity="error", mark="✕", charted=True, word=N_("diverged"),
    ),
}  # fmt: skip
"""The declaration of every kind of event."""
_FOREIGN: Final = EventTraits()
SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {kind: one.sentences for kind, one in EVENT_KINDS.items()}
TROUBLES: Final = tuple(kind for kind, one in EVENT_KINDS.items() if one.trouble)


def event_kind(word: str) -> EventKind | Foreign:
    """The kind of an event as it stands in a recording."""
    return next((kind for kind in EVENT_KINDS if kind == word), Foreign(word))


def traits(kind: EventKind | Foreign) -> EventTraits:
    """The traits of a kind; none in particular for one that this version does not know."""
    return EVENT_KINDS.get(cast(EventKind, kind), _FOREIGN)


def is_over(kinds: Iterable[EventKind | Foreign]) -> bool:
    """Whether a run with events of these kinds is over; one that is not can be resumed."""
    return any(traits(kind).ends == "run" for kind in kinds)


def said(kind: EventKind | Foreign, message: str, arguments: Mapping[str, Any]) -> str:
    """A recorded sentence in the language in use; as it stands where it is none that this version records.

    Only sentences of this module are ever filled in: a recording is a stranger's file.
    """
    for sentence in traits(kind).sentences:
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

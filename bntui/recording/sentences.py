"""Declares the kinds of events: what each means for a run, how it is displayed, and its sentences.

Sentences are recorded in English with their figures, and displayed in the user's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from bntui.keyframe import OUTPUT, EarlyStopping, Foreign
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
FINISHED_ONE: Final = N_("finished after {epochs} epoch")
"""How :data:`FINISHED` is displayed for one epoch; recordings have the one sentence."""
RESTORED: Final = N_("restored the weights of epoch {epoch}")
INTERRUPTED: Final = N_("stopped by the user at epoch {epoch:g}")
INTERRUPTED_BEFORE: Final = "stopped by hand at epoch {epoch:g}"
"""How earlier versions recorded :data:`INTERRUPTED`."""
ENDED: Final = N_("the training loop ended at epoch {epoch:g}")
BROKEN: Final = N_("the training loop ended with {error} at epoch {epoch:g}")
DIVERGED_INITIAL: Final = N_("the loss of the initial network is {loss}")
DIVERGED_TRAINING: Final = N_("the training loss became {loss} at step {step}")
DIVERGED_VALIDATION: Final = N_("the validation loss became {loss} at step {step}")
RESUMED: Final = N_("resumed at epoch {epoch:g}")
RESUMED_ELSEWHERE: Final = N_("resumed at epoch {epoch:g} with {now} instead of {before}: bits may differ")
DEPARTED: Final = N_("from step {step} on the weights are no longer those that were recorded")
FIRST_BAD: Final = N_("first {value} value at step {step}: {quantity} of layer {layer}")
FIRST_BAD_OUTPUT: Final = N_("first {value} value at step {step}: {quantity} of the output layer")
FIRST_BAD_LOSS: Final = N_("first {value} value at step {step}: the {quantity}")
"""How :data:`FIRST_BAD` is displayed where it names the output layer; recordings have the one sentence."""
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
"""A layer's gradient is dead if its norm is below this share of the last layer's, or exactly 0."""
NOTE: Final = N_("note: {text}")
LONGEST_NOTE: Final = 500
"""Maximum length of a note in characters."""
NAN: Final = N_("NaN")
INFINITE: Final = N_("infinite")
WEIGHT_GRADIENT: Final = N_("weight gradient")
ACTIVATION_GRADIENT: Final = N_("activation gradient")
LOSS: Final = N_("loss")
VALIDATION_LOSS: Final = N_("validation loss")
LOSSES: Final = (LOSS, VALIDATION_LOSS)
"""Quantities that an event records for the output layer, but that are those of the whole network."""
QUANTITY_WORDS: Final = {
    "input": N_("input"),
    "pre_norm": N_("pre-activation"),
    "normalized": N_("normalized values"),
    "output": N_("output"),
}
"""How an event ``first_bad`` names a layer's quantities."""
BACKWARD: Final = (WEIGHT_GRADIENT, ACTIVATION_GRADIENT)
"""Quantities of the backward pass, as named in the event ``first_bad``."""

EventKind = Literal[
    "stopped_early",
    "finished",
    "restored_best",
    "interrupted",
    "resumed",
    "departed",
    "first_bad",
    "died",
    "diverged",
    "noted",
]
"""Every kind of event that this version records."""
Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class EventTraits:
    """Everything that depends on the kind of an event."""

    sentences: tuple[str, ...] = ()
    """The sentences that an event of this kind may record."""
    ends: Literal["run", "session"] | None = None
    """``run`` if the event ends the run, ``session`` if it only ends this training session and the run can be
    resumed."""
    trouble: bool = False
    """The event locates where the run first went wrong: a step and a layer."""
    wrong: bool = False
    """The event is drawn in the error color."""
    severity: Severity | None = None
    """Severity of the notification; None if there is none."""
    mark: str = "·"
    """Symbol of the event; different from those of runs."""
    charted: bool = False
    """The mark is drawn on curves and on the timeline."""
    word: str = ""
    """What happened, in one or two words; empty if only the sentence says it."""


EVENT_KINDS: Final[Mapping[EventKind, EventTraits]] = {
    "stopped_early": EventTraits(
        (STOPPED, STOPPED_ALL, STOPPED_BASELINE),
        ends="run", severity="information", mark="▣", charted=True, word=N_("stopped early"),
    ),
    "finished": EventTraits((FINISHED, ENDED), ends="run", mark="✓", word=N_("finished")),
    "restored_best": EventTraits((RESTORED,)),
    "interrupted": EventTraits(
        (INTERRUPTED, INTERRUPTED_BEFORE, BROKEN), ends="session", severity="warning", word=N_("stopped")
    ),
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
    "noted": EventTraits((NOTE,), mark="✎", charted=True, word=N_("note")),
}  # fmt: skip
"""The traits of every kind of event."""
_FOREIGN: Final = EventTraits()
SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {kind: one.sentences for kind, one in EVENT_KINDS.items()}
TROUBLES: Final = tuple(kind for kind, one in EVENT_KINDS.items() if one.trouble)


def event_kind(word: str) -> EventKind | Foreign:
    """The kind of an event from its recorded name."""
    return next((kind for kind in EVENT_KINDS if kind == word), Foreign(word))


def traits(kind: EventKind | Foreign) -> EventTraits:
    """The traits of a kind; the defaults for a kind that this version does not know."""
    return EVENT_KINDS.get(cast(EventKind, kind), _FOREIGN)


def is_over(kinds: Iterable[EventKind | Foreign]) -> bool:
    """True if a run with events of these kinds is over; otherwise it can be resumed."""
    return any(traits(kind).ends == "run" for kind in kinds)


def outcome(runs: Iterable[Iterable[EventKind | Foreign]]) -> EventKind | Foreign:
    """How the training of runs with events of these kinds ended.

    ``interrupted`` if one of them can be resumed; what ended all of them, if they ended alike; else ``finished``.
    """
    ends = {next((kind for kind in kinds if traits(kind).ends == "run"), None) for kinds in runs}
    if not ends or None in ends:  # no runs: its trainer was killed before it began
        return "interrupted"
    return next((kind for kind in ends if kind is not None and len(ends) == 1), "finished")


def ending_word(ending: EventKind | Foreign) -> str:
    """How a training ended, as :func:`outcome` gives it, in one or two words."""
    return _("interrupted") if ending == "interrupted" else _(traits(ending).word)


def said(kind: EventKind | Foreign, message: str, arguments: Mapping[str, Any]) -> str:
    """A recorded sentence in the current language; unchanged if this version does not know it.

    Only sentences of this module are used as format strings, because recordings are untrusted.
    """
    for sentence in traits(kind).sentences:
        try:
            if sentence.format(**arguments) == message:
                words = {name: _(arguments[name]) for name in ("loss", "value", "quantity") if name in arguments}
                return _(_displayed(sentence, arguments)).format(**{**arguments, **words})
        except (LookupError, ValueError, TypeError, AttributeError):
            continue
    return message


def _displayed(sentence: str, arguments: Mapping[str, Any]) -> str:
    """The sentence that is displayed in place of a recorded one."""
    if sentence == INTERRUPTED_BEFORE:
        return INTERRUPTED
    if sentence == FINISHED:
        return FINISHED_ONE if arguments["epochs"] == 1 else sentence
    if sentence != FIRST_BAD:
        return sentence
    if arguments["quantity"] in LOSSES:
        return FIRST_BAD_LOSS
    return FIRST_BAD_OUTPUT if arguments["layer"] == OUTPUT else sentence


def why_stopped(stopping: EarlyStopping, baseline: float | None = None) -> str:
    """Why early stopping ended a run, from its figures and the run's baseline; empty if it has not."""
    if not stopping.stopped:
        return ""
    figures = {
        "monitor": stopping.monitor, "best_epoch": stopping.best_epoch, "best": stopping.best, "wait": stopping.wait,
        "patience": stopping.patience, "baseline": baseline,
    }  # fmt: skip
    if baseline is not None and WAITED_BASELINE.format(**figures) == stopping.reason:
        return _(WAITED_BASELINE).format(**figures)
    return _(WAITED if stopping.best_epoch else WAITED_ALL).format(**figures)

"""Applies other tools' stopping rules to a recorded run and computes what each would have cost, without training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from bntui.errors import ScenarioError
from bntui.insight.stopping_rules import (
    Decision,
    Ignite,
    Keras,
    Lightning,
    LossCurves,
    PrecheltGL,
    PrecheltPQ,
    PrecheltUP,
    StoppingRule,
)
from bntui.keyframe import BoolArray, FloatArray
from bntui.recording.history import SAME_EPOCH, Event, RunHistory, RunInfo
from bntui.recording.sentences import traits
from bntui.text import figures
from bntui.text.language import N_, _

WATCHED: Final = "val_loss"
"""The figure that every rule monitors; a threshold that early stopping sets for another figure does not apply to it."""
_SYMBOLS: Final = {"alpha": "α"}
_ALWAYS: Final = ("patience", "min_delta", "threshold")
"""Parameters shown even if they are 0."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Requested parameters; None uses the run's own value, or else each tool's default."""

    patience: int | None = None
    min_delta: float | None = None
    stopping_threshold: float | None = None
    """Lightning's only."""
    divergence_threshold: float | None = None
    """Lightning's only."""


NO_WISHES: Final = Wishes()


@dataclass(frozen=True, slots=True)
class Juror:
    """A rule with its display name."""

    mark: str
    """One letter, shown where it stops."""
    name: str
    """Marked for translation."""
    rule: StoppingRule

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters that are set, by the tool's own names."""
        return {name: value for name, value in asdict(self.rule).items() if value is not None}  # type: ignore[call-overload]

    @property
    def wording(self) -> str:
        """The numeric parameters in one line; flags are part of the name."""
        numbers = [(n, v) for n, v in self.parameters.items() if not isinstance(v, bool | str) and (v or n in _ALWAYS)]
        return ", ".join(f"{_SYMBOLS.get(name, name)} {value:g}" for name, value in numbers)


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What one rule would have done, and at what cost."""

    juror: Juror
    stop: int | None
    """Epoch after which it stops; None if it does not stop within the recording."""
    best: int | None
    """The epoch that it considers best; None before the first that counts."""
    because: str
    """The parameter or criterion that triggered the stop; empty if none did."""
    given_away: float
    """Validation loss at its best epoch minus the lowest of the whole run; 0 if it never stops, NaN without a best
    epoch or a finite loss."""
    saved: int
    """Number of recorded epochs that it would have skipped."""


@dataclass(frozen=True, slots=True)
class JuryResult:
    """The outcomes of all rules for one run."""

    epochs: FloatArray
    """The epochs that were judged, ascending, shape ``(E,)``: all, but of a loop of the user's own those in which it
    validated; the last one is a fraction if the run diverged within an epoch."""
    val_loss: FloatArray
    """Validation loss at those; a fork includes its parent's up to the forking point."""
    best: int | None
    """Epoch of the lowest validation loss, the first if equal; None without a finite one."""
    lowest: float
    """That loss; NaN without one."""
    verdicts: tuple[RuleOutcome, ...]
    ended: str
    """``stopped_early``, ``diverged``, or ``finished``; empty while it may continue."""
    ended_at: float
    """Epoch of the last recorded row."""
    planned: int
    """Number of epochs that the run was configured to train."""
    sources: tuple[str, str]
    """Where patience and min_delta come from: ``asked``, ``run``, or ``tool``."""
    forked: float | None = None
    """Epoch at which the run was forked, if its parent's epochs are judged before its own."""
    afresh: bool = False
    """True if the fork's own early stopping started counting there, without its parent's epochs."""
    watches: bool = False
    """True if the run has early stopping that monitors the same figure as the rules."""

    def row_of(self, epoch: int) -> int:
        """The place of an epoch among those that were judged; one that was not completed has the next number."""
        return int(np.searchsorted(self.epochs, epoch - 1 + SAME_EPOCH, side="right"))

    @property
    def most(self) -> float:
        """The largest loss that any rule gives away; 0 if none does."""
        return max((v.given_away for v in self.verdicts if math.isfinite(v.given_away)), default=0.0)

    @property
    def never_finite(self) -> str:
        """A sentence that there is no lowest loss, in the language in use."""
        return _("val_loss was never finite")

    @property
    def limits(self) -> str:
        """Why later stops cannot be seen, in the language in use; empty if the run trained all its epochs."""
        at, planned = figures.epoch(self.ended_at), self.planned
        if self.ended == "stopped_early":
            stopped = _("the run itself stopped early at epoch {epoch}: later stops cannot be seen")
            return stopped.format(epoch=at)
        if self.ended == "diverged":
            return _("the run itself diverged at epoch {epoch}: later stops cannot be seen").format(epoch=at)
        if self.ended == "finished" or self.ended_at >= planned:
            return ""
        growing = _("recorded up to epoch {epoch} of {epochs}: later stops cannot be seen yet")
        return growing.format(epoch=at, epochs=planned)

    @property
    def span(self) -> str:
        """Which epochs of a fork were judged, in the language in use; empty for other runs."""
        if self.forked is None:
            return ""
        return _("judged with its parent's epochs up to epoch {epoch}").format(epoch=figures.epoch(self.forked))

    @property
    def otherwise(self) -> str:
        """Why a fork deviated from the rule that equals its own early stopping; empty if there is no reason."""
        if self.forked is None or not self.watches:
            return ""
        epoch = figures.epoch(self.forked)
        if self.afresh:
            return _("its own patience restarted at epoch {epoch}; the rules keep counting").format(epoch=epoch)
        own = next(verdict for verdict in self.verdicts if isinstance(verdict.juror.rule, Keras))
        if own.stop is not None and own.stop <= self.forked:
            words = _("it was forked at epoch {epoch}, after {rule} would have stopped at epoch {stop}, and continued")
            return words.format(epoch=epoch, rule=_(own.juror.name), stop=own.stop)
        return ""

    @property
    def origin(self) -> str:
        """Where the rules' patience and min_delta come from, in the language in use."""
        said = {
            ("asked", "asked"): _("patience and min_delta: as requested"),
            ("asked", "run"): _("patience as requested, min_delta from the run's own early stopping"),
            ("asked", "tool"): _("patience as requested, min_delta: each tool's default"),
            ("run", "asked"): _("patience from the run's own early stopping, min_delta as requested"),
            ("run", "run"): _("patience and min_delta from the run's own early stopping"),
            ("run", "tool"): _("patience from the run's own early stopping, min_delta: each tool's default"),
            ("tool", "asked"): _("patience: each tool's default, min_delta as requested"),
            ("tool", "tool"): _("patience and min_delta: each tool's default"),
        }
        return said[self.sources]


def jury(own: Mapping[str, Any] | None, wishes: Wishes = NO_WISHES) -> tuple[Juror, ...]:
    """All rules, with the requested parameters, else those of the run's early stopping, else each tool's defaults.

    Args:
        own: the run's early-stopping table.  Keras also uses its ``baseline`` and ``start_from_epoch``.  If it
            monitors a figure other than the validation loss, only its patience is used.
    """
    same = own is not None and own["monitor"] == WATCHED
    asked = wishes.patience if wishes.patience is not None else own["patience"] if own is not None else None
    delta = wishes.min_delta if wishes.min_delta is not None else own["min_delta"] if own is not None and same else 0.0
    delta = abs(float(delta))  # as in Keras; Lightning would treat a negative value as leniency, Ignite rejects it

    def patience(default: int, least: int = 0) -> int:
        return default if asked is None else max(int(asked), least)

    keras = Keras(patience(Keras().patience), delta)
    if own is not None and same:
        keras = replace(keras, baseline=own["baseline"], start_from_epoch=own["start_from_epoch"])
    lightning = Lightning(
        patience(Lightning().patience),
        delta,
        stopping_threshold=wishes.stopping_threshold,
        divergence_threshold=wishes.divergence_threshold,
    )
    ignite = Ignite(patience(Ignite().patience, 1), delta)  # it does not accept a patience of 0
    return (
        Juror("K", N_("Keras"), keras),
        Juror("L", N_("Lightning"), lightning),
        Juror("A", N_("Ignite absolute"), ignite),
        Juror("R", N_("Ignite relative"), replace(ignite, threshold_mode="rel")),
        Juror("C", N_("Ignite cumulative"), replace(ignite, cumulative=True)),
        Juror("G", N_("Prechelt GL"), PrecheltGL()),
        Juror("P", N_("Prechelt PQ"), PrecheltPQ()),
        Juror("U", N_("Prechelt UP"), PrecheltUP()),
    )


def judge(
    run: int,
    infos: Iterable[RunInfo],
    histories: Iterable[RunHistory],
    events: Sequence[Event],
    wishes: Wishes = NO_WISHES,
) -> JuryResult:
    """Judge one run over everything recorded of it.

    Args:
        run: number of the run.
        infos: of all runs; a fork is judged with its parent's epochs before its own.
        histories: of all runs, in the same order.
        events: events of this run.
    """
    known = {info.index: (info, history) for info, history in zip(infos, histories, strict=True)}
    info, history = known[run]
    own = info.early_stopping
    jurors = jury(own, wishes)
    parts = _parts(run, known)
    if info.watched:
        broke = any(traits(event.kind).trouble for event in events)
        parts = (_Part(history, breaks=broke, gaps=info.told.get("by") == "import"),)
    epochs, val_loss, decisions = _decided(parts, tuple(juror.rule for juror in jurors))
    finite = np.isfinite(val_loss)
    at = int(np.argmin(np.where(finite, val_loss, np.inf))) if finite.any() else None
    lowest = math.nan if at is None else float(val_loss[at])
    ended = next((event for event in reversed(events) if traits(event.kind).ends == "run"), None)
    recorded = float(history.epoch[-1]) if len(history) else 0.0
    same = own is not None and own["monitor"] == WATCHED
    return JuryResult(
        epochs=epochs,
        val_loss=val_loss,
        best=None if at is None else _number(epochs, at),
        lowest=lowest,
        verdicts=tuple(
            _priced(juror, decision, epochs, val_loss) for juror, decision in zip(jurors, decisions, strict=True)
        ),
        ended=ended.kind if ended else "",
        ended_at=ended.epoch if ended else recorded,
        planned=info.epochs,
        sources=(
            "asked" if wishes.patience is not None else "run" if own is not None else "tool",
            "asked" if wishes.min_delta is not None else "run" if same else "tool",
        ),
        forked=info.fork.epoch if info.fork is not None and info.fork.run in known else None,
        afresh=info.fork is not None and info.fork.run in known and _afresh(info, known[info.fork.run][0]),
        watches=same,
    )


def _afresh(child: RunInfo, parent: RunInfo) -> bool:
    """True if a fork restarted its patience; False if this version cannot read one of the configurations."""
    # pydantic is not imported until a fork is viewed
    from bntui.scenario.fork import configuration
    from bntui.scenario.fork_plan import plan_fork

    try:
        return not plan_fork(configuration(parent.config), configuration(child.config)).patience
    except ScenarioError:
        return False


class _Part(NamedTuple):
    """The history of a run, or of an ancestor up to a fork."""

    history: RunHistory
    until: float = math.inf
    """Epoch where it ends."""
    breaks: bool = True
    """A last loss that is not finite means that the run diverged, not that its loop has not validated again yet."""
    gaps: bool = False
    """A loss of NaN means that nothing was logged in that epoch."""


def _parts(run: int, known: Mapping[int, tuple[RunInfo, RunHistory]], until: float = math.inf) -> tuple[_Part, ...]:
    info, history = known[run]
    fork = info.fork
    if fork is None or fork.run not in known:
        return (_Part(history, until),)
    return (*_parts(fork.run, known, min(fork.epoch, until)), _Part(history, until))


@lru_cache(maxsize=4)  # runs side by side; a run in training has another history at each keyframe
def _decided(
    parts: tuple[_Part, ...], rules: tuple[StoppingRule, ...]
) -> tuple[FloatArray, FloatArray, tuple[Decision, ...]]:
    """Epochs, validation losses, and the rules' decisions; cached, because histories never change."""
    rows = [np.flatnonzero(_complete(part) & (part.history.epoch <= part.until + SAME_EPOCH)) for part in parts]
    epochs, validation, training = (
        np.concatenate([getattr(part.history, name)[at] for part, at in zip(parts, rows, strict=True)])
        for name in ("epoch", "val_loss", "train_loss")
    )
    losses = LossCurves(validation.tolist(), training.tolist())
    return epochs, validation, tuple(rule.decide(losses) for rule in rules)


def _complete(part: _Part) -> BoolArray:
    """Mask of the rows at which a tool would validate: the ends of epochs.

    If a run diverged within an epoch or before its first step, its last row counts as that epoch's end: the next
    update makes the weights NaN, and they stay NaN.
    """
    history = part.history
    ends = history.epoch_end & (history.epoch > 0)
    if part.breaks and len(ends) and not math.isfinite(history.val_loss[-1]):
        ends[-1] = True
    return ends & ~np.isnan(history.val_loss) if part.gaps else ends


def _priced(juror: Juror, decision: Decision, epochs: FloatArray, val_loss: FloatArray) -> RuleOutcome:
    """The outcome of a decision, which numbers the epochs that were judged from 1."""
    finite = val_loss[np.isfinite(val_loss)]
    lowest = float(finite.min()) if len(finite) else math.nan
    # without a finite loss no epoch is the best; Ignite takes the first, whatever its loss
    at = None if decision.best is None or not len(finite) else decision.best - 1
    best = None if at is None else _number(epochs, at)
    if decision.stop is None:
        return RuleOutcome(juror, None, best, "", 0.0 if len(finite) else math.nan, 0)
    stop = _number(epochs, decision.stop - 1)
    given_away = math.nan if at is None else float(val_loss[at]) - lowest
    return RuleOutcome(juror, stop, best, decision.because, given_away, _number(epochs, -1) - stop)


def _number(epochs: FloatArray, row: int) -> int:
    """The number of an epoch that was judged, of one that was not completed too."""
    return math.ceil(float(epochs[row]) - SAME_EPOCH)

"""Applies other tools' stopping rules to a recorded run and computes what each would have cost, without training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from bntui.errors import ScenarioError
from bntui.insight.checked_epochs import CheckedEpochs, decided, parts_of
from bntui.insight.stopping_rules import (
    Decision,
    Ignite,
    Keras,
    Lightning,
    PrecheltGL,
    PrecheltPQ,
    PrecheltUP,
    StoppingRule,
)
from bntui.keyframe import FloatArray
from bntui.recording.history import Event, RunHistory, RunInfo
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

    checked: CheckedEpochs
    """The epochs that have a validation loss; a fork includes its parent's up to the forking point."""
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
    own: Mapping[str, Any] | None = None
    """The run's early-stopping table; None without early stopping."""

    @property
    def epochs(self) -> FloatArray:
        """Where the epochs that have a validation loss end, shape ``(E,)``."""
        return self.checked.positions

    @property
    def val_loss(self) -> FloatArray:
        """Validation loss at those, shape ``(E,)``."""
        return self.checked.val_loss

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
    def gaps(self) -> str:
        """How many epochs were judged, in the language in use; empty if all of them were."""
        epochs, recorded = len(self.epochs), self.checked.recorded
        if not epochs or epochs == recorded:
            return ""
        words = _("judged by the {count} of {epochs} epochs that have a validation loss; patience counts only these")
        return words.format(count=epochs, epochs=recorded)

    @property
    def otherwise(self) -> str:
        """Why the run deviated from the rules with its own parameters; empty if there is no reason."""
        if self.own is not None and self.own["monitor"] != WATCHED:
            return _("its own early stopping monitors {monitor}, the rules val_loss").format(
                monitor=self.own["monitor"]
            )
        if self.own is not None and self.own["mode"] == "max":
            return _("its own early stopping takes a larger val_loss for better, the rules a smaller one")
        if self.forked is None or self.own is None:
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
    checked = decided(parts_of(run, known, events), tuple(juror.rule for juror in jurors))
    finite = np.isfinite(checked.val_loss)
    at = int(np.argmin(np.where(finite, checked.val_loss, np.inf))) if finite.any() else None
    lowest = math.nan if at is None else float(checked.val_loss[at])
    ended = next((event for event in reversed(events) if traits(event.kind).ends == "run"), None)
    recorded = float(history.epoch[-1]) if len(history) else 0.0
    same = own is not None and own["monitor"] == WATCHED
    return JuryResult(
        checked=checked,
        best=None if at is None else int(checked.numbers[at]),
        lowest=lowest,
        verdicts=tuple(
            _priced(juror, decision, checked, lowest) for juror, decision in zip(jurors, checked.decisions, strict=True)
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
        own=own,
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


def _priced(juror: Juror, decision: Decision, checked: CheckedEpochs, lowest: float) -> RuleOutcome:
    stop, best = (None if at is None else int(checked.numbers[at - 1]) for at in (decision.stop, decision.best))
    if not math.isfinite(lowest):
        best = None  # no epoch is the best; Ignite takes the first, whatever its loss
    if stop is None:
        return RuleOutcome(juror, None, best, "", 0.0 if math.isfinite(lowest) else math.nan, 0)
    given_away = math.nan
    if best is not None and decision.best is not None:
        given_away = float(checked.val_loss[decision.best - 1]) - lowest
    return RuleOutcome(juror, stop, best, decision.because, given_away, checked.last - stop)

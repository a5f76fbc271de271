"""Trains the runs of a session in workers, and records them in the order in which one process would.

A worker is at most one epoch ahead of what is recorded.  A run whose worker dies, or that has to stop elsewhere than at
the end of an epoch, is restored in this process from the last state that its worker has sent.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from typing import Final

from bntui.cpu import spread
from bntui.recording.packed import PackedEvidence
from bntui.recording.sentences import is_over
from bntui.text.language import _
from bntui.trainer.cores.carried import Carried, carried, restore
from bntui.trainer.cores.messages import Checkpoint, Commit, Done, Hand, Load, NotFound, Recall, Together, TrainEpoch
from bntui.trainer.cores.process import Link
from bntui.trainer.cores.shares import estimate, expected, saved, shares, slowest
from bntui.trainer.cores.template import Template
from bntui.trainer.first_failure import kinds_of
from bntui.trainer.run import Run
from bntui.trainer.write_behind import WriteBehind

WORTH: Final = 0.3
"""Seconds that workers must save to be started."""
UNEVEN: Final = 1.2
"""How much longer than needed the workers may take before the runs are shared out again."""
READY_WITHIN: Final = 0.5
"""Seconds to wait for new workers, which load the samples; later, this process trains until they are ready."""
TICK: Final = 0.01
"""Seconds between two looks at whether training is to be interrupted."""
MOST_DEATHS: Final = 3
"""Workers that may die before all runs are trained in this process."""


@dataclass(slots=True)
class _Away:
    """A run that a worker trains."""

    run: Run
    """The run in this process, whose tensors are older."""
    carried: Carried
    """From which it can be continued anywhere."""
    link: Link | None = None
    """Its worker; None if it has none any more."""
    ordered: bool = False
    """The worker was told to train an epoch that is not recorded yet."""
    inbox: deque[Together | Done] = field(default_factory=deque)
    """What the worker has sent and is not recorded yet."""


class Crew:
    """The workers of a session, and which of its runs they train."""

    def __init__(self, recorder: WriteBehind, template: Template | None, cores: int) -> None:
        """``template`` forks the workers; without one, or with a single core, this process trains all runs."""
        self._recorder = recorder
        self._template = template if cores > 1 else None
        self._cores = cores
        self._links: list[Link] = []
        self._away: dict[int, _Away] = {}
        self._shared: frozenset[int] = frozenset()
        """The runs that were going on when they were last shared out."""
        self._seconds: dict[int, float] = {}
        """Seconds per epoch by run, as far as known."""
        self._started = 0.0
        """``time.monotonic()`` when the last worker was started."""
        self._deaths = 0
        self._leaving = False
        self.trouble = ""
        """How the last worker died; empty if none did."""

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that train runs."""
        return [link.pid for link in self._busy()]

    def train(self, active: Sequence[Run], target: int, interrupted: Callable[[], bool]) -> None:
        """Train runs to the end of an epoch, and record them in turn.

        Args:
            active: the runs that go on.
            target: the number of the epoch; runs that have completed it are not trained.
            interrupted: called often; stops the training after the current step if true.
        """
        threaded = any(run.config.training.threads > 1 for run in active)  # its threads have the cores
        if threaded or (self._links and self._deaths >= MOST_DEATHS):
            self.recall()
            self.close()
        self._leaving = False
        self._share_out(active)
        behind = [run for run in active if run.epoch < target]
        for run in behind:
            self._order(run)
        for run in behind:
            if not self._recorded(run, interrupted) and not self._leaving:
                self._train_here(run, target, interrupted)
            if not self._leaving and interrupted():
                self._leave()
        if self._leaving:
            self.recall()

    def recall(self) -> None:
        """Restore all runs in this process, as they are recorded."""
        self._leave()
        for away in self._away.values():
            restore(away.run, away.carried)
        self._away.clear()

    def close(self) -> None:
        """End all workers."""
        for link in self._links:
            link.close()
        self._links, self._template = [], None

    def _train_here(self, run: Run, target: int, interrupted: Callable[[], bool]) -> None:
        away = self._away.pop(run.info.index, None)
        if away is not None:
            restore(run, away.carried)
            if run.over or run.epoch >= target:  # its worker died after it had sent the whole epoch
                return
        started, before = time.perf_counter(), run.epoch
        run.train_epoch(self._recorder, interrupted)
        self._took(run, time.perf_counter() - started, run.epoch - before)

    def _took(self, run: Run, seconds: float, epochs: float) -> None:
        if epochs > 0.5:
            each = seconds / epochs
            self._seconds[run.info.index] = min(each, self._seconds.get(run.info.index, each))

    # --- sharing out ---

    def _share_out(self, active: Sequence[Run]) -> None:
        """Give the runs to workers, if that is worth it and these are ready."""
        runs = {run.info.index: run for run in active}
        if not self._links and len(runs) < 2:
            return
        seconds = expected(self._seconds, {index: _estimate(run) for index, run in runs.items()})
        if not self._staffed(active, seconds) or not self._ready():
            return
        now = [[i for i in runs if i in self._away and self._away[i].link is link] for link in self._links]
        best = shares(seconds, len(self._links))
        everyone = sum(map(len, now)) == len(runs)
        if everyone and (self._shared == runs.keys() or slowest(seconds, now) < UNEVEN * slowest(seconds, best)):
            return
        self._leave()
        self._leaving = False
        if not self._links:  # all have died meanwhile
            return
        self._shared = frozenset(runs)
        for link, share in zip(self._links, shares(seconds, len(self._links)), strict=True):
            for index in share:
                self._hand(runs[index], link)

    def _staffed(self, active: Sequence[Run], seconds: Mapping[int, float]) -> bool:
        """True if there are workers; starts them if they are worth it."""
        left = [(run.config.training.epochs - run.epoch) * seconds[run.info.index] for run in active]
        worth = bool(self._links) or saved(left, self._cores) > WORTH
        if worth and self._template is not None:
            try:
                while len(self._links) < min(self._cores, len(active)):
                    self._links.append(Link(self._template))
                    self._links[-1].tell(Load(str(self._recorder.writer.path)))
                    self._started = time.monotonic()
                    spread([link.pid for link in self._links])
            except OSError as error:
                self._template = None
                sentence = _("cannot start a worker process, so one process trains all runs: {reason}")
                self._say(sentence.format(reason=error))
        return bool(self._links)

    def _ready(self) -> bool:
        """True if all workers have loaded the samples; new ones are waited for."""
        while any(not link.ready for link in self._links):
            left = self._started + READY_WITHIN - time.monotonic()
            self._receive(None, wait=max(0.0, left))
            if left <= 0:
                break
        return bool(self._links) and all(link.ready for link in self._links)

    def _hand(self, run: Run, link: Link) -> None:
        """Let a worker take over a run."""
        index = run.info.index
        away = self._away.get(index) or _Away(run, carried(run))
        self._away[index], away.link = away, link
        away.inbox.clear()
        writer = self._recorder.writer
        number, _stride = writer.numbering(index)
        link.tell(Hand(str(writer.path), index, away.carried, number, writer.budget(index) > 0))

    # --- training in workers ---

    def _order(self, run: Run) -> None:
        """Let its worker train the next epoch of a run, if it does not do so already."""
        away = self._away.get(run.info.index)
        if away is not None and away.link is not None and not away.ordered:
            writer = self._recorder.writer
            _number, stride = writer.numbering(run.info.index)
            away.link.tell(TrainEpoch(str(writer.path), run.info.index, stride))
            away.ordered = True

    def _recorded(self, run: Run, interrupted: Callable[[], bool]) -> bool:
        """Record the epoch that a worker trains, as it arrives; False if none does, or not to its end."""
        away = self._away.get(run.info.index)
        while away is not None:
            while away.inbox:
                told = away.inbox.popleft()
                if isinstance(told, Done):
                    self._done(away, told)
                    return True
                self._record(away, told)
            if away.link is None:
                break
            self._receive(away.link, wait=TICK)
            if not self._leaving and interrupted():
                self._leave()
        return False

    def _record(self, away: _Away, told: Together) -> None:
        """Commit a transaction of a run."""
        writer = self._recorder.writer
        with writer.together():
            for one in told.records:
                if isinstance(one, Checkpoint):
                    writer.checkpoint(told.run, one.name, one.step, one.block, one.events)
                    over = is_over(event.kind for event in one.events)
                    away.carried = replace(away.carried, over=away.carried.over or over)
                else:
                    pack = _pack(one.evidence) if one.measured else None
                    writer.commit(one.frame, epoch_end=one.epoch_end, best=one.best, evidence=pack, events=one.events)
                    away.carried = _onward(away.carried, one)
        if away.link is not None:
            away.link.held -= told.size

    def _done(self, away: _Away, told: Done) -> None:
        """Move a run to where its worker has trained it, which may go on."""
        run, before = away.run, away.carried
        began = run.epoch
        run.follow(told.progress, over=told.over)
        self._took(run, told.seconds, run.epoch - began)
        away.ordered = False
        if told.over:
            del self._away[run.info.index]
            return
        away.carried = Carried(
            told.state or before.state, told.progress.step, told.progress.wall, told.told, told.since, told.recorded,
            told.best or before.best,
        )  # fmt: skip
        if not self._leaving:
            self._order(run)

    def _leave(self) -> None:
        """Let all workers stop after their current step; afterwards, their last words are in the inboxes."""
        self._leaving = True
        busy = self._busy()
        for link in busy:
            link.tell(Recall())
        while waiting := [link for link in busy if not link.quiet]:
            self._receive(waiting[0], wait=None)
        for away in self._away.values():
            away.link, away.ordered = None, False
        for link in self._links:
            link.held = 0

    def _busy(self) -> list[Link]:
        """The workers that have runs."""
        return [link for link in self._links if any(away.link is link for away in self._away.values())]

    def _receive(self, wanted: Link | None, wait: float | None) -> None:
        """Receive what workers have to say, from each at most one message.

        Args:
            wanted: is heard even if much of what it has said is not recorded yet.
            wait: seconds to wait for a message; None for as long as it takes.
        """
        links = {link.pipe: link for link in self._links if link is wanted or not link.full}
        for pipe in connection.wait(list(links), wait):
            link = links[pipe]  # type: ignore[index]
            try:
                told = link.answer()
            except EOFError:
                self._bury(link)
            else:
                if isinstance(told, NotFound):
                    self._not_found(link, told)
                elif told is not None:
                    self._away[told.run].inbox.append(told)

    def _not_found(self, link: Link, told: NotFound) -> None:
        """Repeat an order with the recording's new path, or train a run here until the runs are shared out again."""
        if told.run is None:
            link.tell(Load(str(self._recorder.writer.path)))
        elif (away := self._away.get(told.run)) is not None and away.link is link:
            away.link, away.ordered = None, False

    def _bury(self, link: Link) -> None:
        """Go on without a worker that has died."""
        self._links.remove(link)
        self._deaths += 1
        link.quiet = True
        for away in self._away.values():
            if away.link is link:
                away.link, away.ordered = None, False
        self._say(_("training continues without one of its workers: {reason}").format(reason=link.why_dead()))

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        print(trouble, file=sys.stderr, flush=True)  # goes to the log


def _estimate(run: Run) -> float:
    """The seconds of an epoch, before one was measured."""
    return estimate(run.info.layers, len(run.network.stages), run.config.data.batch_size, run.steps_per_epoch)


def _pack(evidence: PackedEvidence | None) -> Callable[[], PackedEvidence]:
    def pack() -> PackedEvidence:
        assert evidence is not None, "evidence that is not due is not sent"
        return evidence

    return pack


def _onward(before: Carried, one: Commit) -> Carried:
    """A run after a keyframe of it is recorded."""
    step, events = one.frame["step"], tuple(event.kind for event in one.events)
    return replace(
        before,
        state=before.state if one.evidence is None else one.evidence.block,
        step=step,
        wall=one.frame["wall_time"],
        told=before.told | kinds_of(events),
        since=step if one.measured else before.since,
        recorded=step,
        over=before.over or is_over(events),
    )

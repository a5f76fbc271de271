"""Trains the trials of a sweep that its folder lacks, and keeps each as a recording and a line of the journal."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bntui.errors import ScenarioError, TrainerError, UsageError
from bntui.scenario.claim_expression import quantity
from bntui.scenario.presentation import NamedRun
from bntui.scenario.written import scenario_text
from bntui.study.axes import Settings
from bntui.study.journal import NAME, Journal, JournalEntry, key_of, keys
from bntui.study.order import Delivery, Pruning, TrialCrew, TrialOrder
from bntui.study.pruning import RULES, figure_of
from bntui.study.search import Search
from bntui.study.sweep_plan import SweepPlan, checked_one, file_name, refuse_others, title_of, versions
from bntui.study.trial import data_files, file_digest
from bntui.text.language import _, spoken
from bntui.text.library_messages import reason

Progress = Callable[[int, int], object]


class Sweep:
    """A sweep that trains: gives orders to workers, and keeps what they deliver."""

    def __init__(
        self, plan: SweepPlan, head: dict[str, Any], folder: Path, search: Search, *, again: bool = False
    ) -> None:
        """Open the folder.

        Args:
            again: train also what has failed.

        Raises:
            UsageError: it has another sweep, or another process trains this one.
            RecordingError: its journal is damaged.
            StorageError: it cannot be written.
        """
        self.plan, self.folder = plan, folder
        self._journal = Journal(folder, head)
        try:
            refuse_others(plan, ((entry.settings, entry.seed) for entry in self.entries))
        except BaseException:
            self.close()
            raise
        self._search = search
        self._scenario = plan.loaded()
        self._versions = versions(plan.prune)
        self._given: dict[int, tuple[Settings, int]] = {}
        self._begun: dict[int, int] = {}
        """By seed: the number of its next trial."""
        self._keeping = threading.Lock()  # orders are drawn in a thread of the workers' engine
        self._done = [entry for entry in self.entries if not (again and entry.state == "failed")]
        for entry in self._done:
            search.tell(entry)

    @property
    def entries(self) -> Sequence[JournalEntry]:
        """What is done so far."""
        return self._journal.entries

    @property
    def missing(self) -> int:
        """Number of trials that are left to train."""
        return self._search.total * self.plan.seeds - len(self._done)

    def train(self, crew: TrialCrew, progress: Progress = lambda _done, _total: None) -> None:
        """Train what is missing.

        Raises:
            TrainerError: a worker has other versions, or the cluster is gone; what is recorded stays.
            StorageError: the folder cannot be written.
        """
        missing = self.missing
        if missing <= 0:
            return
        progress(0, missing)
        for order, delivery in crew.deliveries(self._orders()):
            if delivery.refusal:
                raise TrainerError(delivery.refusal)
            self._keep(*self._given.pop(order.number), delivery)
            progress(missing - self.missing, missing)

    def _orders(self) -> Iterator[TrialOrder]:
        done = keys(self._done)
        number = 0
        for settings in self._search.combinations():
            left = [seed for seed in range(self.plan.seeds) if key_of(settings, seed) not in done]
            try:
                run = checked_one(self.plan, settings) if left else None
            except ScenarioError as error:  # found by a search, which draws from ranges
                for seed in left:
                    self._keep(settings, seed, Delivery(failure=str(error)))
                continue
            for seed in left:
                assert run is not None
                number += 1
                self._given[number] = settings, seed
                yield self._order(number, run, settings, seed)

    def _order(self, number: int, run: NamedRun, settings: Settings, seed: int) -> TrialOrder:
        own = NamedRun(run.name, run.config.model_copy(update={"seed": seed}))
        path = self.plan.path
        files = {str(file.absolute()): file_digest(file) for file in data_files(own.config, path.parent)}
        text = scenario_text(title_of(self._scenario, settings, seed), own)
        return TrialOrder(
            number, text, str(path.absolute()), self.plan.quantities, {name: d for name, d in files.items() if d},
            self._versions, spoken(), self._pruning(seed),
        )  # fmt: skip

    def _pruning(self, seed: int) -> Pruning | None:
        """How the next trial with a seed may be ended early."""
        if not self.plan.prune:
            return None
        with self._keeping:
            courses = [one.course for one in self._done if one.seed == seed and one.course is not None]
        number = self._begun.get(seed, 1 + max((one.number for one in courses), default=-1))
        self._begun[seed] = number + 1
        goal = quantity(self.plan.goal)
        known = () if self.plan.prune == RULES else tuple(courses)
        return Pruning(self.plan.prune, figure_of(goal), self.plan.larger, number, known)

    def _keep(self, settings: Settings, seed: int, delivery: Delivery) -> None:
        """Write the recording, then the line that says it is there."""
        with self._keeping:
            if delivery.failure:
                entry = JournalEntry(
                    settings, seed, "failed", delivery.failure, seconds=delivery.seconds, worker=delivery.worker
                )  # fmt: skip
            else:
                name = file_name(settings, seed)
                self._journal.keep(name, delivery.recording)
                digest = hashlib.blake2b(delivery.recording, digest_size=16).hexdigest()
                pruned = delivery.course is not None and delivery.course.pruned
                entry = JournalEntry(
                    settings, seed, "pruned" if pruned else "done", "", delivery.figures, delivery.seconds, name,
                    digest, delivery.worker, delivery.course,
                )  # fmt: skip
            self._journal.add(entry)
            self._done.append(entry)
            self._search.tell(entry)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()


def refuse_foreign_files(folder: Path) -> None:
    """Raise UsageError if a folder holds something, but no sweep, or is none, or cannot be read."""
    try:
        inside = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise UsageError(
            _("{folder} is a file, not a folder; choose another one with -o").format(folder=folder)
        ) from error
    except OSError as error:
        sentence = _("{path}: cannot be read: {reason}")
        raise UsageError(sentence.format(path=folder, reason=reason(error))) from error
    if inside and NAME not in inside:
        raise UsageError(
            _("{folder} is not empty, and has no sweep; choose another folder with -o").format(folder=folder)
        )

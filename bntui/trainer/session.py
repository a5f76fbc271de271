"""Trains the runs of a recording side by side, from a scenario or from where the recording ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bntui.errors import RecordingError, ScenarioError, StorageError
from bntui.recording.codec import pack_arrays
from bntui.recording.history import Event, Fork, RunInfo
from bntui.recording.reader import Reader
from bntui.recording.recorded import has_keyframes, nothing_recorded
from bntui.recording.sentences import DEPARTED, INTERRUPTED, RESUMED, RESUMED_ELSEWHERE, is_over
from bntui.recording.writer import Writer
from bntui.scenario.checks import Facts, problems
from bntui.scenario.fork import configuration, fork_name, forked
from bntui.scenario.load import NamedRun, Scenario
from bntui.scenario.schema import RunConfig
from bntui.text.language import _
from bntui.trainer.bench import Bench, from_recording, from_scenario
from bntui.trainer.create_recording import circumstances, created, folder_of, meta_of, publish, scenario_of
from bntui.trainer.data.dataset import Scaling, fit_scaling
from bntui.trainer.first_failure import Watch, kinds_of
from bntui.trainer.fork_checks import epoch_of, refuse_a_rest, refuse_at_its_end
from bntui.trainer.lock import Hold
from bntui.trainer.replay import Past, last_step
from bntui.trainer.run import Run


class Session:
    """The runs that are being trained, in turn, into one recording."""

    def __init__(self, bench: Bench, writer: Writer, hold: Hold) -> None:
        """``hold`` is on the recording's name; :meth:`close` lets go of it."""
        self.writer = writer
        self._hold = hold
        self.runs: list[Run] = []
        """Those that this session trains; runs that were over before are none of them."""
        self._bench = bench
        self._past = Past(writer.path, self._make)
        self._scalings: dict[int, Scaling] = {}
        """By run, as they are recorded."""
        self._unsaid: list[Event] = []
        """That runs go on: said when they do."""

    @classmethod
    def begin(cls, scenario: Scenario, recording: Path | None, overrides: Sequence[tuple[str, object]] = ()) -> Session:
        """Load the data, build the runs, and record their initial states.

        Raises:
            ScenarioError, DataError, DeviceError: before anything is recorded.
            StorageError: the recording cannot be written.
        """
        bench = from_scenario(scenario.runs[0].config, folder_of(scenario))
        _check(scenario.runs, bench.facts)
        session = cls(bench, *created(scenario, recording, meta_of(scenario, bench, overrides)))
        try:
            with session.writer.together():
                session._begin(scenario)
            session._hold = publish(session.writer, session._hold, scenario, chosen=recording is not None)
            session._past.path = session.writer.path
        except BaseException:
            session.writer.discard()
            session._hold.release()
            raise
        return session

    def _begin(self, scenario: Scenario) -> None:
        """The samples, and every run in its initial state."""
        self._bench.record(self.writer)
        for index, run in enumerate(scenario.runs):
            self._scalings[index] = fit_scaling(run.config.data.scaling, self._bench.data.x[self._bench.train])
            made = self._built(index, run.name, run.config)
            self._add(made, run.config.record.budget * 1e6 / len(scenario.runs))
            self.runs.append(made)

    @classmethod
    def resume(cls, path: Path, *, all_runs: bool = True) -> Session:
        """Go on where a recording ends: every run that is not over, from its last keyframe.

        A recording without a keyframe begins again, from its scenario.

        Args:
            all_runs: false for a fork alone: the others stay where they were interrupted.

        Raises:
            RecordingError: another trainer holds it, or it is damaged, foreign or newer.
            DataError, DeviceError: what it was made from is not here.
            StorageError: it cannot be written.
        """
        held = Hold(path)
        writer = None
        try:
            with closing(Reader(path)) as reader:
                empty = not has_keyframes(reader)
                if empty and not all_runs:
                    raise nothing_recorded(path)
                if not empty and any(last_step(reader, run.index) is None for run in reader.runs):
                    raise RecordingError(_("{path} is damaged: a run has no keyframe").format(path=path))
                reader.verify_runs()
                if empty:
                    scenario = scenario_of(reader)
                    bench = from_scenario(scenario.runs[0].config, folder_of(scenario))
                    _check(scenario.runs, bench.facts)
                else:
                    bench = from_recording(reader, configuration(reader.runs[0].config))
            writer = Writer.reopen(path)
            session = cls(bench, writer, held)
            if empty:
                with writer.together():
                    writer.clear()
                    session._begin(scenario)
                return session
            with closing(Reader(path)) as reader:
                for run in reader.runs if all_runs else ():
                    session._take_up(reader, run)
        except BaseException:
            if writer is not None:
                writer.abandon()
            held.release()
            raise
        return session

    @property
    def moved(self) -> bool:
        """The recording is not where it was; also renews the lock where its folder vanished.  Safe in any thread."""
        self._hold.renew()
        return self._hold.moved()

    def follow(self) -> bool:
        """Continue where the recording is now, if it was moved; False where that must be tried again.

        Raises:
            StorageError: it was deleted, or nobody can say where it is: see :meth:`leave`.
        """
        before = self._hold.recording
        if not self._hold.moved():  # it is back
            return True
        path = self._hold.place()
        try:
            self._hold.rename(path)
        except RecordingError:  # held by a trainer that is about to see that the name is not its own any more
            return False
        try:
            self.writer.follow(path)
        except StorageError:  # readers are in the way
            self._hold.rename(before)
            return False
        self._past.path = path
        return True

    def leave(self) -> None:
        """Let go of a recording that cannot be followed; what was trained is in that file, and nothing beside it."""
        with suppress(StorageError):
            self.interrupt()
            self.writer.flush()
        self.writer.leave()
        self._hold.release()

    def close(self) -> None:
        """Write what is still held back, fold the journal in, and let go of the recording."""
        try:
            self.writer.close()
        finally:
            self._hold.release()

    @property
    def over(self) -> bool:
        """All runs are finished, stopped early or diverged."""
        return all(run.over for run in self.runs)

    @property
    def furthest_behind(self) -> float:
        """Epochs done by the run that has done fewest, of those that are not over."""
        return min((run.epoch for run in self.runs if not run.over), default=0.0)

    def epoch(self, interrupted: Callable[[], bool]) -> None:
        """Every run to the end of the epoch under way: that of the run that is furthest behind."""
        self._say()
        active = [run for run in self.runs if not run.over]
        target = int(self.furthest_behind) + 1
        for run in active:
            if run.epoch < target:
                run.train_epoch(self.writer, interrupted)
            if interrupted():
                return

    def step(self, goals: Mapping[int, int]) -> None:
        """One more mini-batch, measured, of every run that has not come to its goal.

        Args:
            goals: steps by run.
        """
        self._say()
        for run in self.runs:
            if not run.over and run.step < goals.get(run.info.index, 0):
                run.train_step(self.writer, measured=True)

    def fork(self, parent: int, step: int, changes: Sequence[tuple[str, object]], agenda: str = "") -> RunInfo:
        """A new run from where another stood after one of its keyframes.

        Args:
            parent: number of that run.
            step: of one of its keyframes.
            changes: key paths and values.
            agenda: what there is still to do, kept in the same moment.

        Raises:
            ScenarioError: the changes are not valid.
            UsageError: there is no such keyframe.
            RecordingError: what the recording holds of it is damaged.
        """
        self.writer.flush()
        with closing(Reader(self.writer.path)) as reader:
            infos, epoch = reader.runs, epoch_of(reader, parent, step)
            info = infos[parent]
            config, differences = forked(info.config, changes, self._bench.facts)
            self._scalings[len(infos)] = self._scaling(parent)
            name = fork_name(info.name, differences, {run.name for run in infos})
            child = self._built(len(infos), name, config)
            state = self._past.fork(child, parent, step)
            refuse_at_its_end(child, reader, parent, step)
        told = tuple((change.path, change.before, change.after) for change in differences)
        child.info = replace(child.info, fork=Fork(parent, step, epoch, told, state.kept, state.new))
        refuse_a_rest(child, self._bench.facts)
        budget = self.writer.budget(parent)
        if any(change.path == "record.budget" for change in differences):
            budget = config.record.budget * 1e6
        with self.writer.together():
            self._add(child, budget)
            self._add_circumstances(child, always=False)
            if agenda:
                self.writer.plan(agenda)
            self._say()
        self.runs.append(child)
        return child.info

    def interrupt(self) -> None:
        """Note where a user stopped the runs that were not over."""
        at = [run for run in self.runs if not run.over]
        self.writer.add_events([run.event("interrupted", INTERRUPTED, {"epoch": run.epoch}) for run in at])

    def _add(self, run: Run, budget: float) -> None:
        """A run's first rows: what it is, its initial state, and what is to be said of it."""
        scaling = self._scaling(run.info.index)
        block = pack_arrays({"offset": scaling.offset, "factor": scaling.factor}, {"kind": scaling.kind})
        self.writer.add_run(run.info, block, budget)
        run.watcher = Watch(self._past, run.step)
        run.begin(self.writer)
        self.writer.add_events(self._departure(run))

    def _take_up(self, reader: Reader, info: RunInfo) -> None:
        """A recorded run at its end, where it is not over; nothing of it is trained yet."""
        kinds = {event.kind for event in reader.events(info.index)}
        over = is_over(kinds)
        if over and reader.has_checkpoint(info.index, "final"):
            return
        step = last_step(reader, info.index)
        assert step is not None
        run = self._past.reach(info.index, step)
        run.over = over
        run.told = kinds_of(kinds)
        run.watcher = Watch(self._past, run.step)
        run.take_up(replace(run.progress, wall=float(reader.history(info.index).wall_time[-1])))
        if over:  # killed between the last keyframe and the weights that were to be kept
            run.finish(self.writer)
            return
        self._add_circumstances(run, always=True)
        self._unsaid += self._departure(run)
        self.runs.append(run)

    def _add_circumstances(self, run: Run, *, always: bool) -> None:
        """With what a run goes on, where that is not what the recording was made with, or ``always``."""
        with closing(Reader(self.writer.path)) as reader:
            now, before = circumstances(self._bench.device, None), circumstances(self._bench.device, reader.meta)
        if now != before:
            arguments: dict[str, object] = {"epoch": run.epoch, "now": now, "before": before}
            self._unsaid.append(run.event("resumed", RESUMED_ELSEWHERE, arguments))
        elif always:
            self._unsaid.append(run.event("resumed", RESUMED, {"epoch": run.epoch}))

    def _say(self) -> None:
        """That runs go on, now that they do."""
        if self._unsaid:
            self.writer.add_events(self._unsaid)
            self._unsaid = []

    def _departure(self, run: Run) -> list[Event]:
        if run.departed is None:
            return []
        return [run.event("departed", DEPARTED, {"step": run.departed})]

    def _make(self, info: RunInfo) -> Run:
        """A recorded run anew, as its configuration makes it."""
        return self._built(info.index, info.name, configuration(info.config), info.fork)

    def _built(self, index: int, name: str, config: RunConfig, fork: Fork | None = None) -> Run:
        samples = self._bench.samples(config, self._scaling(index))
        return Run(index, name, config, samples, self._bench.device, fork)

    def _scaling(self, index: int) -> Scaling:
        if index not in self._scalings:
            with closing(Reader(self.writer.path)) as reader:
                recorded: Any = reader.scaling(index)
            self._scalings[index] = Scaling(recorded.kind, recorded.offset, recorded.factor)
        return self._scalings[index]


def _check(runs: Sequence[NamedRun], facts: Facts) -> None:
    """What a file's name did not tell: whether networks, batches and monitors fit the data."""
    found = dict.fromkeys(problem for run in runs for problem in problems(run.config, facts))
    if found:
        raise ScenarioError(tuple(found))

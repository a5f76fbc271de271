"""Trains the runs of a recording side by side, from a scenario or from the end of the recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bntui.cpu import cores
from bntui.errors import RecordingError, ScenarioError, StorageError
from bntui.link.lock import Hold
from bntui.link.notes import note
from bntui.recording.codec import pack_arrays
from bntui.recording.history import SAME_EPOCH, Fork, RunInfo
from bntui.recording.opened import Recording
from bntui.recording.recorded import has_keyframes, nothing_recorded
from bntui.recording.sentences import INTERRUPTED, is_over
from bntui.recording.writer import Writer
from bntui.scenario.checks import DataFacts, problems
from bntui.scenario.fork import configuration, fork_name, forked
from bntui.scenario.load import Scenario
from bntui.scenario.presentation import NamedRun
from bntui.scenario.schema import RunConfig
from bntui.text.language import _
from bntui.trainer.bench import Bench, from_recording, from_scenario
from bntui.trainer.cores.crew import Crew
from bntui.trainer.cores.template import Template
from bntui.trainer.create_recording import created, folder_of, meta_of, publish, scenario_of
from bntui.trainer.data.dataset import Scaling, fit_scaling
from bntui.trainer.first_failure import FailureWatch, kinds_of
from bntui.trainer.fork_checks import epoch_of, refuse_a_rest, refuse_at_its_end, refuse_one_more
from bntui.trainer.replay import Past
from bntui.trainer.resumptions import Resumptions, departure
from bntui.trainer.run import Run
from bntui.trainer.write_behind import WriteBehind


class Session:
    """Trains several runs in turn into one recording."""

    def __init__(self, bench: Bench, writer: Writer, hold: Hold, template: Template | None) -> None:
        """``hold`` locks the recording; :meth:`close` releases it.  ``template`` forks workers."""
        self._recorder = WriteBehind(writer)
        self._crew = Crew(self._recorder, template if bench.device.type == "cpu" else None, cores())
        self._hold = hold
        self.runs: list[Run] = []
        """The runs that this session trains, without those that were already over."""
        self._bench = bench
        self._past = Past(lambda: self.writer.path, self._make)
        self._scalings: dict[int, Scaling] = {}
        """Feature scaling by run."""
        self._resumptions = Resumptions(self._recorder, bench.device)

    @classmethod
    def begin(
        cls,
        scenario: Scenario,
        recording: Path | None,
        overrides: Sequence[tuple[str, object]] = (),
        template: Template | None = None,
        bench: Bench | None = None,
    ) -> Session:
        """Load the data, build the runs, and record their initial states.

        Args:
            recording: path of the new recording; by default a new name in the user's folder.
            overrides: settings from the command line, to be recorded.
            template: forks worker processes that train the runs; by default, this process does.
            bench: the data, if it is loaded already.

        Raises:
            ScenarioError: the configuration does not fit the data.
            DataError: the data is missing or damaged.
            DeviceError: the device is not available.
            StorageError: the recording cannot be written.
        """
        bench = bench or from_scenario(scenario.runs[0].config, folder_of(scenario))
        _check(scenario.runs, bench.facts)
        session = cls(bench, *created(scenario, recording, meta_of(scenario, bench, overrides)), template)
        try:
            with session.writer.together():
                session._begin(scenario)
            session._hold = publish(session.writer, session._hold, scenario, chosen=recording is not None)
        except BaseException:
            session.writer.discard()
            session._hold.release()
            raise
        return session

    def _begin(self, scenario: Scenario) -> None:
        """Record the samples and the initial state of every run."""
        self._bench.record(self.writer)
        for index, run in enumerate(scenario.runs):
            self._scalings[index] = fit_scaling(run.config.data.scaling, self._bench.data.x[self._bench.train])
            made = self._built(index, run.name, run.config)
            self._add(made, run.config.record.budget * 1e6 / len(scenario.runs))
            self.runs.append(made)

    @classmethod
    def resume(cls, path: Path, *, all_runs: bool = True, template: Template | None = None) -> Session:
        """Resume a recording: every run that is not over continues from its last keyframe.

        A recording without keyframes starts again from its scenario.

        Args:
            all_runs: if false, no run continues, because the session will only train a fork.
            template: see :meth:`begin`.

        Raises:
            RecordingError: the file is damaged, is not a recording, is from a newer version, or another trainer
                writes it.
            DataError: the data file is missing or has changed.
            DeviceError: no device is available.
            StorageError: the recording cannot be written.
        """
        held = Hold(path)
        writer = None
        try:
            with closing(Recording(path)) as reader:
                empty = not has_keyframes(reader)
                if empty and not all_runs:
                    raise nothing_recorded(path)
                if not empty and any(reader.place(run.index) is None for run in reader.runs):
                    raise RecordingError(_("{path} is damaged: a run has no keyframe").format(path=path))
                reader.verify_runs()
                if empty:
                    scenario = scenario_of(reader)
                    bench = from_scenario(scenario.runs[0].config, folder_of(scenario))
                    _check(scenario.runs, bench.facts)
                else:
                    bench = from_recording(reader, configuration(reader.runs[0].config))
            writer = Writer.reopen(path)
            session = cls(bench, writer, held, template)
            if empty:
                with writer.together():
                    writer.clear()
                    session._begin(scenario)
                return session
            with closing(Recording(path)) as reader:
                for run in reader.runs if all_runs else ():
                    session._restore_run(reader, run)
        except BaseException:
            if writer is not None:
                writer.abandon()
            held.release()
            raise
        return session

    def write_behind(self) -> None:
        """From now on, record in a thread while training goes on, if there is a core for it."""
        if cores() > 1:
            self._recorder.start()

    @property
    def writer(self) -> Writer:
        """The writer, once everything that was recorded so far is written.

        Raises:
            StorageError: it could not be written.
        """
        return self._recorder.writer

    @property
    def keyframes(self) -> int:
        """Number of keyframes that are written by now, or within milliseconds."""
        return self._recorder.keyframes

    @property
    def moved(self) -> bool:
        """True if the recording was moved or deleted; also renews the lock if its folder was removed.  Thread-safe."""
        self._hold.renew()
        return self._hold.moved()

    def follow(self) -> bool:
        """Continue at the recording's current path, if it was moved; False if the caller must try again.

        Raises:
            StorageError: the recording was deleted, or its path is unknown; see :meth:`leave`.
        """
        before = self._hold.recording
        if not self._hold.moved():  # it was moved back
            return True
        path = self._hold.place()
        try:
            self._hold.rename(path)
        except RecordingError:  # locked by a trainer that has not noticed yet that its own recording was moved
            return False
        try:
            self.writer.follow(path)
        except StorageError:  # blocked by readers
            self._hold.rename(before)
            return False
        return True

    def leave(self) -> None:
        """Close a recording that cannot be followed; everything that was trained is saved in that file if possible."""
        self._crew.close()
        self._recorder.close()
        with suppress(StorageError):
            self.interrupt()
            self.writer.flush()
        self.writer.leave()
        self._hold.release()

    def close(self) -> None:
        """Write waiting evidence, close the recording as a single file, and release the lock."""
        self._crew.close()
        try:
            self._recorder.close()
            self.writer.close()
        finally:
            self._hold.release()

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that train runs of this session."""
        return self._crew.workers

    @property
    def trouble(self) -> str:
        """What happened to a worker process; empty if nothing did."""
        return self._crew.trouble

    @property
    def over(self) -> bool:
        """True if all runs have finished, stopped early or diverged."""
        return all(run.over for run in self.runs)

    @property
    def furthest_behind(self) -> float:
        """The smallest number of completed epochs among the runs that are not over; 0 if all are."""
        return min((run.epoch for run in self.runs if not run.over), default=0.0)

    def active(self, goals: Mapping[int, float] | None = None) -> list[Run]:
        """The runs that are not over; with ``goals`` (epochs by run), those that have not reached theirs."""
        left = [run for run in self.runs if not run.over]
        if goals is None:
            return left
        return [run for run in left if run.epoch < goals.get(run.info.index, 0) - SAME_EPOCH]

    def epoch(self, interrupted: Callable[[], bool], goals: Mapping[int, float] | None = None) -> None:
        """Train every run to the end of the current epoch of the run that is furthest behind.

        Args:
            interrupted: called before every step; stops the training after the step if true.
            goals: epochs by run; no other run is trained, and none beyond its goal.
        """
        active = self.active(goals)
        self._resumptions.say(active)
        target = int(min((run.epoch for run in active), default=0.0)) + 1
        if goals is None:
            self._crew.train(active, target, interrupted)
            return
        self._crew.recall()
        for run in active:
            if run.epoch < target:
                run.train_epoch(self._recorder, interrupted, goals[run.info.index])
            if interrupted():
                return

    def step(self, goals: Mapping[int, int]) -> None:
        """Do one measured step in every run that has not reached its goal.

        Args:
            goals: number of steps to complete, by run.
        """
        self._crew.recall()
        behind = [run for run in self.active() if run.step < goals.get(run.info.index, 0)]
        self._resumptions.say(behind)
        for run in behind:
            run.train_step(self.writer, measured=True)

    def fork(
        self,
        parent: int,
        step: int,
        changes: Sequence[tuple[str, object]],
        agenda: Callable[[RunInfo], str] | None = None,
    ) -> RunInfo:
        """Create a run that starts from another one's state after a keyframe.

        Args:
            parent: number of the other run.
            step: step of one of its keyframes.
            changes: key paths and new values.
            agenda: gives the remaining requests as text, stored in the same transaction; None leaves them unchanged.

        Raises:
            ScenarioError: the changes are not valid, or the fork has nothing to train.
            UsageError: the parent has no keyframe at this step, or the recording can have no more runs.
            RecordingError: the recording is damaged.
        """
        self.writer.flush()
        with closing(Recording(self.writer.path)) as reader:
            infos, epoch = reader.runs, epoch_of(reader, parent, step)
            refuse_one_more(len(infos))
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
            self._resumptions.add_circumstances(child)
            if agenda is not None:
                self.writer.plan(agenda(child.info))
            self._resumptions.say([child])
        self.runs.append(child)
        return child.info

    def goal_of(self, fork: RunInfo) -> float:
        """The epoch that a fork comes to alone: where its parent stands, or its own end if its parent is over."""
        assert fork.fork is not None
        with closing(Recording(self.writer.path)) as reader:
            parent = fork.fork.run
            over = is_over(event.kind for event in reader.events(parent))
            last = reader.place(parent)
            assert last is not None
            return fork.epochs if over else last.epoch

    def note(self, run: int, step: int, text: str) -> None:
        """Record a note at a keyframe.

        Raises:
            UsageError: the run has no keyframe at this step.
        """
        self.writer.flush()
        with closing(Recording(self.writer.path)) as reader:
            event = note(reader, run, step, text)
        self.writer.add_events([event])

    def interrupt(self) -> None:
        """Record that the user stopped the runs that are not over."""
        at = [run for run in self.runs if not run.over]
        self.writer.add_events([run.event("interrupted", INTERRUPTED, {"epoch": run.epoch}) for run in at])

    def _add(self, run: Run, budget: float) -> None:
        """Record the first rows of a run: its description, its initial state, and events about it."""
        scaling = self._scaling(run.info.index)
        block = pack_arrays({"offset": scaling.offset, "factor": scaling.factor}, {"kind": scaling.kind})
        self.writer.add_run(run.info, block, budget)
        run.watcher = FailureWatch(self._past, run.step)
        run.begin(self.writer)
        self.writer.add_events(departure(run))

    def _restore_run(self, reader: Recording, info: RunInfo) -> None:
        """Restore a recorded run at its last step, if it is not over."""
        kinds = {event.kind for event in reader.events(info.index)}
        over = is_over(kinds)
        if over and reader.has_checkpoint(info.index, "final"):
            return
        last = reader.place(info.index)
        assert last is not None
        run = self._past.reach(info.index, last.step)
        run.over = over
        run.told = kinds_of(kinds)
        run.watcher = FailureWatch(self._past, run.step)
        run.set_progress(replace(run.progress, wall=last.wall_time))
        if over:  # the trainer was killed after the last keyframe, before it stored the final weights
            run.finish(self.writer)
            return
        self._resumptions.add(run)
        self.runs.append(run)

    def _make(self, info: RunInfo) -> Run:
        """Build a recorded run again, in its initial state."""
        return self._built(info.index, info.name, configuration(info.config), info.fork)

    def _built(self, index: int, name: str, config: RunConfig, fork: Fork | None = None) -> Run:
        samples = self._bench.samples(config, self._scaling(index))
        return Run(index, name, config, samples, self._bench.device, fork)

    def _scaling(self, index: int) -> Scaling:
        if index not in self._scalings:
            with closing(Recording(self.writer.path)) as reader:
                recorded: Any = reader.scaling(index)
            self._scalings[index] = Scaling(recorded.kind, recorded.offset, recorded.factor)
        return self._scalings[index]


def _check(runs: Sequence[NamedRun], facts: DataFacts) -> None:
    """Raise ScenarioError if a network, batch size or monitor does not fit the loaded data."""
    found = dict.fromkeys(problem for run in runs for problem in problems(run.config, facts))
    if found:
        raise ScenarioError(tuple(found))

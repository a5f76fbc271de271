"""Trains one run and records its keyframes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import Tensor

from bntui.keyframe import Keyframe
from bntui.recording.codec import pack_arrays
from bntui.recording.evidence import Evidence, TrainerState
from bntui.recording.history import SAME_EPOCH, Event, Fork, RunInfo
from bntui.recording.sentences import EventKind
from bntui.scenario.schema import RunConfig
from bntui.trainer import end_events
from bntui.trainer.batches import Batch, Epoch
from bntui.trainer.device import threads
from bntui.trainer.draw import Draws
from bntui.trainer.epoch_length import EpochLength
from bntui.trainer.grid import predict
from bntui.trainer.network import build
from bntui.trainer.optim import learning_rate
from bntui.trainer.probes import array, weights_digest
from bntui.trainer.progress import Progress, fields_of
from bntui.trainer.recorder import RunWriter
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.score import Score
from bntui.trainer.step import MeasuredStep, Stepper
from bntui.trainer.taken_step import StepMetrics, TakenStep, early_stopping, observe_epoch
from bntui.trainer.validate import validate

P = ParamSpec("P")
Result = TypeVar("Result")


def _with_its_threads(work: Callable[Concatenate[Run, P], Result]) -> Callable[Concatenate[Run, P], Result]:
    """Let a method of a run compute with as many threads as its scenario says."""

    @wraps(work)
    def threaded(run: Run, /, *args: P.args, **named: P.kwargs) -> Result:
        with threads(run.config.training.threads):
            return work(run, *args, **named)

    return threaded


class Run:
    """Trains one network with one configuration and records its keyframes.

    Without a writer, the steps are the same but nothing is recorded, which is used to restore an earlier keyframe.
    """

    def __init__(
        self,
        index: int,
        name: str,
        config: RunConfig,
        samples: DeviceSamples,
        device: torch.device,
        fork: Fork | None = None,
    ) -> None:
        self.config = config
        self.samples = samples
        self.device = device
        noise = config.data.input_noise
        self.network = build(config.network, samples.x.shape[1:], samples.outputs, config.seed, device, noise)
        draws = Draws(config.seed, device)
        self.stepper = Stepper(config.training, samples.task, self.network, draws, device, config.record)
        self._length = EpochLength(len(samples.x), config.data)
        self.steps_per_epoch = self._length.steps
        self.info = RunInfo(
            index, name, config.model_dump(mode="json"), self.network.layers, self.steps_per_epoch, str(device),
            fork=fork,
        )  # fmt: skip
        self.over = False
        """The run has finished, stopped early or diverged."""
        self.departed: int | None = None
        """The first step at which the weights differ from the recorded ones; None if they are equal."""
        self.watcher: Watcher | None = None
        self.told: set[EventKind] = set()
        """Kinds of trouble that are already recorded; each is reported once."""
        self._at = Progress()
        self._bare = 0
        """Steps done since, without measuring them; see :meth:`_train_bare`."""
        self.best: dict[str, Tensor] | None = None
        """State of the best epoch, if early stopping restores it."""
        self._epoch = Epoch(samples, config.data, config.seed)
        self._start_epoch()

    # --- state ---

    @property
    def progress(self) -> Progress:
        """The state of the run apart from tensors."""
        return replace(self._at, sums=self._score.sums())

    @property
    def step(self) -> int:
        """Completed optimizer steps."""
        return self._at.step + self._bare

    @property
    def epoch(self) -> float:
        """Completed epochs; a whole number at the end of an epoch."""
        return self._length.epochs_at(self._at.epoch, self._at.offset)

    @property
    def order(self) -> Tensor:
        """The samples in the order of the current epoch, on the CPU; int64."""
        return self._epoch.order

    @property
    def batches(self) -> list[Batch]:
        """The mini-batches of the current epoch that were not used yet."""
        return self._epoch.left

    @property
    def best_step(self) -> int | None:
        """The step whose weights early stopping would restore; None if it restores none."""
        rule = self.config.training.early_stopping
        return self._at.best_step or None if rule is not None and rule.restore_best_weights else None

    def load(self, state: TrainerState) -> None:
        """Restore a recorded state, which is that before the step of a keyframe."""
        kept = state.evidence
        self.network.load({name: torch.tensor(values) for name, values in kept.before.items()})
        self.stepper.optimizer.load({key: torch.tensor(values) for key, values in kept.optimizer.items()})
        self.set_progress(Progress.parse(state.progress))

    @property
    def state(self) -> TrainerState:
        """The state before the next step; the inverse of :meth:`load`."""
        before = {name: array(tensor).copy() for name, tensor in self.network.state().items()}
        averages = {key: array(value).copy() for key, value in self.stepper.optimizer.state().items()}
        return TrainerState(Evidence(before, averages), self.progress.text())

    def follow(self, progress: Progress, *, over: bool) -> None:
        """Stand where this run has come to in another process; the tensors stay as they are until they are loaded."""
        self._at, self.over = progress, over

    @property
    def left(self) -> int:
        """Samples of the current epoch that were not used yet."""
        return len(self.samples.x) - self._at.offset

    def keep_best(self, other: Run) -> None:
        """Keep the state of another run as that of the best epoch."""
        self.best = {name: tensor.clone() for name, tensor in other.network.state().items()}

    def set_progress(self, progress: Progress) -> None:
        """Set the state apart from tensors, which the caller restores."""
        self._at = progress
        self._start_epoch()
        self._score = Score(self.samples.task, progress.sums)

    # --- training ---

    @_with_its_threads
    def begin(self, writer: RunWriter) -> None:
        """Record the initial state: the first full mini-batch through the network, no update, no side effects."""
        started = time.perf_counter()
        score, self._score = self._score, Score(self.samples.task)
        progress = replace(self._at, sums=score.sums())
        batch = self._epoch.next_full
        taken = self.stepper.measured(batch.x, batch.y, self.step, lr=None)
        self._score.add(taken.loss, taken.output, batch.y)
        self._record(writer, TakenStep(taken, progress, batch.range, self._lr(), initial=True), started)
        self._score = score

    @_with_its_threads
    def train_epoch(self, writer: RunWriter, interrupted: Callable[[], bool], goal: float = math.inf) -> None:
        """Train to the end of the current epoch, or of the current step when interrupted, or to a ``goal`` in epochs.

        A keyframe is recorded where the run is interrupted, at the goal, and where it ends, whatever ``[record] every``
        is.
        """
        every = self.config.record.every
        while not self.over:
            leave = self._train_bare(interrupted, goal)
            last = self._epoch.next.last
            due = last if every == "epoch" else (self.step + 1) % int(every) == 0 or (last and self.may_end)
            self.train_step(writer, measured=due or leave)
            if last or leave:
                return

    def _train_bare(self, interrupted: Callable[[], bool], goal: float) -> bool:
        """Do steps without measuring them, up to the next one to be measured or the last one of the epoch.

        Returns:
            True if training is to be left after the next step.
        """
        started, at, every = time.perf_counter(), self._at, self.config.record.every
        interval = math.inf if every == "epoch" else int(every)
        warmup = self.config.training.schedule.warmup_epochs * self.steps_per_epoch
        lr, leave = self._lr(), False
        bare, add = self.stepper.bare, self._score.add
        with self.stepper.training():
            for batch in self._epoch.left:
                leave = interrupted() or (goal < math.inf and self._after(batch) >= goal - SAME_EPOCH)
                step = at.step + self._bare
                if leave or batch.last or (step + 1) % interval == 0:
                    break
                if warmup:
                    lr = self.lr_at(batch.start)
                add(*bare(batch.x, batch.y, step, lr), batch.y)
                self._bare += 1
        if self._bare:
            self._epoch.use(self._bare)
            wall = at.wall + time.perf_counter() - started
            self._at = replace(at, step=at.step + self._bare, offset=self._epoch.next.start, wall=wall)
            self._bare = 0
        return leave

    def _after(self, batch: Batch) -> float:
        """Epochs done after a mini-batch."""
        epoch = self._at.epoch
        return epoch + 1 if batch.last else self._length.epochs_at(epoch, batch.stop)

    @property
    def may_end(self) -> bool:
        """True if the current epoch may be the last one of the run."""
        rule = self.config.training.early_stopping
        patience = rule is not None and self._at.patience.wait + 1 >= rule.patience
        return patience or self._at.epoch + 1 >= self.config.training.epochs

    @_with_its_threads
    def train_step(
        self, writer: RunWriter | None, *, measured: bool = False, events: Iterable[Event] = ()
    ) -> MeasuredStep | None:
        """Do one optimizer step.

        Args:
            writer: records the step if it is measured or ends an epoch.
            measured: measure the step.
            events: events known to happen in this step.  The step is then recorded on behalf of another run, so this
                one does not end.

        Returns:
            The measured step; None if it was not measured.
        """
        started = time.perf_counter()
        batch, lr = self._epoch.next, self._lr()
        before, taken = self._at, None
        if measured:
            before = self.progress
            taken = self.stepper.measured(batch.x, batch.y, self.step, lr)
            self._score.add(taken.loss, taken.output, batch.y)
        else:
            with self.stepper.training():
                self._score.add(*self.stepper.bare(batch.x, batch.y, self.step, lr), batch.y)
        self._epoch.use()
        at, now, last = self._at, time.perf_counter(), batch.last
        offset = 0 if last else batch.stop
        self._at = replace(at, step=at.step + 1, epoch=at.epoch + last, offset=offset, wall=at.wall + now - started)
        if last or (taken is not None and writer is not None):
            self._record(writer, TakenStep(taken, before, batch.range, lr, epoch_end=last), now, events)
        return taken

    def record_epoch(self, writer: RunWriter, score: Score, lr: float, started: float) -> None:
        """Record an epoch whose steps a stack of runs did; see :mod:`bntui.trainer.stack`.

        Args:
            writer: records the epoch's scalars.
            score: that of the epoch's mini-batches.
            lr: learning rate of the last step.
            started: ``time.perf_counter()`` at the beginning of the epoch.
        """
        before = self._at
        self._at = replace(before, step=before.step + self.steps_per_epoch, epoch=before.epoch + 1)
        self._score = score
        self._record(writer, TakenStep(None, before, slice(0), lr, epoch_end=True), started)

    def advance(self, steps: int, score: Score, started: float) -> None:
        """Stand after steps of the current epoch, but not its last one, that a stack of runs did.

        Args:
            score: that of their mini-batches.
            started: see :meth:`record_epoch`.
        """
        before = self._at
        self._epoch.use(steps)
        wall = before.wall + time.perf_counter() - started
        self._at = replace(before, step=before.step + steps, offset=self._epoch.next.start, wall=wall)
        self._score = score

    def lr_at(self, offset: int) -> float:
        """Learning rate of the step that starts after so many samples of the current epoch."""
        step = self._length.steps_at(self._at.epoch, offset)
        return learning_rate(self.config.training, step, self.steps_per_epoch, self._at.plateau)

    def _lr(self) -> float:
        return self.lr_at(self._at.offset)

    def _start_epoch(self) -> None:
        """Shuffle the samples into the order of the epoch, so that each mini-batch is a slice."""
        self._epoch.shuffle(self._at.epoch, self._at.offset)
        self._score = Score(self.samples.task)

    # --- recording ---

    def _record(
        self,
        writer: RunWriter | None,
        step: TakenStep,
        started: float,
        events: Iterable[Event] = (),
    ) -> None:
        """Complete a step: validate, update early stopping, and with a writer record a row.

        Args:
            step: the step; unless it was measured, its row has only an epoch's scalars.
            started: ``time.perf_counter()`` at which this work started.
            events: see :meth:`train_step`.
        """
        figures = StepMetrics(*self._score.fold(), *validate(self.network, self.samples, self.config, self.step))
        best = step.epoch_end and self._observe(figures)
        happened = list(events)
        ended = None
        if not happened:
            losses = end_events.StepLosses(figures.train_loss, figures.val_loss, self._score.sums(), step.initial)
            told = end_events.ended(self.config.training, self._at, losses, epoch_end=step.epoch_end)
            ended = None if told is None else self.event(*told)
        if writer is not None and self.watcher is not None:
            happened += self.watcher(self, writer, step.measured, figures.train_loss, figures.val_loss)
        self.over = ended is not None
        self._at = replace(self._at, wall=self._at.wall + time.perf_counter() - started)
        if writer is not None:
            evidence = None if step.measured is None else step.packed
            happened += [ended] if ended is not None else []
            with writer.together():
                writer.commit(
                    self._keyframe(step, figures), epoch_end=step.epoch_end, best=best, evidence=evidence,
                    events=happened,
                )  # fmt: skip
                if self.over:
                    self.finish(writer)
        if step.epoch_end and not self.over:
            self._start_epoch()

    def _keyframe(self, step: TakenStep, figures: StepMetrics) -> Keyframe:
        taken, grid = step.measured, self.samples.grid
        return Keyframe(
            run=self.info.index,
            step=self.step,
            epoch=self.epoch,
            lr=step.lr,
            batch_loss=math.nan if taken is None else float(taken.loss),
            **fields_of(figures),
            wall_time=self._at.wall,
            batch_indices=self._epoch.order[slice(0) if taken is None else step.batch].numpy(),
            layers=() if taken is None else taken.layers,
            early_stopping=early_stopping(self.config.training.early_stopping, self._at.patience),
            weights_digest=self.digest(),
            predictions=None if grid is None or taken is None else predict(self.network, grid, self.samples.task),
        )

    def digest(self) -> str:
        """Digest of the current parameters and buffers."""
        return weights_digest(self.network.state())

    def _observe(self, figures: StepMetrics) -> bool:
        """Update early stopping and reduce-on-plateau after an epoch; True if the epoch is the best so far."""
        rule = self.config.training.early_stopping
        self._at, best = observe_epoch(self.config.training, self._at, figures)
        if best and rule is not None and rule.restore_best_weights:
            self.best = {name: tensor.clone() for name, tensor in self.network.state().items()}
        return best

    def event(self, kind: EventKind, sentence: str, arguments: Mapping[str, object]) -> Event:
        """An event at the current step."""
        return Event.of(self.info.index, self.step, self.epoch, kind, sentence, **arguments)

    def finish(self, writer: RunWriter) -> None:
        """Store the final weights: those of the best epoch if early stopping restores them, else the last ones."""
        step, events = self.step, []
        if self.best is not None:
            step = self._at.best_step
            self.network.load(self.best)
            events.append(self.event("restored_best", *end_events.restored(self._at.patience)))
        state_arrays = {name: array(tensor) for name, tensor in self.network.state().items()}
        writer.checkpoint(self.info.index, "final", step, pack_arrays(state_arrays), events)


Watcher = Callable[["Run", RunWriter, MeasuredStep | None, float, float], list[Event]]
"""Checks a step before it is recorded, given the training and the validation loss.  Returns the events in it, and those
in earlier steps that could not be recorded as keyframes."""

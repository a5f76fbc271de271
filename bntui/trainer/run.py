"""Trains one run, from epoch to epoch, and records what it measures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bntui.keyframe import Keyframe
from bntui.recording.codec import pack_arrays
from bntui.recording.evidence import TrainerState
from bntui.recording.history import Event, Fork, RunInfo
from bntui.recording.sentences import EventKind
from bntui.scenario.schema import RunConfig
from bntui.trainer import end_events
from bntui.trainer.draw import Draws, permutation
from bntui.trainer.grid import predict
from bntui.trainer.network import Stage, build
from bntui.trainer.optim import learning_rate
from bntui.trainer.probes import array, weights_digest
from bntui.trainer.progress import Progress
from bntui.trainer.samples import DeviceSamples
from bntui.trainer.score import Score
from bntui.trainer.step import Measured, Stepper, drawn
from bntui.trainer.taken_step import Figures, TakenStep, early_stopping, observe_epoch
from bntui.trainer.validate import evaluate, forget_eval

if TYPE_CHECKING:
    from bntui.recording.writer import Writer


class Run:
    """Trains one network under one configuration and records its keyframes.

    Without a writer the same steps are taken and nothing is recorded: so an earlier keyframe is reached again.
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
        batches = len(samples.x) / config.data.batch_size
        self.steps_per_epoch = math.floor(batches) if config.data.last_batch == "drop" else math.ceil(batches)
        self.info = RunInfo(
            index, name, config.model_dump(mode="json"), self.network.layers, self.steps_per_epoch, str(device),
            fork=fork,
        )  # fmt: skip
        self.over = False
        """Finished, stopped early or diverged."""
        self.departed: int | None = None
        """Step from which on it is no longer the recorded run, where it was to be the same."""
        self.watcher: Watcher | None = None
        self.told: set[EventKind] = set()
        """Kinds of trouble that are in the recording already: each is looked for once."""
        self._at = Progress()
        self.best: dict[str, Tensor] | None = None
        """State of the best epoch, where early stopping is to restore it."""
        self._start_epoch()

    # --- where it stands ---

    @property
    def progress(self) -> Progress:
        """All of its state that is not a tensor."""
        return replace(self._at, sums=self._score.sums())

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._at.step

    @property
    def epoch(self) -> float:
        """Epochs done; whole at an epoch's end."""
        return self._virtual_step / self.steps_per_epoch

    @property
    def _virtual_step(self) -> float:
        """Steps that would have led here with this batch size all along: a fork may have changed it."""
        return self._at.epoch * self.steps_per_epoch + self._at.offset / self.config.data.batch_size

    @property
    def best_step(self) -> int | None:
        """Step whose weights early stopping would restore; None where it restores none."""
        rule = self.config.training.early_stopping
        return self._at.best_step or None if rule is not None and rule.restore_best_weights else None

    def load(self, state: TrainerState) -> None:
        """Take up the state that a keyframe's evidence holds: that of before its step."""
        kept = state.evidence
        self.network.load({name: torch.tensor(values) for name, values in kept.before.items()})
        self.stepper.optimizer.load({key: torch.tensor(values) for key, values in kept.optimizer.items()})
        self.take_up(Progress.parse(state.progress))

    @property
    def left(self) -> int:
        """Samples of the epoch under way that were not learned from yet."""
        return len(self.samples.x) - self._at.offset

    def keep_best(self, other: Run) -> None:
        """Another run stands where this one was at its best."""
        self.best = {name: tensor.clone() for name, tensor in other.network.state().items()}

    def take_up(self, progress: Progress) -> None:
        """Stand where ``progress`` says; the tensors are somebody else's matter."""
        self._at = progress
        self._start_epoch()
        self._score = Score(self.samples.task, progress.sums)

    # --- training ---

    def begin(self, writer: Writer) -> None:
        """Record the initial state: the first mini-batch through the network, no update, no side effects."""
        started = time.perf_counter()
        score, self._score = self._score, Score(self.samples.task)
        progress = replace(self._at, sums=score.sums())
        batch = self._batch()
        taken = self.stepper.measured(self._x[batch], self._y[batch], self.step, lr=None)
        self._score.add(taken.loss, taken.output, self._y[batch])
        self._record(writer, TakenStep(taken, progress, batch, self._lr(), initial=True), started)
        self._score = score

    def train_epoch(self, writer: Writer, interrupted: Callable[[], bool]) -> None:
        """Train to the end of the epoch under way; when interrupted, to the end of the step under way.

        Where the run is interrupted, and where it ends, there is a keyframe, whatever ``[record] every`` says.
        """
        every = self.config.record.every
        while not self.over:
            last = self._is_last()
            leave = interrupted()
            due = last if every == "epoch" else (self.step + 1) % int(every) == 0 or (last and self._may_end())
            self.train_step(writer, measured=due or leave)
            if last or leave:
                return

    def _is_last(self) -> bool:
        """The next mini-batch is the last one of its epoch."""
        size = self.config.data.batch_size
        left = len(self.samples.x) - self._at.offset - size
        return left < (size if self.config.data.last_batch == "drop" else 1)

    def _may_end(self) -> bool:
        """The epoch under way may be the run's last one."""
        rule = self.config.training.early_stopping
        patience = rule is not None and self._at.patience.wait + 1 >= rule.patience
        return patience or self._at.epoch + 1 >= self.config.training.epochs

    def train_step(
        self, writer: Writer | None, *, measured: bool = False, events: Iterable[Event] = ()
    ) -> Measured | None:
        """One optimizer step; measured, and recorded where there is a writer, or bare.

        Args:
            events: what is known to happen in this step.  It is then recorded for another run, which goes on.
        """
        started = time.perf_counter()
        batch, last = self._batch(), self._is_last()
        x, y = self._x[batch], self._y[batch]
        lr = self._lr()
        before, taken = self._at, None
        if measured:
            before = self.progress
            taken = self.stepper.measured(x, y, self.step, lr)
            self._score.add(taken.loss, taken.output, y)
        else:
            self._score.add(*self.stepper.bare(x, y, self.step, lr), y)
        at, now = self._at, time.perf_counter()
        offset = 0 if last else at.offset + len(x)
        self._at = replace(at, step=at.step + 1, epoch=at.epoch + last, offset=offset, wall=at.wall + now - started)
        if last or (taken is not None and writer is not None):
            self._record(writer, TakenStep(taken, before, batch, lr, epoch_end=last), now, events)
        return taken

    def _lr(self) -> float:
        return learning_rate(self.config.training, self._virtual_step, self.steps_per_epoch, self._at.plateau)

    def _start_epoch(self) -> None:
        """Put the samples into the epoch's order once, so that a mini-batch is a slice."""
        data = self.samples
        self._order = permutation(self.config.seed, self._at.epoch, len(data.x))
        order = self._order.to(self.device)
        self._x, self._y = data.x[order], data.y[order]
        self._score = Score(data.task)

    def _batch(self) -> slice:
        return slice(self._at.offset, self._at.offset + self.config.data.batch_size)

    def _validate(self) -> tuple[float, float]:
        """Mean loss and accuracy over the validation part, in the mode that the scenario says; changes nothing."""
        data, training = self.samples, self.config.training
        if training.validation_mode == "evaluation":
            return evaluate(self.network, data.x_val, data.y_val, data.task)
        size = training.validation_batch or self.config.data.batch_size

        def draw(number: int) -> Callable[[Stage, Tensor], Tensor]:
            draws = Draws(self.config.seed, self.device, "validation", number)
            return lambda stage, x: drawn(draws, self.network, stage, self.step, x)[0]

        return forget_eval(self.network, data.x_val, data.y_val, data.task, size, draw)

    # --- recording ---

    def _record(self, writer: Writer | None, step: TakenStep, started: float, events: Iterable[Event] = ()) -> None:
        """What follows from a step; with a writer, a keyframe of it (at an epoch's end without one: its scalars)."""
        figures = Figures(*self._score.fold(), *self._validate())
        best = step.epoch_end and self._observe(figures)
        happened = list(events)
        ended = None
        if not happened:
            losses = end_events.Losses(figures.train_loss, figures.val_loss, self._score.sums(), step.initial)
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

    def _keyframe(self, step: TakenStep, figures: Figures) -> Keyframe:
        taken, grid = step.measured, self.samples.grid
        return Keyframe(
            run=self.info.index,
            step=self.step,
            epoch=self.epoch,
            lr=step.lr,
            batch_loss=math.nan if taken is None else float(taken.loss),
            **asdict(figures),
            wall_time=self._at.wall,
            batch_indices=self._order[slice(0) if taken is None else step.batch].numpy(),
            layers=() if taken is None else taken.layers,
            early_stopping=early_stopping(self.config.training.early_stopping, self._at.patience),
            weights_digest=self.digest(),
            predictions=None if grid is None or taken is None else predict(self.network, grid, self.samples.task),
        )

    def digest(self) -> str:
        """Digest of all parameters and buffers as they are now."""
        return weights_digest(self.network.state())

    def _observe(self, figures: Figures) -> bool:
        """Early stopping and plateau after an epoch; True if it was the best so far."""
        rule = self.config.training.early_stopping
        self._at, best = observe_epoch(self.config.training, self._at, figures)
        if best and rule is not None and rule.restore_best_weights:
            self.best = {name: tensor.clone() for name, tensor in self.network.state().items()}
        return best

    def event(self, kind: EventKind, sentence: str, arguments: Mapping[str, object]) -> Event:
        """Something that happens now."""
        return Event.of(self.info.index, self.step, self.epoch, kind, sentence, **arguments)

    def finish(self, writer: Writer) -> None:
        """Keep the final weights: the best epoch's where early stopping restores them, else the last ones."""
        step, events = self.step, []
        if self.best is not None:
            step = self._at.best_step
            self.network.load(self.best)
            events.append(self.event("restored_best", *end_events.restored(self._at.patience)))
        state_arrays = {name: array(tensor) for name, tensor in self.network.state().items()}
        writer.checkpoint(self.info.index, "final", step, pack_arrays(state_arrays), events)


Watcher = Callable[["Run", "Writer", Measured | None, float, float], list[Event]]
"""Looks at a step before it is recorded, with the training and the validation loss.  What happened in it, or in a step
before it that it has recorded itself."""

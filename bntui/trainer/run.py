"""One run: its network and its place in the data, from epoch to epoch; what it measures it records."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bntui.keyframe import EarlyStopping, FloatArray, Keyframe
from bntui.recording import sentences
from bntui.recording.codec import pack_arrays
from bntui.recording.history import Event, RunInfo
from bntui.scenario.schema import RunConfig
from bntui.trainer.draw import Draws, permutation
from bntui.trainer.early_stopping import Patience, observe
from bntui.trainer.grid import predict
from bntui.trainer.network import Stage, build
from bntui.trainer.optim import Plateau, learning_rate, observe_plateau
from bntui.trainer.probes import array, weights_digest
from bntui.trainer.score import Score
from bntui.trainer.step import Measured, Stepper, drawn
from bntui.trainer.validate import evaluate, forget_eval

if TYPE_CHECKING:
    from bntui.recording.writer import Writer

NOTHING = torch.empty(0, dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Samples:
    """A run's data on its device, scaled: float32 inputs ``(N, *shape)``; int64 classes or float32 targets."""

    x: Tensor
    y: Tensor
    x_val: Tensor
    y_val: Tensor
    task: str
    outputs: int
    """Classes, or target values per sample."""
    grid: Tensor | None = None
    """Where predictions are recorded, scaled, ``(points, features)``."""


class Run:
    """Trains one network under one configuration and records its keyframes."""

    def __init__(self, index: int, name: str, config: RunConfig, samples: Samples, device: torch.device) -> None:
        self.config = config
        self.samples = samples
        self.device = device
        self.network = build(config.network, samples.x.shape[1:], samples.outputs, config.seed, device)
        draws = Draws(config.seed, device)
        self._stepper = Stepper(config.training, samples.task, self.network, draws, device, config.record)
        batches = len(samples.x) / config.data.batch_size
        self.steps_per_epoch = math.floor(batches) if config.data.last_batch == "drop" else math.ceil(batches)
        self.info = RunInfo(
            index, name, config.model_dump(mode="json"), self.network.layers, self.steps_per_epoch, str(device)
        )
        self.step = 0
        self.over = False
        """Finished, stopped early or diverged."""
        self._plateau = Plateau()
        self._patience = Patience()
        self._best_loss = math.inf
        self._best: tuple[int, dict[str, Tensor]] | None = None
        """Step and state of the best epoch, where early stopping is to restore it."""
        self._wall = 0.0
        self._score = Score(samples.task)
        self._start_epoch()

    @property
    def epoch(self) -> float:
        """Epochs done; whole at an epoch's end."""
        return self.step / self.steps_per_epoch

    def begin(self, writer: Writer) -> None:
        """Record keyframe 0: the first mini-batch through the initial network, no update, no side effects."""
        started = time.perf_counter()
        batch = self._batch()
        taken = self._stepper.measured(self._x[batch], self._y[batch], self.step, lr=None)
        self._score.add(taken.loss, taken.output, self._y[batch])
        self._record(writer, taken, started, batch)
        self._score = Score(self.samples.task)

    def train_epoch(self, writer: Writer, interrupted: Callable[[], bool]) -> None:
        """Train to the end of the epoch under way; when interrupted, to the end of the step under way.

        Where the run is interrupted, and where it ends, there is a keyframe, whatever ``[record] every`` says.
        """
        every = self.config.record.every
        while not self.over:
            number = self.step + 1
            last = number % self.steps_per_epoch == 0
            leave = interrupted()
            due = last if every == "epoch" else number % int(every) == 0 or (last and self._may_end(number))
            self.train_step(writer, measured=due or leave)
            if last or leave:
                return

    def _may_end(self, number: int) -> bool:
        """The epoch that ends with this step may be the run's last one."""
        rule = self.config.training.early_stopping
        patience = rule is not None and self._patience.wait + 1 >= rule.patience
        return patience or number >= self.config.training.epochs * self.steps_per_epoch

    def train_step(self, writer: Writer, *, measured: bool = True) -> None:
        """One optimizer step; measured and recorded, or bare."""
        started = time.perf_counter()
        batch = self._batch()
        x, y = self._x[batch], self._y[batch]
        lr = learning_rate(self.config.training, self.step, self.steps_per_epoch, self._plateau)
        taken = None
        if measured:
            taken = self._stepper.measured(x, y, self.step, lr)
            self._score.add(taken.loss, taken.output, y)
        else:
            self._score.add(*self._stepper.bare(x, y, self.step, lr), y)
        self.step += 1
        if taken is not None or self.step % self.steps_per_epoch == 0:
            self._record(writer, taken, started, batch, lr)
        else:
            self._wall += time.perf_counter() - started

    def _start_epoch(self) -> None:
        """Put the samples into the epoch's order once, so that a mini-batch is a slice."""
        data = self.samples
        self._order = permutation(self.config.seed, self.step // self.steps_per_epoch, len(data.x))
        order = self._order.to(self.device)
        self._x, self._y = data.x[order], data.y[order]
        self._score = Score(data.task)

    def _batch(self) -> slice:
        start = self.step % self.steps_per_epoch * self.config.data.batch_size
        return slice(start, start + self.config.data.batch_size)

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

    def _record(
        self, writer: Writer, taken: Measured | None, started: float, batch: slice, lr: float | None = None
    ) -> None:
        """Commit a keyframe (or, at the end of an epoch that has none, its scalars) and what follows from it."""
        train_loss, train_accuracy = self._score.fold()
        val_loss, val_accuracy = self._validate()
        grid, predictions = self.samples.grid, None
        if grid is not None and taken is not None:
            predictions = predict(self.network, grid, self.samples.task)
        epoch_end = self.step > 0 and self.step % self.steps_per_epoch == 0
        before = np.array([self._plateau.factor, self._plateau.best, self._plateau.bad_epochs])
        events: list[Event] = []
        best = False
        if epoch_end:
            best = self._observe(train_loss, train_accuracy, val_loss, val_accuracy)
        if lr is None:
            lr = learning_rate(self.config.training, 0, self.steps_per_epoch, self._plateau)
        bad = self._score.first_bad
        if bad is not None or not math.isfinite(val_loss):
            events.append(self._diverged(bad, train_loss, val_loss))
        elif self._patience.stopped:
            events.append(self._stopped())
        elif epoch_end and round(self.epoch) >= self.config.training.epochs:
            events.append(self._event("finished", sentences.FINISHED, epochs=self.config.training.epochs))
        self.over = bool(events)
        self._wall += time.perf_counter() - started
        frame = Keyframe(
            run=self.info.index,
            step=self.step,
            epoch=self.epoch,
            lr=lr,
            batch_loss=math.nan if taken is None else float(taken.loss),
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            wall_time=self._wall,
            batch_indices=(NOTHING if taken is None else self._order[batch]).numpy(),
            layers=() if taken is None else taken.layers,
            early_stopping=self._early_stopping(),
            weights_digest=weights_digest(self.network.state()),
            predictions=predictions,
        )

        evidence = None if taken is None else partial(_evidence, taken, before)
        writer.commit(frame, epoch_end=epoch_end, best=best, evidence=evidence, events=events)
        if self.over:
            self._finish(writer)
        elif epoch_end:
            self._start_epoch()

    def _observe(self, train_loss: float, train_accuracy: float, val_loss: float, val_accuracy: float) -> bool:
        """Early stopping and plateau after an epoch; True if it was the best so far."""
        self._plateau = observe_plateau(self.config.training.schedule, self._plateau, val_loss)
        rule = self.config.training.early_stopping
        if rule is None:
            best = val_loss < self._best_loss
            self._best_loss = min(val_loss, self._best_loss)
            return best
        figures = {"loss": train_loss, "val_loss": val_loss, "accuracy": train_accuracy, "val_accuracy": val_accuracy}
        figures |= {"r2": train_accuracy, "val_r2": val_accuracy}
        self._patience = observe(rule, self._patience, round(self.epoch), figures[rule.monitor])
        if rule.restore_best_weights and self._patience.improved:
            self._best = self.step, {name: tensor.clone() for name, tensor in self.network.state().items()}
        return self._patience.improved

    def _early_stopping(self) -> EarlyStopping | None:
        rule, state = self.config.training.early_stopping, self._patience
        if rule is None:
            return None
        return EarlyStopping(
            rule.monitor, state.best, state.best_epoch, state.wait, rule.patience, state.stopped, state.reason
        )

    def _event(self, kind: str, sentence: str, /, **arguments: object) -> Event:
        return Event.of(self.info.index, self.step, self.epoch, kind, sentence, **arguments)

    def _stopped(self) -> Event:
        rule, state = self.config.training.early_stopping, self._patience
        assert rule is not None
        sentence = sentences.STOPPED if state.best_epoch else sentences.STOPPED_ALL
        figures = {"best_epoch": state.best_epoch, "wait": state.wait, "patience": rule.patience}
        return self._event("stopped_early", sentence, epoch=round(self.epoch), monitor=rule.monitor, **figures)

    def _diverged(self, bad: int | None, train_loss: float, val_loss: float) -> Event:
        if bad is None:
            return self._event("diverged", sentences.DIVERGED_VALIDATION, loss=_spelled(val_loss), step=self.step)
        if not self.step:
            return self._event("diverged", sentences.DIVERGED_INITIAL, loss=_spelled(train_loss))
        first = (math.ceil(self.epoch) - 1) * self.steps_per_epoch + bad + 1
        return self._event("diverged", sentences.DIVERGED_TRAINING, loss=_spelled(train_loss), step=first)

    def _finish(self, writer: Writer) -> None:
        """Keep the final weights: the best epoch's where early stopping restores them, else the last ones."""
        step, events = self.step, []
        if self._best is not None:
            step, state = self._best
            self.network.load(state)
            epoch = step // self.steps_per_epoch
            events.append(self._event("restored_best", sentences.RESTORED, epoch=epoch))
        state_arrays = {name: array(tensor) for name, tensor in self.network.state().items()}
        writer.checkpoint(self.info.index, "final", step, pack_arrays(state_arrays), events)


def _evidence(taken: Measured, plateau: FloatArray) -> bytes:
    return pack_arrays({**taken.evidence(), "schedule/plateau": plateau})


def _spelled(loss: float) -> str:
    return sentences.NAN if math.isnan(loss) else sentences.INFINITE

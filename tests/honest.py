"""Records honest runs of every kind: how a run can begin, be stopped, killed, resumed, forked, and end.

Each maker writes one recording to a path, with the real trainer.  No check of the audit may fail on any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from bntui.recording.reader import Reader
from bntui.recording.seeds import SeedPiece
from bntui.scenario.load import Override, parse
from bntui.study.bands import SeedTrial, job_of, missing
from bntui.study.together import trained_together
from bntui.study.trial import Epochs
from bntui.trainer.agenda import Agenda
from bntui.trainer.session import Session
from bntui.trainer.step import Stepper

BASE = """
title = "Honest"
seed = 4
[data]
source = "blobs"
samples = 44
scaling = "standard"
batch_size = 8
[network]
hidden = [5, 4]
activation = "tanh"
[training]
lr = 0.05
epochs = 4
"""
STOPPING = """
[training.early_stopping]
patience = 1
min_delta = 0.5
restore_best_weights = true
"""
REGRESSION = BASE.replace('"blobs"', '"sine"')
TWO = """
[[run]]
name = "plain"
[[run]]
name = "batch norm"
set = { network.norm = "batch", network.dropout = 0.25, training.optimizer = "adam" }
"""

Overrides = Sequence[Override]


def begin(path: Path, text: str = BASE, *overrides: Override) -> Session:
    return Session.begin(parse(text, file="honest.toml", overrides=overrides), path, overrides)


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    """Asked before every step: true from the one of this number on."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


def finish(session: Session) -> None:
    while not session.over:
        session.epoch(never)
    session.close()


def kill(session: Session) -> None:
    """As SIGKILL leaves a recording: what is committed is there, what is held back is not."""
    session.writer.abandon()
    session._hold.release()


def stop(session: Session) -> None:
    """As a user stops a trainer."""
    session.interrupt()
    session.close()


def last(path: Path, run: int = 0) -> int:
    with closing(Reader(path)) as reader:
        return int(reader.history(run).step[-1])


def whole(path: Path, text: str = BASE, *overrides: Override) -> None:
    finish(begin(path, text, *overrides))


def trained_here(wanted: Sequence[SeedTrial]) -> list[SeedPiece]:
    """All epochs of seeds of a run, trained in this process."""
    told: list[Epochs] = []
    trained_together(job_of(wanted), told.append)
    found = []
    for number, one in enumerate(wanted):
        own = [piece for piece in told if piece.number == number]
        assert [piece.end for piece in own[:-1]] == [None] * (len(own) - 1)
        figures = np.concatenate([piece.figures for piece in own], axis=1)
        found.append(SeedPiece(one.run, one.seed, own[0].first, figures, own[-1].end))
    return found


def with_seeds(path: Path, text: str, seeds: int, *overrides: Override) -> None:
    """Trained in this process with other seeds, which a trainer does in others."""
    session = begin(path, text, *overrides)
    finish(session)
    session = Session.resume(path)
    with closing(Reader(path)) as reader:
        wanted = missing(reader.runs, path.parent, seeds, ())
    for one in wanted:
        session.writer.add_seed(*trained_here([one]))
    session.writer.plan(Agenda(seeds=seeds).text())
    session.close()


def fork(
    path: Path, run: int, step: int, *changes: tuple[str, object], goes: Callable[[Session], None] = finish
) -> None:
    session = Session.resume(path, all_runs=False)
    session.fork(run, step, changes)
    goes(session)


def interrupted_after(path: Path, steps: int, text: str = BASE, *overrides: Override) -> None:
    session = begin(path, text, *overrides)
    session.epoch(after(steps))
    stop(session)


def killed_after(path: Path, steps: int, text: str = BASE, *overrides: Override, epochs: int = 1) -> None:
    session = begin(path, text, *overrides)
    for _ in range(epochs):
        session.epoch(never)
    if steps:
        session.epoch(after(steps))
    kill(session)


def resumed_often(path: Path) -> None:
    interrupted_after(path, 2, BASE + TWO, ("record.every", 3))
    for leaves in (stop, kill, stop, kill):
        session = Session.resume(path)
        session.epoch(after(2))
        leaves(session)
    session = Session.resume(path)  # and killed before a step is taken
    session._resumptions.say(session.runs)
    kill(session)
    finish(Session.resume(path))


def forks_of_forks(path: Path) -> None:
    whole(path, BASE + STOPPING, ("record.every", 2))
    fork(path, 0, 2, ("data.batch_size", 5), ("training.lr", 0.01))
    fork(path, 1, 4, ("training.epochs", 6), ("data.last_batch", "drop"), ("training.early_stopping.patience", 3))
    fork(path, 2, last(path, 2), ("training.epochs", 9), ("training.early_stopping.patience", 5))
    fork(path, 0, 0)
    fork(path, 4, 6, ("network.hidden", [5, 7]))


def forks_that_move_the_rest(path: Path) -> None:
    whole(path, BASE + TWO, ("record.every", 1), ("data.batch_size", 7), ("training.schedule.warmup_epochs", 2))
    fork(path, 0, 1, ("data.batch_size", 5))
    fork(path, 0, 2, ("data.last_batch", "keep"))
    fork(path, 3, 3, ("data.last_batch", "first"), ("data.batch_size", 10))
    fork(path, 4, 4, ("data.last_batch", "drop"))
    fork(path, 5, 6, ("data.last_batch", "first"), ("data.batch_size", 3))
    fork(path, 1, 3, ("data.batch_size", 64))


def structural(path: Path) -> None:
    whole(path, BASE + STOPPING, ("training.optimizer", "adam"))
    fork(path, 0, 5, ("network.norm", "batch"), ("training.optimizer", "adamw"))
    fork(path, 1, 10, ("network.hidden", [5, 4, 3]), ("training.optimizer", "sgd"), ("training.momentum", 0.5))
    fork(path, 2, 15, ("network.activation", "relu"), ("network.dropout", 0.3))


def plateau(path: Path) -> None:
    kinds: Overrides = (("training.schedule.kind", "plateau"), ("training.schedule.patience", 0),
                        ("training.schedule.threshold", 0.4), ("training.schedule.warmup_epochs", 1))  # fmt: skip
    whole(path, BASE, *kinds)
    fork(path, 0, 15, ("training.schedule.gamma", 0.7), ("training.epochs", 6))
    fork(path, 1, 20, ("training.schedule.kind", "constant"))
    fork(path, 2, 25, ("training.schedule.kind", "plateau"))
    fork(path, 0, 10, ("network.norm", "layer"))


def warmup_forks(path: Path) -> None:
    whole(path, BASE, ("training.schedule.warmup_epochs", 2), ("record.every", 1))
    fork(path, 0, 2, ("data.batch_size", 20))
    fork(path, 0, 7, ("data.batch_size", 20))
    fork(path, 0, 8, ("data.batch_size", 3))


def live_forks(path: Path) -> None:
    session = begin(path, BASE + TWO)
    session.epoch(never)
    session.fork(0, 5, [("training.lr", 0.2)])
    session.epoch(never)
    session.fork(2, 5, [("training.momentum", 0.9)])
    session.step({0: 12, 1: 13, 2: 11, 3: 9})
    session.step({0: 12, 1: 13, 2: 11, 3: 9})
    session.fork(3, 7, [("training.epochs", 5)])
    finish(session)


def diverged(path: Path) -> None:
    whole(path, REGRESSION, ("training.lr", 1e18), ("network.activation", "none"), ("record.every", 7))
    fork(path, 0, 0, ("training.lr", 0.01))
    fork(path, 0, last(path))


def diverged_within(path: Path, every: int | str) -> None:
    rates: Overrides = (("training.lr", 30.0), ("network.activation", "none"), ("record.every", every),
                        ("training.epochs", 8))  # fmt: skip
    whole(path, REGRESSION, *rates)


def died(path: Path, every: int) -> None:
    deep = BASE.replace("[5, 4]", "[6, 6, 6, 6, 6, 6, 6, 6, 6, 6]").replace('"tanh"', '"sigmoid"')
    deep = deep.replace("[training]", 'init = "normal:0.01"\n[training]')
    whole(path, deep, ("record.every", every), ("training.lr", 1.0))


def stopped_then_forked(path: Path) -> None:
    whole(path, BASE + STOPPING)
    end = last(path)
    fork(path, 0, end, ("training.early_stopping.patience", 3))
    fork(path, 0, end, ("training.early_stopping", "none"), ("training.epochs", 5))
    fork(path, 1, end, ("training.early_stopping.monitor", "accuracy"), ("training.early_stopping.patience", 2))
    fork(path, 0, 5, ("training.early_stopping.baseline", 0.01), ("training.early_stopping.patience", 2))


def stopping_begins_in_a_fork(path: Path) -> None:
    whole(path, BASE)
    rule = {"monitor": "val_loss", "patience": 1, "restore_best_weights": True, "min_delta": 0.3}
    fork(path, 0, 10, ("training.early_stopping", rule))


def went_on_elsewhere(path: Path, thinned: bool) -> None:
    """Another machine's bits: running forward again does not arrive at what was recorded, and it says so."""
    session = begin(path, BASE + STOPPING, ("record.budget", 0 if thinned else 64), ("training.epochs", 8),
                    ("training.early_stopping.patience", 9))  # fmt: skip
    for _ in range(3):
        session.epoch(never)
    session.epoch(after(2))
    kill(session)
    bare = Stepper.bare

    def elsewhere(self: Stepper, *arguments: Any) -> Any:
        taken = bare(self, *arguments)
        with torch.no_grad():
            for parameter in self._network.named_parameters().values():
                parameter.mul_(1 + 1e-6)
        return taken

    with patch.object(Stepper, "bare", elsewhere):
        session = Session.resume(path)
    session.epoch(never)
    session.fork(0, last(path), [("training.lr", 0.01)])
    finish(session)


def growing(path: Path) -> None:
    session = begin(path, BASE + TWO, ("record.every", 4))
    session.epoch(after(3))
    session.writer._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    session.writer._db.close()
    session._hold.release()


def forked_and_left(path: Path) -> None:
    interrupted_after(path, 3, BASE + TWO)
    fork(path, 0, 4, ("training.lr", 0.3), goes=stop)
    fork(path, 1, 0, ("training.lr", 0.3), goes=kill)
    session = Session.resume(path)
    session.epoch(never)
    stop(session)


CONV = BASE.replace('"blobs"\nsamples = 44', '"digits"\nsamples = 60').replace(
    "hidden = [5, 4]",
    'layer = [{ type = "conv", channels = 3, pool = 2 }, { type = "conv", channels = 2, kernel = 2, stride = 2,'
    ' padding = 1, name = "second" }, { type = "linear", units = 6, dropout = 0.2, norm = "group" }]\ngroups = 3',
)
SEQUENCE = BASE.replace('"blobs"\nsamples = 44', '"digits"\nsamples = 60\nsequence = "rows"').replace(
    "hidden = [5, 4]", 'layer = [{ type = "recurrent", units = 4, cell = "CELL" }]\nnorm = "NORM"'
)

HONEST: dict[str, Callable[[Path], None]] = {
    "finished": whole,
    "two runs": lambda p: whole(p, BASE + TWO),
    "stopped early": lambda p: whole(p, BASE + STOPPING),
    "stopped early, never better": lambda p: whole(
        p, BASE + STOPPING, ("training.early_stopping.start_from_epoch", 1), ("training.lr", 0.0)
    ),
    "regression": lambda p: whole(p, REGRESSION + STOPPING, ("training.early_stopping.monitor", "val_r2")),
    "every 3 steps": lambda p: whole(p, REGRESSION, ("record.every", 3)),
    "every 7 steps, stopping": lambda p: whole(p, BASE + STOPPING, ("record.every", 7)),
    "every step": lambda p: whole(p, BASE + TWO, ("record.every", 1)),
    "rest dropped": lambda p: whole(p, BASE, ("data.last_batch", "drop"), ("record.every", 2)),
    "rest kept": lambda p: whole(p, BASE + TWO, ("data.last_batch", "keep"), ("record.every", 1)),
    "forks that move the rest": forks_that_move_the_rest,
    "one batch an epoch": lambda p: whole(p, BASE, ("data.batch_size", 64)),
    "tiny": lambda p: whole(p, BASE, ("data.samples", 5), ("data.batch_size", 2)),
    "budget 0": lambda p: whole(p, BASE + STOPPING + TWO, ("record.budget", 0)),
    "budget 0, every 3 steps": lambda p: whole(p, BASE + STOPPING, ("record.budget", 0), ("record.every", 3)),
    "thinned": lambda p: whole(p, BASE + STOPPING + TWO, ("record.budget", 0.06), ("record.every", 1)),
    "budget below one keyframe": lambda p: whole(p, BASE + TWO, ("record.budget", 0.004), ("record.every", 1)),
    "budget below one keyframe, interrupted": lambda p: killed_after(p, 3, BASE, ("record.budget", 0.002)),
    "thinned, killed": lambda p: killed_after(p, 3, BASE + STOPPING, ("record.budget", 0.03), ("record.every", 1)),
    "interrupted within an epoch": lambda p: interrupted_after(p, 3),
    "interrupted at once": lambda p: stop(begin(p)),
    "killed at once": lambda p: kill(begin(p, BASE + TWO)),
    "killed within an epoch": lambda p: killed_after(p, 3, BASE + STOPPING, ("record.every", 2)),
    "killed at an epoch's end": lambda p: killed_after(p, 0, epochs=3),
    "resumed often": resumed_often,
    "growing": growing,
    "forks of forks": forks_of_forks,
    "structural forks": structural,
    "forks of a plateau": plateau,
    "forks within a warm-up": warmup_forks,
    "forks in a live trainer": live_forks,
    "forked and left": forked_and_left,
    "stopped, then forked": stopped_then_forked,
    "stopping begins in a fork": stopping_begins_in_a_fork,
    "diverged": diverged,
    "diverged within, every epoch": lambda p: diverged_within(p, "epoch"),
    "diverged within, every 4 steps": lambda p: diverged_within(p, 4),
    "a gradient died": lambda p: died(p, 1),
    "a gradient died, seldom measured": lambda p: died(p, 100),
    "went on elsewhere": lambda p: went_on_elsewhere(p, False),
    "went on elsewhere, thinned": lambda p: went_on_elsewhere(p, True),
    "images": lambda p: whole(p, CONV),
    "GRU": lambda p: whole(p, SEQUENCE.replace("CELL", "gru").replace("NORM", "layer")),
    "LSTM": lambda p: whole(
        p, SEQUENCE.replace("CELL", "lstm").replace("NORM", "batch"), ("network.norm_recurrent", "step")
    ),
    "Elman, pixels": lambda p: whole(
        p, SEQUENCE.replace("CELL", "elman").replace("NORM", "batch"), ("data.sequence", "pixels"), ("data.samples", 24)
    ),
    "noise": lambda p: whole(
        p, BASE, ("network.norm", "batch"), ("data.input_noise", 0.1), ("network.norm_noise", 0.2)
    ),
    "validated in training mode": lambda p: whole(p, BASE + TWO, ("training.validation_mode", "training")),
    "norm after activation": lambda p: whole(
        p, BASE, ("network.norm", "batch"), ("network.norm_position", "after_activation"), ("record.shift", True)
    ),
}  # fmt: skip
"""By name: what writes one."""

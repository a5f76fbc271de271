"""Records what the ``Trainer`` of Hugging Face trains: ``Trainer(..., callbacks=[BntuiCallback("run.bntui")])``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from bntui.watching.callbacks import epoch_figures, refuse_other
from bntui.watching.pytorch.watch import watch
from bntui.watching.stopping import MONITORS


class BntuiCallback(TrainerCallback):  # type: ignore[misc]
    """Records a training.

    The library tells a callback the loss only when it logs it, so keyframes have no loss of their mini-batch.

    Args:
        path: name of the new file; by default one in bntui's folder.
        early_stopping: the ``EarlyStoppingCallback`` among the callbacks, if there is one; its state is recorded where
            each epoch is evaluated.
        options: what else :func:`bntui.watch` takes, such as ``every=100`` or ``layers=``.

    Raises:
        UsageError: ``early_stopping`` is another object.
    """

    def __init__(self, path: Any = None, *, early_stopping: Any = None, **options: Any) -> None:
        refuse_other(early_stopping, "early_stopping_patience_counter", "transformers.EarlyStoppingCallback")
        self._path, self._options, self._stopping = path, options, early_stopping
        self._best: float | None = None
        self._best_epoch = 0
        self._recorder: Any = None
        self._loss: float | None = None
        self._epochs = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Begin the recording."""
        epochs = max(1, round(args.num_train_epochs))
        known = {
            "epochs": epochs,
            "batch_size": args.train_batch_size,
            "steps_per_epoch": state.max_steps // epochs or None,
            "early_stopping": self._plan(args),
        }
        self._recorder = watch(told["model"], told["optimizer"], self._path, **{**known, **self._options})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **told: Any) -> None:  # noqa: ARG002
        """Keep the training loss."""
        if logs and "loss" in logs:
            self._loss = float(logs["loss"])

    def on_epoch_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Tell the end of the epoch, unless its evaluation is to follow."""
        if not _evaluates_epochs(args):
            self._recorder.epoch(**({} if self._loss is None else {"train_loss": self._loss}))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **told: Any) -> None:  # noqa: ARG002
        """Tell the figures of the epoch that was evaluated."""
        if self._recorder is not None and _evaluates_epochs(args):
            figures = epoch_figures(metrics or {})
            if self._loss is not None:
                figures.setdefault("train_loss", self._loss)
            self._recorder.epoch(**figures)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Tell what early stopping decided after the epoch before."""
        if state.epoch:
            self._tell_stopping(args, state)

    def on_train_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Close the recording."""
        self._tell_stopping(args, state)
        self._recorder.close()

    def _plan(self, args: Any) -> dict[str, Any] | None:
        """The rule as :func:`bntui.watch` takes it; None if a recording has no place for what it monitors."""
        rule = self._stopping
        if rule is None or _monitor(args) not in MONITORS or not _evaluates_epochs(args):
            return None
        return {
            "monitor": _monitor(args),
            "patience": rule.early_stopping_patience,
            "min_delta": float(rule.early_stopping_threshold or 0),
            "mode": "max" if args.greater_is_better else "min",
        }

    def _tell_stopping(self, args: Any, state: Any) -> None:
        rule = self._stopping
        if rule is None or state.best_metric is None or not _evaluates_epochs(args):
            return
        if state.best_metric != self._best:  # also by less than the threshold, which does not reset the counter
            self._best, self._best_epoch = state.best_metric, round(state.epoch)
        wait, patience = rule.early_stopping_patience_counter, rule.early_stopping_patience
        self._recorder.early_stopping(
            wait=wait, best=state.best_metric, patience=patience, monitor=_monitor(args), best_epoch=self._best_epoch,
            stopped=wait >= patience,
        )  # fmt: skip


def _evaluates_epochs(args: Any) -> bool:
    """True if each epoch ends with an evaluation."""
    return str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "epoch"


def _monitor(args: Any) -> str:
    """The metric that decides which model is the best, by the name that an evaluation has for it."""
    name = str(args.metric_for_best_model or "loss")
    return name if name.startswith("eval_") else f"eval_{name}"

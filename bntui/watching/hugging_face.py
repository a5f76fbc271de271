"""Records what the ``Trainer`` of Hugging Face trains: ``Trainer(..., callbacks=[BntuiCallback("run.bntui")])``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from bntui.watching.callbacks import epoch_figures
from bntui.watching.pytorch.watch import watch


class BntuiCallback(TrainerCallback):  # type: ignore[misc]
    """Records a training.

    The library tells a callback the loss only when it logs it, so keyframes have no loss of their mini-batch.

    Args:
        path: name of the new file; by default one in bntui's folder.
        options: what else :func:`bntui.watch` takes, such as ``every=100`` or ``layers=``.
    """

    def __init__(self, path: Any = None, **options: Any) -> None:
        self._path, self._options = path, options
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
        }
        self._recorder = watch(told["model"], told["optimizer"], self._path, **{**known, **self._options})

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **told: Any) -> None:  # noqa: ARG002
        """Keep the training loss."""
        if logs and "loss" in logs:
            self._loss = float(logs["loss"])

    def on_epoch_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Tell the end of the epoch, unless its evaluation is to follow."""
        if str(getattr(args.eval_strategy, "value", args.eval_strategy)) != "epoch":
            self._recorder.epoch(**({} if self._loss is None else {"train_loss": self._loss}))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **told: Any) -> None:  # noqa: ARG002
        """Tell the figures of the epoch that was evaluated."""
        if self._recorder is not None and str(getattr(args.eval_strategy, "value", args.eval_strategy)) == "epoch":
            figures = epoch_figures(metrics or {})
            if self._loss is not None:
                figures.setdefault("train_loss", self._loss)
            self._recorder.epoch(**figures)

    def on_train_end(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002
        """Close the recording."""
        self._recorder.close()

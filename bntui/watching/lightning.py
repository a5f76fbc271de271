"""Records what Lightning trains: ``Trainer(callbacks=[BntuiCallback("runs/baseline.bntui")])``."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from bntui.watching.callbacks import epoch_figures, planned
from bntui.watching.pytorch.watch import watch


class BntuiCallback(Callback):  # type: ignore[misc]
    """Records a training, and the state of an ``EarlyStopping`` among the callbacks.

    Args:
        path: name of the new file; by default one in bntui's folder.
        options: what else :func:`bntui.watch` takes, such as ``every=100`` or ``layers=``; by
            ``early_stopping=bntui.EarlyStopping(...)`` the training ends.
    """

    def __init__(self, path: Any = None, **options: Any) -> None:
        super().__init__()
        self._path, self._options = path, options
        self._recorder: Any = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the recording."""
        stopping = self._stopping(trainer)
        batches, pieces = trainer.num_training_batches, trainer.accumulate_grad_batches
        known = {
            **planned(trainer.max_epochs, -(-batches // pieces) if isinstance(batches, int) else None, stopping),
            "scaler": getattr(trainer.precision_plugin, "scaler", None),
        }
        model = trainer.strategy.model or pl_module
        self._recorder = watch(model, trainer.optimizers, self._path, **{**known, **self._options})

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Tell the loss."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        self._recorder.step(loss=loss)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Tell what early stopping decided after the epoch before."""
        if trainer.current_epoch > 0:
            self._tell_stopping(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Tell the figures of the epoch; end the training if a rule of the recorder's says so."""
        self._recorder.epoch(**epoch_figures(trainer.callback_metrics))
        if trainer.strategy.reduce_boolean_decision(self._recorder.should_stop, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Close the recording."""
        self._tell_stopping(trainer)
        self._recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Close the recording."""
        if self._recorder is not None:
            self._recorder.close(exception)

    @staticmethod
    def _stopping(trainer: Any) -> Any:
        return next(iter(trainer.early_stopping_callbacks), None)

    def _tell_stopping(self, trainer: Any) -> None:
        stopping = self._stopping(trainer)
        if stopping is not None:
            self._recorder.early_stopping(
                wait=stopping.wait_count, best=stopping.best_score, patience=stopping.patience,
                monitor=stopping.monitor, stopped=stopping.stopped_epoch > 0,
            )  # fmt: skip

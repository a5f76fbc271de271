"""Records what skorch trains: ``NeuralNet(..., callbacks=[BntuiCallback("runs/baseline.bntui")])``."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback, EarlyStopping

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
        self._path, self._options = path, options
        self._recorder: Any = None

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **_: Any) -> None:  # noqa: ARG002, N803
        """Begin the recording."""
        known = planned(net.max_epochs, None, self._stopping(net))
        self._recorder = watch(net.module_, net.optimizer_, self._path, **{**known, **self._options})

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **told: Any) -> None:  # noqa: ARG002
        """Tell the loss."""
        if training:
            self._recorder.step(loss=told.get("loss"))

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        """Tell what early stopping decided after the epoch before."""
        if len(net.history) > 1:
            self._tell_stopping(net)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Tell the figures of the epoch; end the training if a rule of the recorder's says so, as skorch's own does.

        Raises:
            KeyboardInterrupt: it ends; skorch takes this for the end of ``fit``.
        """
        self._recorder.epoch(**epoch_figures(net.history[-1]))
        if self._recorder.should_stop:
            raise KeyboardInterrupt

    def on_train_end(self, net: Any, **_: Any) -> None:
        """Close the recording."""
        self._tell_stopping(net)
        self._recorder.close()

    @staticmethod
    def _stopping(net: Any) -> Any:
        return next((one for _, one in net.callbacks_ if isinstance(one, EarlyStopping)), None)

    def _tell_stopping(self, net: Any) -> None:
        stopping = self._stopping(net)
        if stopping is not None:
            best = min if stopping.lower_is_better else max
            values = [row[stopping.monitor] for row in net.history if stopping.monitor in row]
            self._recorder.early_stopping(
                wait=stopping.misses_, best=best(values, default=float("nan")), patience=stopping.patience,
                monitor=stopping.monitor, stopped=stopping.misses_ == stopping.patience,
            )  # fmt: skip

"""Records what Keras 3 trains on PyTorch: ``model.fit(..., callbacks=[BntuiCallback("runs/baseline.bntui")])``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras

from bntui.errors import UsageError
from bntui.text.language import _
from bntui.watching.callbacks import epoch_figures, planned, refuse_other
from bntui.watching.pytorch.watch import watch


class BntuiCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Records a training.

    Keras tells the mean loss of the epoch so far, not that of a mini-batch, so keyframes have none.

    Args:
        path: name of the new file; by default one in bntui's folder.
        early_stopping: the ``EarlyStopping`` among the callbacks, if there is one.
        options: what else :func:`bntui.watch` takes, such as ``every=100`` or ``layers=``.

    Raises:
        UsageError: Keras uses another backend, or ``early_stopping`` is another object.
    """

    def __init__(self, path: Any = None, *, early_stopping: Any = None, **options: Any) -> None:
        super().__init__()
        if keras.backend.backend() != "torch":
            sentence = _("Keras uses the backend {name}: only torch can be watched; set KERAS_BACKEND=torch")
            raise UsageError(sentence.format(name=keras.backend.backend()))
        refuse_other(early_stopping, "stopped_epoch", "keras.callbacks.EarlyStopping")
        self._path, self._options, self._stopping = path, options, early_stopping
        self._recorder: Any = None
        self._lr = math.nan

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Begin the recording."""
        plan = planned(self.params.get("epochs"), self.params.get("steps"), self._stopping)
        known = {"title": self.model.name, **plan}
        layers = dict(_layers(self.model))
        self._recorder = watch(layers, None, self._path, **{**known, **self._options})

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note the learning rate, which a schedule changes when the step is done."""
        self._lr = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Count a step."""
        self._recorder.step(lr=self._lr)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Tell what early stopping decided after the epoch before."""
        if epoch:
            self._tell_stopping()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Tell the figures of the epoch."""
        self._recorder.epoch(**epoch_figures(logs or {}))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Close the recording."""
        self._tell_stopping()
        self._recorder.close()

    def _tell_stopping(self) -> None:
        one = self._stopping
        if one is not None:
            self._recorder.early_stopping(
                wait=one.wait, best=one.best, patience=one.patience, monitor=one.monitor, stopped=one.stopped_epoch > 0
            )


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """The layers of a model and of the models in it, by name; Keras does not keep them as PyTorch's submodules."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        elif layer.weights or next(layer.parameters(), None) is None:  # the state of a dropout's seed is no weight
            yield layer.name, layer

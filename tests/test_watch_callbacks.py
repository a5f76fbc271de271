"""The callbacks, run by the real libraries; skipped where one is not installed."""

from __future__ import annotations

import importlib
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import bntui
from bntui.errors import UsageError
from bntui.recording.reader import Reader

pytestmark = pytest.mark.filterwarnings("ignore")  # of other people's libraries


def library(name: str) -> Any:
    pytest.importorskip(name, reason=f"{name} is not installed")
    return importlib.import_module(name)


def data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(24, 4, generator=generator), torch.randint(0, 3, (24,), generator=generator)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def check(path: Path, names: list[str], steps: list[int], epochs: int) -> None:
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert [one.name for one in reader.runs[0].layers] == names
        assert history.step[history.has_frame].tolist() == steps
        ends = history.epoch_end
        assert history.epoch[ends].tolist() == list(range(1, epochs + 1))
        assert np.isfinite(history.val_loss[ends]).all()
        frame = reader.keyframe(0, int(history.frame_rows[-1]))
        assert all(one.update_ratio > 0 and one.weight_gradient_norm > 0 for one in frame.layers)
        assert [event.kind for event in reader.events(0)][-1] in ("finished", "stopped_early")


NEVER_BETTER = {"early_stopping": bntui.EarlyStopping(patience=2, min_delta=1e9), "quiet": True}
"""Options with a rule by which each epoch after the first counts as one without improvement."""


def check_stopped(path: Path) -> None:
    """Early stopping ended the training after the third epoch: the first is the best, two more did not improve."""
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.epoch[history.epoch_end].tolist() == [1, 2, 3]
        assert (history.wait[-1], history.best_epoch[-1]) == (2, 1)
        assert [event.kind for event in reader.events(0)] == ["stopped_early"]


def lightning_model() -> Any:
    lightning = library("lightning.pytorch")

    class Model(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def training_step(self, batch: Any, index: int) -> Tensor:  # noqa: ARG002
            loss = functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:  # noqa: ARG002
            self.log("val_loss", functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    return Model()


def test_lightning(tmp_path: Path) -> None:
    lightning = library("lightning.pytorch")
    from bntui.watching.lightning import BntuiCallback

    loader: Any = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=8)
    path = tmp_path / "lightning.bntui"
    stopping = lightning.callbacks.EarlyStopping("val_loss", patience=50)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[BntuiCallback(path, every=2, quiet=True), stopping],
    )  # fmt: skip
    trainer.fit(lightning_model(), loader, loader)
    check(path, ["net.0", "net.4"], [1, 2, 4, 6], 2)
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        assert history.wait[-1] == stopping.wait_count
        assert history.best[-1] == pytest.approx(float(stopping.best_score))
        assert reader.runs[0].early_stopping is not None
        assert reader.runs[0].early_stopping["patience"] == 50


def test_a_rule_of_the_recorder_ends_the_training_of_lightning(tmp_path: Path) -> None:
    lightning = library("lightning.pytorch")
    from bntui.watching.lightning import BntuiCallback

    loader: Any = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=8)
    path = tmp_path / "lightning.bntui"
    trainer = lightning.Trainer(
        max_epochs=9, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, callbacks=[BntuiCallback(path, **NEVER_BETTER)],
    )  # fmt: skip
    trainer.fit(lightning_model(), loader, loader)
    assert trainer.current_epoch == 3
    check_stopped(path)


def test_a_rule_of_the_recorder_ends_the_training_of_skorch(tmp_path: Path) -> None:
    skorch = library("skorch")
    from bntui.watching.skorch import BntuiCallback

    x, y = data()
    path = tmp_path / "skorch.bntui"
    net = skorch.NeuralNetClassifier(
        network, criterion=nn.CrossEntropyLoss, max_epochs=9, batch_size=8, verbose=0,
        callbacks=[BntuiCallback(path, **NEVER_BETTER)],
    )  # fmt: skip
    net.fit(x.numpy(), y.numpy())
    assert len(net.history) == 3
    check_stopped(path)


def test_skorch(tmp_path: Path) -> None:
    skorch = library("skorch")
    from bntui.watching.skorch import BntuiCallback

    x, y = data()
    path = tmp_path / "skorch.bntui"
    net = skorch.NeuralNetClassifier(
        network, criterion=nn.CrossEntropyLoss, max_epochs=2, batch_size=8, verbose=0,
        callbacks=[BntuiCallback(path, every="epoch", quiet=True), skorch.callbacks.EarlyStopping(patience=9)],
    )  # fmt: skip
    net.fit(x.numpy(), y.numpy())
    check(path, ["0", "4"], [1, 6], 2)


def hugging_trainer(tmp_path: Path, callbacks: list[Any], **more: Any) -> Any:
    transformers = library("transformers")
    library("accelerate")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            out = self.net(x)
            return {"loss": functional.cross_entropy(out, labels), "logits": out}

    x, y = data()
    rows = [{"x": one, "labels": label} for one, label in zip(x, y, strict=True)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=8, eval_strategy="epoch", save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True, **more,
    )  # fmt: skip
    return transformers.Trainer(Model(), arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks)


def test_hugging_face(tmp_path: Path) -> None:
    library("transformers")
    from bntui.watching.hugging_face import BntuiCallback

    path = tmp_path / "hugging.bntui"
    ours = BntuiCallback(path, every=3, quiet=True)
    hugging_trainer(tmp_path, [ours], num_train_epochs=2, logging_strategy="epoch").train()
    check(path, ["net.0", "net.4"], [1, 3, 6], 2)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("learn", "threshold"), [(0.01, 0.0), (1e-5, 0.5), (3.0, 0.0)])
def test_early_stopping_of_hugging_face(learn: float, threshold: float, first: bool, tmp_path: Path) -> None:
    """It learns to the end, it learns less than the threshold, and its loss goes up and down."""
    transformers = library("transformers")
    from bntui.watching.hugging_face import BntuiCallback

    path = tmp_path / "hugging.bntui"
    stopper = transformers.EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=threshold)
    ours = BntuiCallback(path, early_stopping=stopper, every="epoch", quiet=True)
    trainer = hugging_trainer(
        tmp_path, [ours, stopper] if first else [stopper, ours], num_train_epochs=6, learning_rate=learn,
        lr_scheduler_type="constant", metric_for_best_model="loss", greater_is_better=False,
    )  # fmt: skip
    trainer.train()
    losses = [row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row]
    waits, wait = [], 0
    for at, loss in enumerate(losses):
        wait = 0 if not at or loss < min(losses[:at]) - threshold else wait + 1
        waits.append(wait)
    assert (stopper.early_stopping_patience_counter, len(losses)) == (wait, 6 if wait < 2 else waits.index(2) + 1)
    if learn < 1:
        assert len(losses) == (3 if threshold else 6)
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        ends = history.epoch_end
        assert history.val_loss[ends] == pytest.approx(losses)
        assert history.wait[ends].tolist() == waits
        assert history.best[ends] == pytest.approx(np.minimum.accumulate(losses))
        lowest = [int(np.argmin(losses[: at + 1])) + 1 for at in range(len(losses))]
        assert history.best_epoch[ends].tolist() == lowest
        rule = reader.runs[0].early_stopping
        assert rule is not None
        assert (rule["monitor"], rule["patience"], rule["min_delta"], rule["mode"]) == ("val_loss", 2, threshold, "min")
        assert reader.events(0)[-1].kind == ("stopped_early" if wait == 2 else "finished")


@pytest.mark.parametrize(("name", "module"), [("transformers", "hugging_face"), ("keras", "keras")])
def test_another_object_than_the_library_s_early_stopping_is_refused(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would raise in the middle of the training."""
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    library(name)
    callback = importlib.import_module(f"bntui.watching.{module}").BntuiCallback
    with pytest.raises(UsageError, match=f"early_stopping is EarlyStopping, not a {name}"):
        callback(tmp_path / "run.bntui", early_stopping=bntui.EarlyStopping())


def test_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.environ.get("KERAS_BACKEND", "torch") != "torch":
        pytest.skip("KERAS_BACKEND is not torch")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = library("keras")
    from bntui.watching.keras import BntuiCallback

    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.1),
         keras.layers.Dense(3, name="head")]
    )  # fmt: skip
    rate = keras.optimizers.schedules.ExponentialDecay(0.5, decay_steps=1, decay_rate=0.5)
    model.compile(
        keras.optimizers.SGD(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    x, y = (one.numpy() for one in data())
    path = tmp_path / "keras.bntui"
    stopping = keras.callbacks.EarlyStopping(patience=9)
    model.fit(
        x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0,
        callbacks=[BntuiCallback(path, early_stopping=stopping, every=3, quiet=True), stopping],
    )  # fmt: skip
    check(path, [one.name for one in model.layers if one.weights], [1, 3, 6], 2)
    with closing(Reader(path)) as reader:
        history = reader.history(0)
        rates = dict(zip(history.step.tolist(), history.lr.tolist(), strict=True))
    assert [rates[step] for step in (1, 3, 6)] == [0.5, 0.125, 0.5**6]  # of the step, not of the next one

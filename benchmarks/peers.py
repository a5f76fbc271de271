"""Defines what others train the benchmark tasks with; see `benchmarks.training` for the tasks and plain loops."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.training import Task, Work, figure, loss_of, model_of, optimizer_of, tuned_loop, usual_loop
from bntui.trainer.samples import DeviceSamples

Made = Callable[[Task, DeviceSamples], Work]
"""Prepares a peer; each call of the result trains an epoch."""


class MissingError(Exception):
    """A peer cannot run here; the message says why."""


def needs(module: str) -> None:
    """Raise :class:`MissingError` unless a module is installed."""
    if importlib.util.find_spec(module) is None:
        raise MissingError(f"{module} is not installed")


def loader_loop(task: Task, data: DeviceSamples) -> Work:
    return usual_loop(task, data, validate=False)


def compiled(task: Task, data: DeviceSamples) -> Work:
    """Forward pass, backward pass and update in one graph compiled by inductor; in memory, with validation."""
    from torch._dynamo import config

    if not hasattr(config, "trace_autograd_ops"):
        raise MissingError("this torch cannot compile the backward pass into the step")
    config.trace_autograd_ops = True
    model, loss_function = model_of(task, data), loss_of(data)
    parameters = list(model.parameters())
    averages = [(torch.zeros_like(one), torch.zeros_like(one)) for one in parameters]
    count = torch.zeros(())

    @torch.compile(fullgraph=True)
    def step(x: Tensor, y: Tensor) -> Tensor:
        loss: Tensor = loss_function(model(x), y)
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            count.add_(1)
            for one, of_one, (mean, square) in zip(parameters, gradients, averages, strict=True):
                if task.adam:
                    mean.lerp_(of_one, 0.1)
                    square.mul_(0.999).addcmul_(of_one, of_one, value=0.001)
                    root = (square / (1 - 0.999**count)).sqrt() + 1e-8
                    one.sub_(1e-3 / (1 - 0.9**count) * mean / root)
                else:
                    one.sub_(0.05 * of_one)
        return loss.detach()

    def epoch() -> None:
        order = torch.randperm(len(data.x))
        model.train()
        # without the last, smaller mini-batch, for which the step would be compiled again
        losses = [step(data.x[at], data.y[at]) for at in torch.split(order, task.batch)[: len(order) // task.batch]]
        model.eval()
        with torch.inference_mode():
            output = model(data.x_val)
            _figures = torch.stack(losses).mean().item(), loss_function(output, data.y_val).item()
            _right = figure(data, output, data.y_val).item()

    try:
        epoch()
    except Exception as error:  # no compiler, or one that is too old
        raise MissingError(f"torch.compile: {str(error).splitlines()[0][:80]}") from error
    return epoch


def scikit_learn(task: Task, data: DeviceSamples) -> Work:
    """MLPClassifier or MLPRegressor; it has no normalization and no dropout."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    x, y, x_val, y_val = (values.numpy() for values in (data.x.flatten(1), data.y, data.x_val.flatten(1), data.y_val))
    name = {nn.Sigmoid: "logistic", nn.Tanh: "tanh", nn.ReLU: "relu"}[task.activation]
    settings: dict[str, Any] = {
        "hidden_layer_sizes": task.settings["network.hidden"], "activation": name, "batch_size": task.batch,
        "solver": "adam" if task.adam else "sgd", "learning_rate_init": 1e-3 if task.adam else 0.05, "alpha": 0.0,
        "momentum": 0.0,
    }  # fmt: skip
    classes = list(range(data.outputs)) if data.task == "classification" else None
    made = MLPClassifier(**settings) if classes else MLPRegressor(**settings)
    if classes is None:
        y, y_val = y.ravel(), y_val.ravel()

    def epoch() -> None:
        made.partial_fit(x, y, classes=classes) if classes else made.partial_fit(x, y)
        made.score(x_val, y_val)

    return epoch


def tensorboard(task: Task, data: DeviceSamples) -> Work:
    """The usual loop, with histograms of all weights and gradients in every epoch."""
    needs("tensorboard")
    folder = tempfile.mkdtemp(prefix="bntui-tensorboard-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after the writer has closed its file
    writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder)
    model = model_of(task, data)
    train = usual_loop(task, data, model=model)
    epochs = 0

    def epoch() -> None:
        nonlocal epochs
        train()
        epochs += 1
        for name, parameter in model.named_parameters():
            writer.add_histogram(name, parameter, epochs)
            writer.add_histogram(f"{name}.grad", parameter.grad, epochs)

    return epoch


def lightning(task: Task, data: DeviceSamples) -> Work:
    """A LightningModule with validation; without logger, checkpoints, and progress bar."""
    needs("lightning")
    pl: Any = importlib.import_module("lightning")

    loss_function, make = loss_of(data), optimizer_of(task, fused=False)

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model_of(task, data)

        def training_step(self, batch: list[Tensor], _at: int) -> Tensor:
            loss: Tensor = loss_function(self.model(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def validation_step(self, batch: list[Tensor], _at: int) -> None:
            self.log("val_loss", loss_function(self.model(batch[0]), batch[1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make(self.model.parameters())

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    training = DataLoader(TensorDataset(data.x, data.y), batch_size=task.batch, shuffle=True)
    validation = DataLoader(TensorDataset(data.x_val, data.y_val), batch_size=task.batch)

    def epochs(count: int) -> None:
        trainer = pl.Trainer(
            max_epochs=count, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit(Module(), training, validation)

    return Whole(epochs, 5 * task.epochs if task.epochs > 1 else 1)


class Whole:
    """A peer that trains several epochs in a call, which share its start."""

    def __init__(self, train: Callable[[int], None], epochs: int) -> None:
        self._train = train
        self.epochs = epochs

    def __call__(self) -> None:
        self._train(self.epochs)


PEERS: Final[Mapping[str, Made]] = {
    "DataLoader loop": loader_loop,
    "+ validation": usual_loop,
    "hand-tuned": tuned_loop,
    "compiled": compiled,
    "scikit-learn": scikit_learn,
    "TensorBoard histograms": tensorboard,
    "Lightning": lightning,
}
"""By the heading of a column; all validate after each epoch, except the first."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and NumPy's BLAS use one thread."""
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield

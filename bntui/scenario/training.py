"""Defines the table ``[training]`` of a scenario file, with its learning-rate schedule and early stopping."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bntui.scenario.fields import LARGEST, MOST, Rate, Table, refusal
from bntui.text.language import _


class Schedule(Table):
    """``[training.schedule]``: how the learning rate changes from epoch to epoch."""

    kind: Literal["constant", "step", "cosine", "plateau"] = Field("constant", description="Kind of schedule.")
    step_size: int = Field(10, ge=1, le=MOST, description="step: epochs between two reductions.")
    gamma: float = Field(0.1, gt=0, lt=1, description="step, plateau: factor of each reduction.")
    min_lr: float = Field(0.0, ge=0, description="cosine, plateau: the learning rate never falls below this.")
    patience: int = Field(
        10, ge=0, le=MOST, description="plateau: epochs without a better validation loss before a reduction."
    )
    threshold: float = Field(1e-4, ge=0, description="plateau: smallest relative improvement that counts.")
    warmup_epochs: int = Field(
        0, ge=0, le=MOST, description="Epochs over which the learning rate rises linearly from 0 to lr, step by step."
    )


class EarlyStoppingRule(Table):
    """``[training.early_stopping]``: early stopping, with the names and meaning of Keras' EarlyStopping."""

    monitor: Literal["val_loss", "val_accuracy", "loss", "accuracy", "val_r2", "r2"] = Field(
        "val_loss",
        description="Figure monitored at the end of each epoch. val_ figures are measured after the epoch's last"
        " update; loss, accuracy, and r2 are running means over its mini-batches, each before its own update, as in"
        " Keras.",
    )
    min_delta: float = Field(0.0, description="Smallest change that counts as an improvement (absolute value is used).")
    patience: int = Field(0, ge=0, le=MOST, description="Epochs without improvement after which training stops.")
    mode: Literal["auto", "min", "max"] = Field(
        "auto", description="Whether smaller or larger is better; auto decides by the name."
    )
    baseline: float | None = Field(None, description="Value that an improvement must also beat to reset the counter.")
    restore_best_weights: bool = Field(
        False, description="Restore the weights from the end of the best epoch; without one, the last are kept."
    )
    start_from_epoch: int = Field(0, ge=0, le=MOST, description="Epochs to wait before monitoring begins.")


class Training(Table):
    """``[training]``: optimizer, learning rate, length."""

    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = Field(
        "sgd", description="Optimizer, as defined by PyTorch."
    )
    lr: float = Field(0.01, ge=0, le=LARGEST, description="Learning rate.")
    momentum: Rate = Field(0.0, description="sgd, rmsprop: momentum.")
    nesterov: bool = Field(False, description="sgd: Nesterov momentum; needs momentum above 0.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty (decoupled in adamw).")
    betas: tuple[Rate, Rate] = Field((0.9, 0.999), description="adam, adamw: decay of the two running averages.")
    alpha: Rate = Field(0.99, description="rmsprop: smoothing constant.")
    clip_norm: float | None = Field(None, gt=0, description="Clip the gradient's total norm to this value.")
    clip_value: float | None = Field(
        None, gt=0, le=LARGEST, description="Clip each component of the gradient to ± this value."
    )
    epochs: int = Field(20, ge=1, le=1_000_000, description="Epochs to train.")
    validation_mode: Literal["evaluation", "training"] = Field(
        "evaluation",
        description="training: validate with batch statistics and dropout, as if eval() had been forgotten.",
    )
    validation_batch: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="Samples per mini-batch in validation, if its mode is training. Default: batch_size.",
    )
    engine: Literal["explicit", "autograd"] = Field(
        "explicit",
        description="How gradients are computed: explicit uses formulas written out for each kind of layer, which is"
        " faster; autograd uses PyTorch's. Networks with recurrent layers always use autograd.",
    )
    threads: int = Field(
        1,
        ge=1,
        le=1024,
        description="Threads that compute together on the CPU. More than one is faster only with layers of 256 units"
        " and wider, and while that many cores are idle. Results with another number differ by rounding.",
    )
    schedule: Schedule = Field(Schedule(), description="Learning-rate schedule.")
    early_stopping: EarlyStoppingRule | None = Field(None, description="Early stopping; disabled without this table.")

    @model_validator(mode="after")
    def _fits(self) -> Training:
        if self.schedule.min_lr > self.lr:
            raise refusal(_("schedule.min_lr must not be above lr"), keys=("schedule", "lr"))
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            keys = ("nesterov", "momentum", "optimizer")
            raise refusal(_("Nesterov momentum needs optimizer = 'sgd' and a momentum above 0"), keys=keys)
        if self.momentum and self.optimizer in ("adam", "adamw"):
            sentence = _("momentum applies only to sgd and rmsprop; {optimizer} has betas")
            raise refusal(sentence.format(optimizer=self.optimizer), keys=("momentum", "optimizer"))
        return self

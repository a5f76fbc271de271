"""Defines the table ``[network]`` of a scenario file, and those of its layers."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from bntui.scenario.activations import ActivationName
from bntui.scenario.fields import LARGEST, MOST, Line, Rate, Table, refusal
from bntui.text.language import _

Norm = Literal["none", "batch", "layer", "group"]

INITIALIZATIONS = ("default", "zeros", "xavier", "xavier_normal", "he", "he_normal", "lecun", "orthogonal")
MAX_LAYERS: Final = 256


def _initialization(value: str) -> str:
    name, _colon, number = value.partition(":")
    if name in ("normal", "uniform"):
        if re.fullmatch(r"\d*\.?\d+([eE][+-]?\d+)?", number) and 0 < float(number) < math.inf:
            return value
        sentence = _("{name} needs a scale above 0 after a colon, such as '{name}:0.1'")
        raise refusal(sentence.format(name=name))
    if value not in INITIALIZATIONS:
        allowed = (*INITIALIZATIONS, "normal:0.1", "uniform:0.1")
        names = ", ".join((*INITIALIZATIONS, "normal:σ", "uniform:limit"))
        raise refusal(_("allowed: {names}").format(names=names), allowed=allowed)
    return value


Initialization = Annotated[str, AfterValidator(_initialization)]


class _Block(Table):
    """One ``[[network.layer]]``: linear or convolution, then norm, activation, dropout."""

    name: Line | None = Field(None, description="Name of the layer. Default: its kind and number.")
    norm: Norm | None = Field(None, description="Normalization. Default: the network's.")
    activation: ActivationName | None = Field(None, description="Activation function. Default: the network's.")
    dropout: Rate | None = Field(None, description="Probability of dropping a unit. Default: the network's.")
    init: Initialization | None = Field(None, description="Weight initialization. Default: the network's.")


class LinearLayer(_Block):
    """A fully connected (dense) layer."""

    type: Literal["linear"] = Field(description="Kind of layer.")
    units: int = Field(ge=1, le=65_536, description="Number of units.")


class ConvLayer(_Block):
    """A two-dimensional convolution with optional max pooling after its activation."""

    type: Literal["conv"] = Field(description="Kind of layer.")
    channels: int = Field(ge=1, le=4096, description="Number of output channels.")
    kernel: int = Field(3, ge=1, le=31, description="Height and width of the kernel, in pixels.")
    stride: int = Field(1, ge=1, le=16, description="Step of the kernel, in pixels.")
    padding: Annotated[int, Field(ge=0, le=1024)] | Literal["same"] = Field(
        "same", description="Zero padding around the image, in pixels; same keeps the image's size."
    )
    pool: int = Field(1, ge=1, le=16, description="Side of the max pooling window, in pixels; 1 disables pooling.")

    @model_validator(mode="after")
    def _padding(self) -> ConvLayer:
        if self.padding == "same" and self.stride != 1:
            sentence = _("padding 'same' needs stride 1; give the padding in pixels")
            raise refusal(sentence, keys=("stride", "padding"))
        if self.padding == "same" and self.kernel % 2 == 0:
            sentence = _("padding 'same' needs an odd kernel; give the padding in pixels")
            raise refusal(sentence, keys=("kernel", "padding"))
        return self


class RecurrentLayer(_Block):
    """A recurrent layer over a sequence; a following layer that is not recurrent takes its last time step."""

    type: Literal["recurrent"] = Field(description="Kind of layer.")
    units: int = Field(ge=1, le=65_536, description="Number of hidden units.")
    cell: Literal["elman", "gru", "lstm"] = Field(
        "elman", description="Kind of cell; the activation function applies to elman only, gru and lstm have their own."
    )


Layer = Annotated[LinearLayer | ConvLayer | RecurrentLayer, Field(discriminator="type")]


class NetworkConfig(Table):
    """``[network]``: hidden layers; the output layer follows from the data."""

    hidden: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] | None = Field(
        None,
        max_length=MAX_LAYERS,
        description="Shorthand: units of each fully connected hidden layer, such as [100, 100, 100].",
    )
    layer: tuple[Layer, ...] | None = Field(
        None, max_length=MAX_LAYERS, description="Hidden layers as tables, instead of the shorthand."
    )
    activation: ActivationName = Field("relu", description="Activation function of the hidden layers.")
    norm: Norm = Field("none", description="Normalization in the hidden layers.")
    norm_position: Literal["before_activation", "after_activation"] = Field(
        "before_activation", description="Position of the normalization in a block."
    )
    groups: int = Field(
        8,
        ge=1,
        le=MOST,
        description="Number of groups of group normalization; must divide the number of units or channels.",
    )
    norm_momentum: float = Field(
        0.1, gt=0, le=1, description="Batch normalization: weight of the new value in the running statistics (PyTorch)."
    )
    norm_eps: float = Field(1e-5, gt=0, description="Added to the variance in every normalization: epsilon.")
    norm_gamma: float = Field(
        1.0, ge=-LARGEST, le=LARGEST, description="Initial scale (gamma) of every normalization; beta starts at 0."
    )
    norm_noise: float = Field(
        0.0,
        ge=0,
        le=LARGEST,
        description="Noise after batch normalization as in Santurkar et al., drawn anew in every training step: mean"
        " within ± this, standard deviation between 1 and 1 + half of this, per unit, with slight variation per"
        " sample.",
    )
    norm_recurrent: Literal["input", "step"] = Field(
        "input",
        description="Recurrent layers: normalize input-to-hidden over batch and time, or input-to-hidden and "
        "hidden-to-hidden with statistics of each time step.",
    )
    dropout: Rate = Field(0.0, description="Probability of dropping a unit after each hidden layer (PyTorch's p).")
    init: Initialization = Field(
        "default", description="Weight initialization: default (PyTorch's), normal:σ, uniform:limit, xavier, he, ..."
    )

    @model_validator(mode="after")
    def _one_way(self) -> NetworkConfig:
        if self.hidden is not None and self.layer is not None:
            raise refusal(_("use hidden = [...] or [[network.layer]] tables, not both"), keys=("hidden", "layer"))
        return self

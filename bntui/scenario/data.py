"""Defines the table ``[data]`` of a scenario file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from bntui.scenario.fields import MOST, Line, Table, refusal, single_line
from bntui.scenario.sources import BUILTIN_DATA, PACKED_SUFFIXES, SHEET_SUFFIXES, kind_of
from bntui.text.language import _


def _source(value: str) -> str:
    if "://" in value:
        raise refusal(_("is an address, and nothing is downloaded; download the file, and give its path"))
    if kind_of(value) is not None:
        return single_line(value)
    if value.lower().endswith(PACKED_SUFFIXES):
        raise refusal(_("unpack it first; of compressed files, only tables and IDX files with .gz are read"))
    if value.lower().endswith(SHEET_SUFFIXES):
        raise refusal(_("save it as CSV first; this format is not read"))
    sentence = _(
        "allowed: {names}, or a path ending in .csv, .tsv, .tab, .txt, .dat, .data (tables, also with .gz), .npz, or"
        " -ubyte, -ubyte.gz, .idx, .idx.gz (IDX files)"
    )
    raise refusal(sentence.format(names=", ".join(BUILTIN_DATA)), allowed=BUILTIN_DATA)


def _delimiter(value: str) -> str:
    if value == "::":
        return value
    if len(value) == 1 and (value == "\t" or value.isprintable()) and not (value.isalnum() or value in "\"'.-+#"):
        return value
    raise refusal(_("must be one character such as , ; | \\t or a space; or ::"))


class Data(Table):
    """``[data]``: the data that the networks learn from."""

    source: Annotated[str, AfterValidator(_source)] = Field(
        description="A built-in name, or the path of a table (.csv, .tsv, .txt, ..., also with .gz), an .npz file, or"
        " an IDX file (images), relative to the scenario file."
    )
    labels: Line | None = Field(
        None,
        description="IDX files: path of the labels file. Default: the name of the images file with labels-idx1 in it.",
    )
    target: Line | None = Field(
        None,
        description="Tables: name of the target column. Default: the last one. NPZ: name of the target array."
        " Default: y, y_train, target, labels, and the like.",
    )
    task: Literal["auto", "classification", "regression"] = Field(
        "auto",
        description="auto: a target of words means classification, as do whole numbers that look like codes: at most 20"
        " distinct values that occur twice on average, or 0, 1, 2, ... without gaps. Other numbers mean"
        " regression.",
    )
    delimiter: Annotated[str, AfterValidator(_delimiter)] | None = Field(
        None, description="Tables: the delimiter between cells; a space means any whitespace. Default: detected."
    )
    header: bool | None = Field(None, description="Tables: whether the first row names the columns. Default: detected.")
    decimal: Literal[".", ","] | None = Field(None, description="Tables: the decimal mark. Default: detected.")
    drop: tuple[Line, ...] = Field(
        (), max_length=10_000, description="Tables: names of columns to leave out; without a header, column 1, ..."
    )
    features: tuple[Line, ...] | None = Field(
        None,
        min_length=1,
        max_length=200_000,
        description="Tables: names of the feature columns, in order. Default: all but the target. NPZ: name of the"
        " array of samples. Default: x, x_train, data, images, and the like.",
    )
    samples: int | None = Field(
        None,
        ge=4,
        le=1_000_000,
        description="Generated data: number of samples. Files: use only this many samples from the beginning.",
    )
    noise: float | None = Field(
        None, ge=0, description="Generated data: standard deviation of the Gaussian noise, in units of the data."
    )
    scaling: Literal["none", "minmax", "standard"] = Field(
        "none", description="Feature scaling, fitted on the training part only: (x-min)/(max-min), or z-scores."
    )
    validation: float = Field(0.2, gt=0, lt=1, description="Fraction of the samples held out for validation.")
    factor: float = Field(
        1.0,
        gt=0,
        description="Multiplies the raw values before scaling; 15.9375 maps digits from 0-16 to MNIST's 0-255.",
    )
    sequence: Literal["none", "rows", "pixels"] = Field(
        "none",
        description="For recurrent layers: treat a sample as a sequence of its image's rows, or of its pixels.",
    )
    input_noise: float = Field(
        0.0,
        ge=0,
        description="Standard deviation of Gaussian noise added to the scaled inputs, drawn anew in every training"
        " step.",
    )
    batch_size: int = Field(32, ge=1, le=MOST, description="Samples per mini-batch.")
    last_batch: Literal["first", "keep", "drop"] = Field(
        "first",
        description="Samples that fill no mini-batch: first makes them the epoch's first mini-batch, keep its last one,"
        " drop leaves them out.",
    )

    @model_validator(mode="after")
    def _one_choice(self) -> Data:
        if self.features is not None and len(set(self.features)) < len(self.features):
            raise refusal(_("names a column twice"), keys=("features",))
        if self.drop and self.features is not None:
            raise refusal(_("use drop or features, not both"), keys=("drop", "features"))
        return self

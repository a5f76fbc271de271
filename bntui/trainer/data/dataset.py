"""Loads data sets by name or path, splits them, and scales them.

Built-in data comes from scikit-learn in raw units, in its order of rows: digits (images of 8x8 pixels, 0 to 16),
breast_cancer, wine, iris.  Generated data is described in ``generated.py``, with the defaults for samples and noise.

Values are float32 if that represents them exactly, else float64.  Scaling is computed in float64 from the values in the
file, and then rounded to float32.  Built-in data is float32.

``samples`` is the number of samples to draw for generated data.  For digits, breast_cancer, wine and iris, it selects
that many samples at random, depending on the seed (wine and iris are sorted by class); for files, the first ones.  If
there are fewer, all are used.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bntui.errors import DataError
from bntui.keyframe import FloatArray, IntArray, SingleArray
from bntui.recording.reading import Reading, ReadingNote
from bntui.scenario.data import Data
from bntui.scenario.sources import BUILTIN_DATA
from bntui.text.language import _
from bntui.text.library_messages import told
from bntui.text.output import clean
from bntui.trainer.data.arrays import pixel_names
from bntui.trainer.data.bundled import bundled
from bntui.trainer.data.contents import Choices, listed
from bntui.trainer.data.generated import DEFAULT_NOISE, REGRESSION, generate
from bntui.trainer.data.read import read_file
from bntui.trainer.data.split import split
from bntui.trainer.data.statistics import CHUNK, extent, moments

Task = Literal["classification", "regression"]
ScalingKind = Literal["none", "minmax", "standard"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """All samples of one source, before split and scaling."""

    name: str
    """The built-in name, or the file's name."""
    x: SingleArray | FloatArray
    """Shape ``(N, features)``, or ``(N, channels, height, width)`` for images; raw units, times ``data.factor``."""
    y: IntArray | SingleArray
    """Classification: class numbers ``(N,)``, int64.  Regression: ``(N, outputs)``, float32."""
    task: Task
    classes: tuple[str, ...]
    """Name of each class number; empty in regression."""
    features: tuple[str, ...]
    """Name of each feature; for images, of each pixel in C order (``pixel_row_column``)."""
    reading: Reading | None = None
    """How the file was read; of built-in data what they are; None where a recording does not say."""
    lines: IntArray | None = None
    """Line of the file in which each sample stands, from 1; None where samples are no lines."""

    def __len__(self) -> int:
        return len(self.x)


def load_data(config: Data, folder: Path, seed: int) -> Dataset:
    """Load the data of a scenario.

    Args:
        config: the table ``[data]``.
        folder: paths are relative to it; ``~`` is the home folder.
        seed: seed of generated data, and of the selection of built-in samples.

    Raises:
        DataError: a file is missing, damaged or has the wrong shape; built-in data does not have the given task; or
            values overflow when multiplied by ``data.factor``.
    """
    dataset = _loaded(config, folder, seed)
    with np.errstate(over="ignore", invalid="ignore"):
        x: SingleArray | FloatArray = dataset.x
        if config.factor != 1:
            scaled = x * config.factor
            x = scaled.astype(np.float32) if x.dtype == np.float32 else scaled.astype(np.float64)
        fits = bool(np.isfinite(x.astype(np.float32, copy=False)).all())
    if not fits:
        if config.factor == 1:
            raise DataError(_("data.noise = {noise:g}: the values become too large").format(noise=config.noise or 0))
        raise DataError(_("data.factor = {factor:g}: the values become too large").format(factor=config.factor))
    return replace(dataset, x=x, reading=_reading(dataset, x, config))


def _reading(dataset: Dataset, x: SingleArray | FloatArray, config: Data) -> Reading:
    """The description of the data, with the range after ``data.factor``, and a note if float32 merges values."""
    low, high = float(x.min()), float(x.max())
    if dataset.reading is None:
        return Reading(
            dataset.name, "built-in", len(x), x.shape[1:], dataset.task, len(dataset.classes), low, high
        )  # fmt: skip
    found = replace(dataset.reading, low=low, high=high)
    if dataset.classes:
        lone = np.flatnonzero(np.bincount(dataset.y.astype(np.int64)) == 1)
        if len(lone):
            names = listed([dataset.classes[number] for number in lone.tolist()])
            found = found.noted(ReadingNote("single sample", {"names": names}))
    exact_values = x.reshape(len(x), -1)
    if config.scaling != "none" or x.dtype == np.float32 or exact_values.shape[1] > 1000:
        return found
    merged = []
    for column, name in enumerate(dataset.features):
        exact = exact_values[:, column]
        before, after = len(np.unique(exact)), len(np.unique(exact.astype(np.float32)))
        if after < before:
            merged.append((name, before, after))
    if not merged:
        return found
    (_name, before, after), merging = merged[0], [name for name, _before, _after in merged]
    return found.noted(
        ReadingNote("collapse", {"name": listed(merging), "before": f"{before:,}", "after": f"{after:,}"})
    )


def _loaded(config: Data, folder: Path, seed: int) -> Dataset:
    if config.source in BUILTIN_DATA:
        dataset = _builtin(config, seed)
        if config.task not in ("auto", dataset.task):
            sentence = _("data.task = {task!r}: {source} is {kind}; remove task")
            raise DataError(sentence.format(task=config.task, source=config.source, kind=dataset.task))
        return dataset
    path = _resolve(config.source, folder)
    labels = None if config.labels is None else _resolve(config.labels, folder)
    chosen = ("target", "task", "samples", "delimiter", "header", "decimal", "drop", "features")
    contents = read_file(path, Choices(**{name: getattr(config, name) for name in chosen}), labels)
    task: Task = "classification" if contents.classes else "regression"
    return Dataset(
        clean(path.name), contents.x, contents.y, task, contents.classes, contents.features, contents.reading,
        contents.lines,
    )  # fmt: skip


def _resolve(source: str, folder: Path) -> Path:
    if "\0" in source:
        raise DataError(_("{path!r}: a path cannot contain a null character; remove it").format(path=source))
    try:
        return folder / Path(source).expanduser()
    except RuntimeError as error:
        sentence = _("{path}: {reason}; use the full path")
        raise DataError(sentence.format(path=source, reason=told(str(error)))) from error


def _builtin(config: Data, seed: int) -> Dataset:
    rng = _generator(seed, "data")
    if config.source in DEFAULT_NOISE:
        x, y = generate(config.source, config.samples, config.noise, rng)
        single = np.ascontiguousarray(x, dtype=np.float32)
        if config.source in REGRESSION:
            return Dataset(config.source, single, y.astype(np.float32), "regression", (), ("x",))
        classes = tuple(str(number) for number in range(int(y.max()) + 1))
        return Dataset(config.source, single, y.astype(np.int64), "classification", classes, ("x1", "x2"))
    dataset = _bundled(config.source)
    if config.samples is None or config.samples >= len(dataset):
        return dataset
    rows = rng.permutation(len(dataset))[: config.samples]
    return Dataset(dataset.name, dataset.x[rows], dataset.y[rows], dataset.task, dataset.classes, dataset.features)


def _bundled(name: str) -> Dataset:
    """One of the data sets that are part of scikit-learn."""
    found = bundled(name)
    x, features = np.ascontiguousarray(found.x, dtype=np.float32), found.features
    if name == "digits":
        x = x.reshape(-1, 1, 8, 8)
        features = pixel_names((1, 8, 8))
    return Dataset(name, x, found.y, "classification", found.classes, features)


def _generator(seed: int, purpose: str) -> np.random.Generator:
    """A separate generator for one purpose, so that the draws for different purposes do not affect each other."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:4], "little"))


def split_indices(dataset: Dataset, validation: float, seed: int) -> tuple[IntArray, IntArray]:
    """Row numbers of the training and the validation part, shuffled by the seed.

    The validation part has ``ceil(N * validation)`` samples, as in scikit-learn, at most all but one.  In
    classification, the split is stratified unless a class has fewer than two samples or a part has fewer samples than
    there are classes.
    """
    count = len(dataset)
    held_out = min(math.ceil(count * validation), count - 1)
    stratify: IntArray | None = None
    if dataset.task == "classification":
        frequency = np.unique(dataset.y, return_counts=True)[1]
        if frequency.min() >= 2 and min(held_out, count - held_out) >= len(frequency):
            stratify = dataset.y.astype(np.int64)
    return split(count, held_out, int(_generator(seed, "split").integers(2**32)), stratify)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Feature scaling ``(x - offset) * factor``, fitted on the training part."""

    kind: ScalingKind
    offset: FloatArray
    """Minimum (minmax), mean (standard) or 0 (none); shape of one sample."""
    factor: FloatArray
    """1 / (max - min) (minmax), 1 / σ with ddof = 0 (standard), or 1 (none, constant features); shape of one sample."""

    def apply(self, x: SingleArray | FloatArray) -> SingleArray:
        """Scale samples, shape ``(N, *shape)``; computed in float64, returned as a new float32 array."""
        if self.kind == "none":
            return np.array(x, dtype=np.float32, order="C")
        scaled = np.empty(x.shape, dtype=np.float32)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            scaled[rows] = (x[rows] - self.offset) * self.factor
        return scaled


def fit_scaling(kind: ScalingKind, x_train: SingleArray | FloatArray) -> Scaling:
    """Fit a scaling to each feature (each pixel of images) of the training part.

    ``minmax`` is ``(x - min) / (max - min)``; ``standard`` is the z-score with the population standard deviation.
    """
    shape = x_train.shape[1:]
    flat = x_train.reshape(len(x_train), -1)
    if kind == "minmax":
        low, factor = extent(flat)
        return Scaling(kind, low.reshape(shape), factor.reshape(shape))
    if kind == "standard":
        mean, std = moments(flat)
        return Scaling(kind, mean.reshape(shape), (1.0 / std).reshape(shape))
    return Scaling(kind, np.zeros(shape), np.ones(shape))


def as_sequence(x: SingleArray, sequence: str) -> SingleArray:
    """Samples in the shape that ``data.sequence`` asks for: ``(N, steps, features)`` unless it is ``none``.

    The steps are the rows or pixels of an image, with the values of all channels, or the features of other samples.
    """
    if sequence == "none":
        return x
    if x.ndim == 2:
        return x[:, :, np.newaxis]
    samples, channels, height, width = x.shape
    if sequence == "rows":
        return x.transpose(0, 2, 1, 3).reshape(samples, height, channels * width)
    return x.transpose(0, 2, 3, 1).reshape(samples, height * width, channels)

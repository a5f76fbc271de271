"""Checks that the parts of a configuration fit each other and, as far as it is known, the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bntui.errors import Problem
from bntui.scenario.blocks import OUTPUT, Block, blocks
from bntui.scenario.complaints import Complaint, spell
from bntui.scenario.data import Data
from bntui.scenario.network import NetworkConfig
from bntui.scenario.schema import RunConfig
from bntui.scenario.size import memory_of, too_large
from bntui.scenario.sources import BUILTIN_DATA, kind_of
from bntui.scenario.structure import Placed, Shape, placed, spelled, values_per_feature
from bntui.text.language import N_, _

STORED_SAMPLES: Final = {"digits": 1797, "breast_cancer": 569, "wine": 178, "iris": 150}
"""Number of samples of built-in data that is not generated."""
REGRESSION: Final = ("line", "sine")
SHAPES: Final = {"digits": (1, 8, 8), "breast_cancer": (30,), "wine": (13,), "iris": (4,)}
"""Shape of one sample of built-in data that is not generated."""
CLASSES: Final = {
    "digits": 10,
    "breast_cancer": 2,
    "wine": 3,
    "iris": 3,
    "moons": 2,
    "circles": 2,
    "spirals": 2,
    "xor": 2,
    "blobs": 3,
}
"""Number of classes of built-in data for classification."""

_FILES: Final = {"idx": N_("IDX files"), "npz": N_(".npz files"), "table": N_("tables")}
_KEYS_OF_FILES: Final = (
    ("labels", (None,), ("idx",)),
    ("target", (None,), ("table", "npz")),
    ("delimiter", (None,), ("table",)),
    ("header", (None,), ("table",)),
    ("decimal", (None,), ("table",)),
    ("drop", ((),), ("table",)),
    ("features", (None,), ("table", "npz")),
)
"""Key of ``[data]``, its values that have no effect, and the kinds of files it applies to."""


def sample_count(data: Data) -> int | None:
    """Number of samples used for training and validation; None for a file, which is not read here."""
    if data.source in STORED_SAMPLES:
        return data.samples or STORED_SAMPLES[data.source]
    if data.source in BUILTIN_DATA:
        return data.samples or (50 if data.source in REGRESSION else 500)
    return None


def split_counts(samples: int, validation: float) -> tuple[int, int]:
    """Number of training and validation samples, rounded as in scikit-learn; at least one is held out."""
    held_out = math.ceil(samples * validation)
    return samples - held_out, held_out


def task(data: Data) -> str | None:
    """``classification`` or ``regression``; None if only the file can tell."""
    if data.source in BUILTIN_DATA:
        return "regression" if data.source in REGRESSION else "classification"
    return None if data.task == "auto" else data.task


def lone_sample(n_train: int, batch_size: int, last_batch: str) -> bool:
    """True if an epoch has a mini-batch of a single sample."""
    if last_batch == "drop":
        return batch_size == 1
    return batch_size == 1 or n_train % batch_size == 1


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What is known about the data: from the name of built-in data, or after a file was read."""

    samples: int | None
    task: str | None
    shape: Shape | None
    """Shape of one sample: ``(features,)``, or ``(channels, height, width)`` for an image."""
    outputs: int | None = None
    """Number of classes, or target values per sample."""


def facts_of(data: Data) -> DataFacts:
    """What the data's name alone tells about it."""
    shape: Shape | None = SHAPES.get(data.source)
    if data.source in BUILTIN_DATA and shape is None:
        shape = (1,) if data.source in REGRESSION else (2,)
    elif kind_of(data.source) == "table":
        shape = (None,)
    return DataFacts(sample_count(data), task(data), shape, CLASSES.get(data.source))


def check(config: RunConfig, facts: DataFacts | None = None) -> Iterator[Complaint]:
    """Inconsistencies in a configuration whose single values are valid, as far as the facts show."""
    facts = facts or facts_of(config.data)
    layers = tuple(placed(config, facts.shape))
    yield from _data(config.data, facts.shape)
    yield from _layers(config, layers)
    yield from _noise(config.network)
    yield from _monitor(config, facts)
    size = too_large(config, layers, facts.shape, facts.samples, facts.outputs)
    if size is not None:
        yield size
    if facts.samples is not None:
        parts = split_counts(facts.samples, config.data.validation)
        alone = _single_valued(config, layers)
        found = (
            _empty_split(config.data, facts.samples),
            _lone_batch(config, parts[0], alone),
            _lone_validation(config, parts[1], alone),
        )
        yield from (complaint for complaint in found if complaint is not None)


def memory(config: RunConfig) -> int:
    """Minimum memory of a run in bytes, as far as the data's name tells."""
    facts = facts_of(config.data)
    return memory_of(config, tuple(placed(config, facts.shape)), facts.shape, facts.samples, facts.outputs)[0]


def problems(config: RunConfig, facts: DataFacts) -> tuple[Problem, ...]:
    """What :func:`check` finds after the data was read; without line numbers, as the file's text is not available."""
    return tuple(Problem(spell(complaint.paths[0]), complaint.message) for complaint in check(config, facts))


def rest_of_epoch(config: RunConfig, facts: DataFacts, samples: int) -> Problem | None:
    """Why the samples left in an epoch cannot be split into mini-batches; a fork may start within an epoch."""
    complaint = _lone_batch(config, samples, _single_valued(config, tuple(placed(config, facts.shape))))
    return None if complaint is None else Problem(spell(complaint.paths[0]), complaint.message)


def _data(data: Data, shape: Shape | None) -> Iterator[Complaint]:
    source = data.source
    generated = source in BUILTIN_DATA and source not in STORED_SAMPLES
    if data.noise is not None and not generated:
        message = _("noise applies only to generated data, and {source} is not generated").format(source=source)
        yield Complaint((("data", "noise"),), message)
    available = STORED_SAMPLES.get(source)
    if available is not None and data.samples is not None and data.samples > available:
        message = _("must be at most {available}: {source} has only that many samples").format(
            available=available, source=source
        )
        yield Complaint((("data", "samples"),), message)
    kind = kind_of(source)
    for key, given, kinds in _KEYS_OF_FILES:
        if kind not in kinds and getattr(data, key) not in given:
            message = _("{key} applies only to {files}, not to {source}").format(
                key=key, files=", ".join(_(_FILES[each]) for each in kinds), source=source
            )
            yield Complaint((("data", key),), message)
    known = task(data)
    if known is not None and data.task not in ("auto", known):
        yield Complaint((("data", "task"),), _("{source} is data for {task}").format(source=source, task=known))
    if data.sequence == "rows" and shape is not None and len(shape) == 1:
        message = _(
            '"rows" needs images, but {source} has samples of shape {shape}; use "pixels" to make each feature a'
            " time step"
        )
        yield Complaint((("data", "sequence"),), message.format(source=source, shape=spelled(shape)))


def _layers(config: RunConfig, layers: tuple[Placed, ...]) -> Iterator[Complaint]:
    names = {OUTPUT}
    for layer in layers:
        name, path = layer.block.name, layer.path
        if name in names:
            message = _("the name {name} is already used; layer names must be unique").format(name=repr(name))
            yield Complaint(((*path, "name"), path), message)
        names.add(name)
        if layer.complaint is not None:
            yield layer.complaint
        normalization = _normalization(config, layer)
        if normalization is not None:
            yield normalization


def _normalization(config: RunConfig, layer: Placed) -> Complaint | None:
    """Why a layer's normalization is impossible, or would make all its values 0."""
    block, path = layer.block, layer.path
    name, norm = repr(block.name), ((*path, "norm"), ("network", "norm"))
    if block.norm != "none" and block.type == "recurrent":
        if block.norm == "group":
            message = _("recurrent layers ({layer}) do not support group normalization; use batch or layer")
            return Complaint(norm, message.format(layer=name))
        if config.network.norm_position == "after_activation":
            message = _("in recurrent layers ({layer}), normalization must come before the activation")
            return Complaint((("network", "norm_position"), *norm), message.format(layer=name))
    if block.norm == "layer" and block.units == 1 and block.type != "conv" and block.cell != "gru":
        message = _("layer normalization over the single unit of {layer}: the normalized value is always 0")
        return Complaint(norm, message.format(layer=name))
    return _groups(config, layer) if block.norm == "group" else None


def _groups(config: RunConfig, layer: Placed) -> Complaint | None:
    block, path, groups = layer.block, layer.path, config.network.groups
    name, what = repr(block.name), "units" if block.type == "linear" else "channels"
    if block.units % groups:
        fit = ", ".join(str(n) for n in range(1, block.units + (block.type == "conv")) if block.units % n == 0)
        if block.type == "linear":
            message = _("groups = {groups} does not divide the {count} units of {layer}; possible values: {fit}")
        else:
            message = _(
                "groups = {groups} does not divide the {count} channels of {layer}, {shape}; possible values: {fit}"
            )
        message = message.format(groups=groups, count=block.units, layer=name, shape=spelled(layer.entered), fit=fit)
    elif block.units == groups and block.type == "linear":
        message = _(
            "groups = {groups} leaves one unit of {layer} in each group: the normalized value is always 0"
        ).format(groups=groups, layer=name)
    else:
        return None
    size = path if config.network.layer is None else (*path, what)
    return Complaint((("network", "groups"), (*path, "norm"), ("network", "norm"), size), message)


def _noise(network: NetworkConfig) -> Iterator[Complaint]:
    if not network.norm_noise:
        return
    made = blocks(network)
    for block in made:
        if block.norm in ("layer", "group") or (block.norm == "batch" and block.type == "recurrent"):
            message = _(
                "norm_noise needs batch normalization of a linear layer or convolution; {layer} is {kind} with norm"
                " = {norm}"
            ).format(layer=repr(block.name), kind=block.type, norm=repr(block.norm))
            break
    else:
        if any(block.norm == "batch" for block in made):
            return
        message = _("norm_noise needs batch normalization, and no layer has it; set norm = 'batch', or norm_noise = 0")
    yield Complaint((("network", "norm_noise"), ("network", "norm")), message)


def _monitor(config: RunConfig, facts: DataFacts) -> Iterator[Complaint]:
    rule, known = config.training.early_stopping, facts.task
    path = ("training", "early_stopping", "monitor")
    if rule is None or known is None:
        return
    for word, needed, instead in (("accuracy", "classification", "r2"), ("r2", "regression", "accuracy")):
        if rule.monitor.endswith(word) and known != needed:
            hint = rule.monitor.replace(word, instead)
            message = _("needs {needed}, but {source} is data for {task}")
            yield Complaint((path,), message.format(needed=needed, source=config.data.source, task=known), hint)


def _empty_split(data: Data, samples: int) -> Complaint | None:
    n_train, n_validation = split_counts(samples, data.validation)
    if n_train < 1:
        message = _("leaves no samples for training: {held_out} of {samples} are held out")
        message = message.format(held_out=n_validation, samples=samples)
        return Complaint((("data", "validation"), ("data", "samples")), message)
    if data.last_batch == "drop" and data.batch_size > n_train:
        message = _('is larger than the {samples} training samples, so last_batch = "drop" leaves no mini-batch')
        return Complaint((("data", "batch_size"), ("data", "last_batch")), message.format(samples=n_train))
    return None


def _lone_batch(config: RunConfig, n_train: int, alone: Block | None) -> Complaint | None:
    data = config.data
    if alone is None or not lone_sample(n_train, data.batch_size, data.last_batch):
        return None
    why = _variance(alone)
    if data.batch_size == 1:
        message = _("{why}; use a larger batch_size, or layer normalization").format(why=why)
    else:
        message = _(
            "the last mini-batch of an epoch has one sample ({samples} training samples in batches of {size}), but"
            ' {why}; use last_batch = "drop", or another batch_size'
        ).format(samples=n_train, size=data.batch_size, why=why)
    return Complaint((("data", "batch_size"), ("data", "last_batch"), ("network", "norm")), message)


def _lone_validation(config: RunConfig, n_validation: int, alone: Block | None) -> Complaint | None:
    """Why validation in training mode would have a mini-batch of one sample; a last one is merged if possible."""
    training = config.training
    if alone is None or training.validation_mode == "evaluation":
        return None
    if n_validation > 1 and (training.validation_batch or config.data.batch_size) > 1:
        return None
    message = _("validation in training mode would have mini-batches of one sample, but {why}").format(
        why=_variance(alone)
    )
    return Complaint((("training", "validation_batch"), ("training", "validation_mode")), message)


def _variance(block: Block) -> str:
    return _("batch normalization (layer {layer}) needs at least two samples for a variance").format(
        layer=repr(block.name)
    )


def _single_valued(config: RunConfig, layers: tuple[Placed, ...]) -> Block | None:
    """The first block whose batch normalization has one value per feature and sample."""
    rule = config.network.norm_recurrent
    normed = (layer for layer in layers if layer.block.norm == "batch")
    return next((layer.block for layer in normed if values_per_feature(layer, rule) == 1), None)

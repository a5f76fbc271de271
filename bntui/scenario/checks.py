"""Do the parts of a configuration fit each other, and the data, as far as that is known?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bntui.errors import Problem
from bntui.scenario.blocks import OUTPUT, Block, blocks, convolved, pooled
from bntui.scenario.complaints import Complaint, spell
from bntui.scenario.schema import BUILTIN_DATA, Data, Network, RunConfig
from bntui.scenario.toml_lines import KeyPath

STORED_SAMPLES: Final = {"digits": 1797, "breast_cancer": 569, "wine": 178, "iris": 150}
"""Built-in data that is not generated, and its number of samples."""
REGRESSION: Final = ("line", "sine")
IMAGES: Final = {"digits": (8, 8)}
"""Built-in images, one channel: height and width."""


def sample_count(data: Data) -> int | None:
    """Samples that are used, training and validation together; None for a file, which is not read here."""
    if data.source in STORED_SAMPLES:
        return data.samples or STORED_SAMPLES[data.source]
    if data.source in BUILTIN_DATA:
        return data.samples or (50 if data.source in REGRESSION else 500)
    return None


def split_counts(samples: int, validation: float) -> tuple[int, int]:
    """Number of training and of validation samples, rounded as scikit-learn does; at least one is held out."""
    held_out = math.ceil(samples * validation)
    return samples - held_out, held_out


def task(data: Data) -> str | None:
    """``classification`` or ``regression``; None where only the file tells."""
    if data.source in BUILTIN_DATA:
        return "regression" if data.source in REGRESSION else "classification"
    return None if data.task == "auto" else data.task


def lone_sample(n_train: int, batch_size: int, last_batch: str) -> bool:
    """Does a mini-batch of one single sample come up in an epoch?"""
    if last_batch == "drop":
        return batch_size == 1
    return batch_size == 1 or n_train % batch_size == 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the data: of built-in data from its name, of a file only once it was read."""

    samples: int | None
    task: str | None
    image: tuple[int, int] | None
    """Height and width of a sample."""
    flat: bool
    """A sample is known to be no image."""


def facts_of(data: Data) -> Facts:
    """What the name of the data tells."""
    image = IMAGES.get(data.source)
    flat = (data.source in BUILTIN_DATA and image is None) or data.source.endswith(".csv")
    return Facts(sample_count(data), task(data), image, flat)


def check(config: RunConfig, facts: Facts | None = None) -> Iterator[Complaint]:
    """All that does not fit in a configuration whose single values are valid, as far as the facts tell."""
    facts = facts or facts_of(config.data)
    yield from _data(config.data)
    yield from _layers(config, facts)
    yield from _noise(config.network)
    yield from _monitor(config, facts)
    if facts.samples is not None:
        empty = _empty_split(config.data, facts.samples)
        n_train, _ = split_counts(facts.samples, config.data.validation)
        lone = _lone_batch(config, n_train, facts.image)
        yield from (complaint for complaint in (empty, lone) if complaint is not None)


def problems(config: RunConfig, facts: Facts) -> tuple[Problem, ...]:
    """What :func:`check` finds once the data was read: without lines, for the file's text is not at hand."""
    return tuple(Problem(spell(complaint.paths[0]), complaint.message) for complaint in check(config, facts))


def _data(data: Data) -> Iterator[Complaint]:
    source = data.source
    generated = source in BUILTIN_DATA and source not in STORED_SAMPLES
    if data.noise is not None and not generated:
        yield Complaint((("data", "noise"),), f"noise belongs to generated data, and {source} is not generated")
    available = STORED_SAMPLES.get(source)
    if available is not None and data.samples is not None and data.samples > available:
        yield Complaint((("data", "samples"),), f"must be at most {available}: {source} has no more samples")
    if data.labels is not None and source.endswith((*BUILTIN_DATA, ".csv", ".npz")):
        yield Complaint((("data", "labels"),), f"labels belong to IDX files, and {source} is none")
    if data.target is not None and not source.endswith((".csv", ".npz")):
        yield Complaint((("data", "target"),), f"a target is named in .csv and .npz files, and {source} is none")
    known = task(data)
    if known is not None and data.task not in ("auto", known):
        yield Complaint((("data", "task"),), f"{source} is data for {known}")


def _layers(config: RunConfig, facts: Facts) -> Iterator[Complaint]:
    data, network = config.data, config.network
    size = facts.image
    names = {OUTPUT}
    linear: str | None = None
    for index, block in enumerate(blocks(network)):
        path: KeyPath = ("network", "hidden", index) if network.layer is None else ("network", "layer", index)
        if block.name in names:
            yield Complaint(((*path, "name"), path), f"the name {block.name!r} is taken; no two layers have the same")
        names.add(block.name)
        yield from _groups(config, block, path)
        if block.type == "linear":
            linear = linear or block.name
        elif linear is not None:
            yield Complaint(((*path, "type"),), f"a convolution cannot follow a linear layer ({linear!r})")
        elif facts.flat:
            kinds = "of the built-in data only digits are (1x8x8)"
            yield Complaint(
                ((*path, "type"), ("data", "source")), f"a convolution needs images; {kinds}, {data.source} is not"
            )
        elif size is not None:
            before, size = size, pooled(block, convolved(block, size))
            if min(size) < 1:
                yield Complaint(
                    ((*path, "kernel"), (*path, "pool"), path),
                    f"nothing is left of {before[0]}x{before[1]} pixels after {block.name!r};"
                    " use a smaller kernel, stride or pool",
                )
                size = None


def _groups(config: RunConfig, block: Block, path: KeyPath) -> Iterator[Complaint]:
    groups, what = config.network.groups, "units" if block.type == "linear" else "channels"
    if block.norm != "group":
        return
    if block.units % groups:
        fit = ", ".join(str(n) for n in range(1, block.units) if block.units % n == 0)
        message = f"groups = {groups} does not divide the {block.units} {what} of {block.name!r}; these do: {fit}"
    elif block.units == groups and block.type == "linear":
        message = f"groups = {groups} leaves one unit of {block.name!r} in each group: its normalized value is always 0"
    else:
        return
    size = path if config.network.layer is None else (*path, what)
    yield Complaint((("network", "groups"), (*path, "norm"), ("network", "norm"), size), message)


def _noise(network: Network) -> Iterator[Complaint]:
    if not network.norm_noise:
        return
    made = blocks(network)
    for block in made:
        if block.norm in ("layer", "group") or (block.norm == "batch" and block.type == "recurrent"):
            message = (
                "noise follows batch normalization of linear layers and convolutions;"
                f" {block.name!r} is {block.type} with norm = {block.norm!r}"
            )
            break
    else:
        if any(block.norm == "batch" for block in made):
            return
        message = "noise follows batch normalization, and no layer has any; set norm = 'batch', or norm_noise = 0"
    yield Complaint((("network", "norm_noise"), ("network", "norm")), message)


def _monitor(config: RunConfig, facts: Facts) -> Iterator[Complaint]:
    rule, known = config.training.early_stopping, facts.task
    path = ("training", "early_stopping", "monitor")
    if rule is None or known is None:
        return
    for word, needed, instead in (("accuracy", "classification", "r2"), ("r2", "regression", "accuracy")):
        if rule.monitor.endswith(word) and known != needed:
            hint = rule.monitor.replace(word, instead)
            yield Complaint((path,), f"needs {needed}, and {config.data.source} is data for {known}", hint)


def _empty_split(data: Data, samples: int) -> Complaint | None:
    n_train, n_validation = split_counts(samples, data.validation)
    if n_train < 1:
        message = f"leaves no sample for training: {n_validation} of {samples} are held out"
        return Complaint((("data", "validation"), ("data", "samples")), message)
    if data.last_batch == "drop" and data.batch_size > n_train:
        message = f'is more than the {n_train} training samples, and last_batch = "drop" leaves no mini-batch at all'
        return Complaint((("data", "batch_size"), ("data", "last_batch")), message)
    return None


def _lone_batch(config: RunConfig, n_train: int, size: tuple[int, int] | None) -> Complaint | None:
    data = config.data
    if not lone_sample(n_train, data.batch_size, data.last_batch):
        return None
    block = _single_valued(blocks(config.network), size)
    if block is None:
        return None
    why = f"batch normalization (layer {block.name!r}) needs two samples to have a variance"
    if data.batch_size == 1:
        message = f"{why}; choose a larger batch_size, or layer normalization"
    else:
        counts = f"{n_train} training samples in batches of {data.batch_size}"
        found = f"the last mini-batch of an epoch has one sample ({counts})"
        message = f'{found}, and {why}; choose last_batch = "drop", or another batch_size'
    return Complaint((("data", "batch_size"), ("data", "last_batch"), ("network", "norm")), message)


def _single_valued(layers: tuple[Block, ...], size: tuple[int, int] | None) -> Block | None:
    """The first block whose batch normalization sees one value a feature and sample: a linear layer, or one pixel."""
    for block in layers:
        if block.type == "conv" and size is not None:
            pixels = convolved(block, size)
            size = pooled(block, pixels)
            if block.norm == "batch" and pixels == (1, 1):
                return block
        if block.type == "linear" and block.norm == "batch":
            return block
    return None

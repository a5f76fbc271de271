"""Checks which layers can follow each other, and computes the shape of a sample between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bntui.scenario.blocks import Block, blocks, convolved, pooled
from bntui.scenario.complaints import Complaint
from bntui.scenario.data import Data
from bntui.scenario.schema import RunConfig
from bntui.scenario.toml_lines import KeyPath
from bntui.text.language import _

Shape = tuple[int | None, ...]
"""Shape of one sample: ``(features,)``, ``(channels, height, width)``, or ``(time steps, features)``; None: unknown."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A hidden layer with its position and shapes."""

    block: Block
    path: KeyPath
    entered: Shape
    """Output shape of its linear part, convolution, or input projection; for a recurrent layer, of one gate."""
    after: Shape
    complaint: Complaint | None = None
    """Why it cannot be used here; the shapes are then those it would have elsewhere."""


def as_sequence(shape: Shape | None, sequence: str) -> Shape | None:
    """Shape of a sample after ``data.sequence`` is applied; None: only the data file can tell."""
    if sequence == "none":
        return shape
    if shape is None:
        return None, None
    if len(shape) == 1:
        return shape[0], 1
    channels, height, width = shape
    return (height, _times(channels, width)) if sequence == "rows" else (_times(height, width), channels)


def placed(config: RunConfig, shape: Shape | None) -> Iterator[Placed]:
    """The hidden layers with their shapes, for samples of ``shape``; None: only the data file can tell."""
    shape = as_sequence(shape, config.data.sequence)
    before: Block | None = None
    for index, block in enumerate(blocks(config.network)):
        path: KeyPath = ("network", "hidden" if config.network.layer is None else "layer", index)
        if block.type == "linear":
            layer = Placed(block, path, (block.units,), (block.units,))
        elif block.type == "conv":
            layer = _convolution(block, path, shape, before, config.data)
        else:
            layer = _recurrent(block, path, shape, before, config.data)
        yield layer
        before, shape = block, layer.after


def values_per_feature(layer: Placed, norm_recurrent: str) -> int | None:
    """Values per sample in a feature's batch normalization statistics; None: unknown."""
    if layer.block.type == "linear" or (layer.block.type == "recurrent" and norm_recurrent == "step"):
        return 1
    if layer.block.type == "recurrent":
        return layer.entered[0]
    return _times(*layer.entered[1:])


def spelled(shape: Shape) -> str:
    """The shape as shown in messages: ``(1, 8, 8)``."""
    return f"({', '.join('…' if side is None else str(side) for side in shape)})"


def _convolution(block: Block, path: KeyPath, shape: Shape | None, before: Block | None, data: Data) -> Placed:
    channels, unknown = block.units, (block.units, None, None)
    if shape is None:
        return Placed(block, path, unknown, unknown)
    if len(shape) != 3:
        if before is not None:
            message = _("a convolution needs an image, but {layer} outputs shape {shape}").format(
                layer=repr(before.name), shape=spelled(shape)
            )
        elif data.sequence != "none":
            message = _(
                "a convolution needs images, but data.sequence = {sequence} turns each into shape {shape}"
            ).format(sequence=f'"{data.sequence}"', shape=spelled(shape))
        else:
            message = _(
                "a convolution needs images, but {source} has samples of shape {shape}; of the built-in data,"
                " only digits are images"
            ).format(source=data.source, shape=spelled(shape))
        return Placed(block, path, unknown, unknown, _misplaced(path, message, before, data))
    _depth, height, width = shape
    if height is None or width is None:
        return Placed(block, path, unknown, unknown)
    image = convolved(block, (height, width))
    left = pooled(block, image)
    if min(left) < 1:
        message = _(
            "nothing is left of {height}x{width} pixels after {layer}; use a smaller kernel, stride, or pool"
        ).format(height=height, width=width, layer=repr(block.name))
        paths = ((*path, "kernel"), (*path, "pool"), path)
        return Placed(block, path, unknown, unknown, Complaint(paths, message))
    return Placed(block, path, (channels, *image), (channels, *left))


def _recurrent(block: Block, path: KeyPath, shape: Shape | None, before: Block | None, data: Data) -> Placed:
    steps = None
    complaint = None
    if shape is not None and len(shape) == 1:
        if before is not None:
            message = _("a recurrent layer needs a sequence, but {layer} outputs shape {shape}").format(
                layer=repr(before.name), shape=spelled(shape)
            )
        else:
            message = _(
                "a recurrent layer needs a sequence, but {source} has samples of shape {shape}; set data.sequence ="
                ' "pixels" to make each feature a time step'
            ).format(source=data.source, shape=spelled(shape))
        complaint = _misplaced(path, message, before, data)
    elif shape is not None:
        steps = shape[0] if len(shape) == 2 else shape[1]  # the rows of an image
    return Placed(block, path, (steps, block.units), (steps, block.units), complaint)


def _misplaced(path: KeyPath, message: str, before: Block | None, data: Data) -> Complaint:
    """A complaint about a layer that does not match the layer before it, or the data."""
    here: KeyPath = (*path, "type")
    if before is not None:
        return Complaint((here,), message)
    return Complaint((here, ("data", "source" if data.sequence == "none" else "sequence")), message)


def _times(*sides: int | None) -> int | None:
    known = [side for side in sides if side is not None]
    return math.prod(known) if len(known) == len(sides) else None

"""The samples that a recording brings along: raw, with their split, their scaling, and the grid of predictions."""

from __future__ import annotations

from dataclasses import dataclass

from bntui.keyframe import FloatArray, IntArray, SingleArray


@dataclass(frozen=True, slots=True)
class RecordedScaling:
    """A run's feature scaling ``(x - offset) * factor``, fitted on the training part; shapes of one sample."""

    kind: str
    """``none``, ``minmax`` or ``standard``."""
    offset: FloatArray
    factor: FloatArray


@dataclass(frozen=True, slots=True)
class RecordedData:
    """All samples of a recording, as they were before scaling."""

    name: str
    x: SingleArray | FloatArray
    """Shape ``(N, features)``, or ``(N, channels, height, width)`` for images; raw units; float64 where float32 would
    change them."""
    y: IntArray | SingleArray
    """Class numbers ``(N,)``, or values ``(N, outputs)`` in regression."""
    train: IntArray
    """Rows of the training part; a keyframe's ``batch_indices`` count within it."""
    validation: IntArray
    """Rows of the validation part."""
    classes: tuple[str, ...]
    """Name of each class; empty in regression."""
    features: tuple[str, ...]
    """Name of each feature, for images of each pixel in C order."""
    scalings: tuple[RecordedScaling, ...]
    """One for each run."""
    grid: tuple[SingleArray | FloatArray, ...]
    """Where predictions are recorded, raw units: the values of one axis (regression) or of two, the first across
    (columns), the second up (rows).  Empty where there are none."""

"""Measures a layer from arrays that a training loop of any framework hands over."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bntui.activity import dead_fraction, saturated_fraction
from bntui.distributions import (
    UNMEASURED,
    Values,
    distributions,
    norm,
    unit_percentiles,
)
from bntui.keyframe import MASK_SAMPLES, BatchNorm, Distribution, DropoutMask, Foreign, LayerMeasures
from bntui.recording.history import LayerInfo
from bntui.text.language import _
from bntui.text.output import clean

QUANTITY_OF: Final = {
    "input": "input", "pre_activation": "pre_norm", "normalized": "normalized", "output": "output",
}  # fmt: skip
"""What a loop calls the values of a layer, and the quantity that they are in a keyframe."""
OF_WEIGHT: Final = ("weight", "bias", "gradient", "updated_weight")
OF_BATCH_NORM: Final = (
    "batch_mean", "batch_var", "running_mean", "running_var", "gamma", "beta", "gamma_gradient", "beta_gradient",
)  # fmt: skip
"""One number for each unit or channel; see :class:`bntui.keyframe.BatchNorm`."""
ARRAYS: Final = (*QUANTITY_OF, *OF_WEIGHT, "activation_gradient", "mask", *OF_BATCH_NORM)
WORDS: Final = ("kind", "norm", "activation")
KEYS: Final = (*ARRAYS, *WORDS, "dropout", "eps")
"""Everything that a loop may tell of a layer."""
KINDS: Final = {2: "linear", 3: "conv", 4: "conv", 5: "conv"}
"""Kind of a layer that does not tell it, by the number of axes of its weight."""


class Told(NamedTuple):
    """What a loop tells of a layer, as NumPy arrays and words."""

    name: str
    arrays: Mapping[str, Values]
    words: Mapping[str, str]
    dropout: float
    eps: float | None
    """ε of its batch normalization, which is told with that."""

    @property
    def features(self) -> int:
        """Number of units or channels that its batch normalization is told of; 0 if it is told nothing."""
        return next((self.arrays[key].size for key in OF_BATCH_NORM if key in self.arrays), 0)


def told(name: object, given: object) -> Told:
    """What a loop tells of a layer, checked.

    Raises:
        ValueError: it is not what can be recorded; the message names the layer and the key.
    """
    if not isinstance(name, str) or not name or not isinstance(given, Mapping):
        sentence = _("layers must map a name to a table of arrays, but {name} is {found}")
        raise ValueError(sentence.format(name=clean(repr(name))[:80], found=type(given).__name__))
    unknown = next((key for key in given if key not in KEYS), None)
    if unknown is not None:
        sentence = _("layer {layer} has {key}, which is not recorded; use {keys}")
        raise ValueError(sentence.format(layer=name, key=clean(repr(unknown))[:80], keys=", ".join(KEYS)))
    arrays = {key: array(given[key], f"{name}.{key}") for key in ARRAYS if given.get(key) is not None}
    if not arrays:
        raise ValueError(_("layer {layer} has no array").format(layer=name))
    for one, other in (("gradient", "weight"), ("updated_weight", "weight"), ("activation_gradient", "output")):
        if one in arrays and other in arrays and arrays[one].shape != arrays[other].shape:
            sentence = _("layer {layer}: {one} has shape {found}, but {other} has {wanted}")
            shapes = {"found": arrays[one].shape, "wanted": arrays[other].shape}
            raise ValueError(sentence.format(layer=name, one=one, other=other, **shapes))
    dropout = number(given.get("dropout"), f"{name}.dropout") or 0.0
    if not 0 <= dropout <= 1:
        raise ValueError(_("layer {layer}: dropout must be a number from 0 to 1").format(layer=name))
    words = {key: given[key] for key in WORDS if given.get(key) is not None}
    wrong = next((key for key, word in words.items() if not isinstance(word, str)), None)
    if wrong is not None:
        sentence = _("layer {layer}: {key} is {kind}, not a word")
        raise ValueError(sentence.format(layer=name, key=wrong, kind=type(words[wrong]).__name__))
    eps = number(given.get("eps"), f"{name}.eps")
    known = {key: str(word) for key, word in words.items() if word}  # NumPy has strings of its own
    if any(key in arrays for key in OF_BATCH_NORM):
        if eps is None or not 0 < eps < math.inf:
            raise ValueError(_("layer {layer}: batch normalization needs its eps, a number above 0").format(layer=name))
        if known.setdefault("norm", "batch") != "batch":
            sentence = _("layer {layer}: {key} belongs to the norm batch, not to {norm}")
            first = next(key for key in OF_BATCH_NORM if key in arrays)
            raise ValueError(sentence.format(layer=name, key=first, norm=clean(known["norm"])[:80]))
    return Told(str(name), arrays, known, dropout, eps)


def array(value: Any, place: str) -> Values:
    """A single-precision array of anything that NumPy can convert.

    Raises:
        ValueError: it is not numeric, or empty.
    """
    try:
        if np.ma.is_masked(value):  # what is masked would count
            raise TypeError(_("it has masked values"))
        found = np.asarray(_detached(value))
        if found.dtype.kind not in "fiub" and not (found.dtype.kind == "V" and found.dtype.fields is None):
            raise TypeError(found.dtype.name)
        with np.errstate(over="ignore"):
            single: Values = found.astype(np.float32, copy=False)
    except Exception as error:  # of another library
        sentence = _("{place} is not an array of numbers: {reason}")
        raise ValueError(sentence.format(place=place, reason=clean(str(error))[:200])) from error
    if not single.size:
        raise ValueError(_("{place} is empty").format(place=place))
    return single


def _detached(value: Any) -> Any:
    """A tensor of PyTorch without its gradient, with which it is no array, and a number only with a warning."""
    detach = getattr(value, "detach", None)
    return detach() if callable(detach) else value


def number(value: Any, place: str) -> float | None:
    """A single number of anything that Python can convert; None stays None.

    Raises:
        ValueError: it is not a number.
    """
    try:
        return None if value is None else float(_detached(value))
    except Exception as error:  # of another library
        sentence = _("{place} is not a number: {reason}")
        raise ValueError(sentence.format(place=place, reason=clean(str(error))[:200])) from error


def described(of: Told, *, channels_last: bool) -> LayerInfo:
    """What is fixed about a layer, as its first keyframe shows it."""
    weight = of.arrays.get("weight")
    kind = of.words.get("kind") or ("module" if weight is None else KINDS.get(weight.ndim, "module"))
    values = next((of.arrays[key] for key in ("output", "normalized", "pre_activation") if key in of.arrays), None)
    if values is not None and values.ndim > 1:
        shape = values.shape[1:]
        if channels_last and kind == "conv":
            shape = (shape[-1], *shape[:-1])
    else:
        shape = (of.features or 1,) if weight is None or not weight.ndim else (weight.shape[-1],)
    return LayerInfo(
        name=of.name,
        kind=Foreign(kind),
        shape=_fitting(kind, shape),
        norm=of.words.get("norm") or ("norm" if "normalized" in of.arrays else "none"),
        activation=of.words.get("activation", "none"),
        dropout=of.dropout,
        parameters=sum(of.arrays[key].size for key in ("weight", "bias", "gamma", "beta") if key in of.arrays),
    )


def _fitting(kind: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A sample's shape with as many axes as a recording has for a kind of layer."""
    if kind == "linear":
        return shape[-1:]
    if kind == "conv":
        return (*shape, 1, 1)[:3] if len(shape) < 3 else (*shape[:2], math.prod(shape[2:]))
    if kind == "recurrent":
        return shape[-2:] if len(shape) > 1 else (1, *shape)
    return shape if len(shape) <= 3 else (*shape[:2], math.prod(shape[2:]))


def spread(layers: Sequence[Told]) -> list[dict[str, Distribution]]:
    """The distributions of each layer's values by key; measured together, as many small arrays cost mostly calls."""
    keys = [[key for key in QUANTITY_OF if key in of.arrays] for of in layers]
    flat = [of.arrays[key] for of, names in zip(layers, keys, strict=True) for key in names]
    with np.errstate(all="ignore"):
        found = iter(distributions(flat))
    return [{key: next(found) for key in names} for names in keys]


def measured(
    of: Told, info: LayerInfo, found: Mapping[str, Distribution], *, channels_last: bool
) -> tuple[LayerMeasures, frozenset[str]]:
    """The measures of a layer, and which of them are NaN because the loop does not tell them.

    Args:
        found: the distributions of its values, see :func:`spread`.
    """
    arrays = of.arrays
    with np.errstate(all="ignore"):
        of_layer: dict[str, Any] = {field: found.get(key, UNMEASURED) for key, field in QUANTITY_OF.items()}
        if info.norm == "none":
            of_layer["normalized"] = None
        if info.activation == "none":  # its output is what would enter an activation, as in an output layer
            known = [of_layer[field] for field in ("output", "normalized", "pre_norm") if of_layer[field]]
            told_of = next((values for values in known if not values.empty), UNMEASURED)
            for field in ("pre_norm", "output"):
                of_layer[field] = told_of if of_layer[field].empty else of_layer[field]
        figures = _figures(arrays) | _fractions(of, info, channels_last=channels_last)
        absent = frozenset(field for field, value in figures.items() if value is None)
        of_layer |= {field: math.nan if value is None else value for field, value in figures.items()}
        entering = arrays.get("normalized", arrays.get("pre_activation"))
        if entering is not None:
            of_layer |= unit_percentiles(_first_unit(entering, info, channels_last=channels_last))
    measures = LayerMeasures(
        name=info.name, kind=info.kind, batch_norm=_batch_norm(of, info, channels_last=channels_last),
        dropout=_mask(of, info), **of_layer,
    )  # fmt: skip
    return measures, absent


def _figures(arrays: Mapping[str, Values]) -> dict[str, float | None]:
    """Norms and ratio; None where an array is missing."""
    weight, updated = arrays.get("weight"), arrays.get("updated_weight")
    size = None if weight is None else norm(weight)
    ratio = None
    if weight is not None and updated is not None and size:
        ratio = norm(updated - weight) / size
    gradient, of_output = arrays.get("gradient"), arrays.get("activation_gradient")
    return {
        "weight_norm": size,
        "weight_gradient_norm": None if gradient is None else norm(gradient),
        "activation_gradient_norm": None if of_output is None else norm(of_output),
        "update_ratio": ratio,
    }


def _fractions(of: Told, info: LayerInfo, *, channels_last: bool) -> dict[str, float | None]:
    """Dead and saturated shares of the output; None where the activation has none."""
    output = of.arrays.get("output")
    if output is None or output.ndim < 2:
        return {"dead_fraction": None, "saturated_fraction": None}
    axis = _unit_axis(output, info, channels_last=channels_last)
    found = {
        "dead_fraction": dead_fraction(info.activation, output, axis),
        "saturated_fraction": saturated_fraction(info.activation, output),
    }
    return {field: None if math.isnan(share) else share for field, share in found.items()}


def _unit_axis(values: NDArray[Any], info: LayerInfo, *, channels_last: bool) -> int:
    return 1 if info.kind == "conv" and not channels_last and values.ndim > 1 else values.ndim - 1


def _first_unit(values: Values, info: LayerInfo, *, channels_last: bool) -> Values:
    if not values.ndim:
        return values.ravel()
    first = values.take([0], axis=_unit_axis(values, info, channels_last=channels_last))
    return first.ravel()


def _batch_norm(of: Told, info: LayerInfo, *, channels_last: bool) -> BatchNorm | None:
    """What is told of a batch normalization; NaN where that is only a part, and without γ and β 1 and 0.

    Mean and variance of the mini-batch are those of the pre-activation, unless they are told.
    """
    count = info.shape[0] if info.kind in ("linear", "conv") else of.features
    if not of.features or of.eps is None:
        return None
    for key in OF_BATCH_NORM:
        if key in of.arrays and of.arrays[key].shape != (count,):
            sentence = _("layer {layer}: {key} has shape {found}, not one number for each of {count} units")
            raise ValueError(sentence.format(layer=of.name, key=key, found=of.arrays[key].shape, count=count))
    missing = np.full(count, np.nan, np.float32)
    figures: dict[str, Values] = dict.fromkeys(OF_BATCH_NORM, missing)
    figures |= {"gamma": np.ones_like(missing), "beta": np.zeros_like(missing)}
    entered = of.arrays.get("pre_activation")
    if entered is not None and entered.ndim > 1:
        axis = _unit_axis(entered, info, channels_last=channels_last)
        if entered.shape[axis] == count:
            others = tuple(at for at in range(entered.ndim) if at != axis)
            wide = entered.astype(np.float64)
            moments = {"batch_mean": wide.mean(others), "batch_var": wide.var(others)}
            figures |= {key: values.astype(np.float32) for key, values in moments.items()}
    figures |= {key: of.arrays[key] for key in OF_BATCH_NORM if key in of.arrays}
    return BatchNorm(**figures, eps=of.eps)


def _mask(of: Told, info: LayerInfo) -> DropoutMask | None:
    mask = of.arrays.get("mask")
    if mask is None:
        return None
    kept = np.atleast_1d(mask).reshape(len(mask) if mask.ndim else 1, -1) != 0
    return DropoutMask(info.dropout, float(kept.mean()), kept[:MASK_SAMPLES])

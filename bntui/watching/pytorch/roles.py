"""Says what each module of a watched model is in a layer: its main part, a normalization, or an activation."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from bntui.errors import UsageError, did_you_mean
from bntui.text.language import _

Part = Literal["main", "norm", "activation"]
Axes = Literal[-1, 1]

_MAIN: Final[tuple[tuple[type | tuple[type, ...], str, Axes], ...]] = (
    ((nn.Linear, nn.Bilinear), "linear", -1),
    (_ConvNd, "conv", 1),
    ((nn.RNNBase, nn.RNNCellBase), "recurrent", -1),
    (nn.MultiheadAttention, "attention", -1),
    ((nn.Embedding, nn.EmbeddingBag), "embedding", -1),
)
"""Classes whose modules begin a layer, its kind, and the axis of its units."""
_NORMS: Final[tuple[tuple[type | tuple[type, ...], str, Axes], ...]] = (
    (_BatchNorm, "batch", 1),  # SyncBatchNorm is one too
    (_InstanceNorm, "instance", 1),
    (nn.GroupNorm, "group", 1),
    (nn.LayerNorm, "layer", -1),
    (nn.RMSNorm, "rms", -1),
)
OPAQUE: Final = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)
"""Modules that take a different path through PyTorch in evaluation mode if somebody looks at their functions."""
ACTIVATIONS: Final = frozenset({
    "relu", "relu6", "leaky_relu", "gelu", "silu", "sigmoid", "tanh", "elu", "selu", "celu", "softplus", "softsign",
    "hardtanh", "hardswish", "hardsigmoid", "mish", "logsigmoid", "prelu", "rrelu", "tanhshrink", "hardshrink",
    "softshrink", "glu", "threshold",
})  # fmt: skip
"""Functions of ``torch``, ``torch.nn.functional``, and of tensors, with and without a final underscore."""
DROPOUTS: Final = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d"})
VIEWS: Final = frozenset({
    "view", "reshape", "flatten", "unflatten", "transpose", "permute", "movedim", "contiguous", "squeeze", "unsqueeze",
    "view_as", "swapaxes", "swapdims", "moveaxis", "t", "to", "float",
})  # fmt: skip
"""Functions whose result is the same values in another shape; poolings, which have many names, are treated alike."""
SUMS: Final = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})


@dataclass(frozen=True, slots=True)
class Role:
    """What a module is in a layer."""

    name: str
    """The module's own name."""
    part: Part
    kind: str
    """Kind of the layer, of the normalization, or name of the activation."""
    axis: Axes = -1
    """Axis of the units in its output."""
    measured: bool = True
    """False for layers that ``layers=`` leaves out."""


def roles(models: Mapping[str, nn.Module], patterns: Sequence[str] = ()) -> dict[nn.Module, Role]:
    """The role of each module that has one.

    Args:
        models: by the prefix of their modules' names.
        patterns: shell patterns of names; layers of other names are not measured.

    Raises:
        UsageError: a pattern fits no layer.
    """
    found: dict[nn.Module, Role] = {}
    for prefix, model in models.items():
        for name, module in model.named_modules():
            whole = plain(f"{prefix}.{name}" if prefix and name else prefix or name) or type(model).__name__
            role = _role(whole, module)
            if role is not None:
                found.setdefault(module, role)
    if not patterns:
        return found
    names = [role.name for role in found.values() if role.part != "activation"]
    chosen = {pattern: set(_chosen(names, pattern)) for pattern in patterns}
    for pattern, of_pattern in chosen.items():
        if not of_pattern:
            hint = _hint(pattern, names)
            raise UsageError(_("layers: no layer of the model is named {pattern}").format(pattern=pattern) + hint)
    wanted = set().union(*chosen.values())
    return {
        module: Role(role.name, role.part, role.kind, role.axis, role.name in wanted) for module, role in found.items()
    }


def _hint(word: str, names: Sequence[str]) -> str:
    """A hint at the name that is spelled most alike, if one is."""
    near = difflib.get_close_matches(word, names, 1)
    return " " + did_you_mean(near[0]) if near else ""


def foreign(kind: type[nn.Module]) -> bool:
    """True for the class of a Keras layer, which is a module but not called like one."""
    return kind.__call__ is not nn.Module.__call__ and callable(getattr(kind, "call", None))


def plain(name: str) -> str:
    """A module's name without what ``torch.compile`` and the parallel wrappers put before it."""
    parts = [part for part in name.split(".") if part != "_orig_mod"]
    return ".".join(parts)


def _chosen(names: Sequence[str], pattern: str) -> Iterator[str]:
    """The names that a pattern fits, and those within a module of that name."""
    for name in names:
        if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"{pattern}.*"):
            yield name


def _role(name: str, module: nn.Module) -> Role | None:
    for classes, kind, axis in _NORMS:
        if isinstance(module, classes):
            return Role(name, "norm", kind, axis)
    for classes, kind, axis in _MAIN:
        if isinstance(module, classes):
            return Role(name, "main", kind, axis)
    if isinstance(module, nn.ParameterDict | nn.ParameterList):
        return None
    if any(not isinstance(one, nn.ParameterDict | nn.ParameterList) for one in module.children()):
        return None
    kind = type(module).__name__
    owns = next(module.parameters(), None) is not None
    if owns and kind.endswith("Norm"):
        return Role(name, "norm", "rms" if "RMS" in kind else "layer" if "Layer" in kind else kind.lower())
    if owns and not isinstance(module, nn.PReLU):
        return Role(name, "main", "module")
    if not owns and type(module).__module__.split(".")[0] != "torch" and _activation_in(kind):
        return Role(name, "activation", _activation_in(kind))
    return None


def _activation_in(kind: str) -> str:
    """The activation that the name of a class tells of, such as ``gelu`` of ``NewGELUActivation``."""
    lower = kind.lower()
    return next((name for name in ("gelu", "silu", "swish", "mish", "relu") if name in lower), "")

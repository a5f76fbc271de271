"""Attributes what is called in a step to the layers: which normalization, activation and dropout follow each of them.

Tensors are followed by identity from a layer's main part to the normalization, the activation and the dropout that they
pass next; a view, a pooling or a sum with a residual may come between.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bntui.scenario.activations import activation
from bntui.watching.pytorch import masks
from bntui.watching.pytorch.held import EXACT, Held, Small, hold, moments, norm, plain
from bntui.watching.pytorch.roles import ACTIVATIONS, DROPOUTS, SUMS, VIEWS, Role
from bntui.watching.pytorch.units import Units, followed, unbatched, units_of

OPEN: Final = "open"
NORMED: Final = "normed"
SUMMED: Final = "summed"
ACTIVE: Final = "active"
DROPPED: Final = "dropped"


@dataclass(slots=True, eq=False)
class Call:
    """What one call of a layer, and what followed it, gave."""

    role: Role
    module: nn.Module
    number: int
    """Number of the forward pass."""
    recorded: bool = True
    """False for further calls of a layer in the same pass."""
    input: Held | None = None
    pre_norm: Held | None = None
    normalized: Held | None = None
    output: Held | None = None
    shape: tuple[int, ...] = ()
    norm: Role | None = None
    norm_module: nn.Module | None = None
    statistics: tuple[Tensor, ...] = ()
    """Mean and variance of a batch normalization's input per feature, running mean and variance, γ and β."""
    activation: str = "none"
    dead: Tensor | None = None
    """Share of units whose output is 0 for every sample."""
    saturated: Tensor | None = None
    unit: Tensor | None = None
    """Values of the first unit that enter the activation."""
    dropout: tuple[float, Tensor | None] | None = None
    kept_fraction: Tensor | None = None
    gradient: Tensor | float = float("nan")
    handle: RemovableHandle | None = None
    order: tuple[str, ...] = ()
    """Kinds of its stages, in order."""
    axis: int = -1
    """Axis of the units in what the layer, or its normalization, gives."""
    units: Units | None = None
    """Where they are in what the activation gives."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor that came out of a layer."""

    tensor: weakref.ref[Tensor]
    version: int
    call: Call
    stage: str
    units: Units | None
    """Where the layer's units are in it."""


class Attribution:
    """The calls of the layers in one step, and what followed them.

    Args:
        guard: runs what may fail; its trouble is not the loop's.
    """

    def __init__(self, guard: Callable[..., Any]) -> None:
        self._guard = guard
        self._places: dict[int, _Place] = {}
        self._known: dict[int, tuple[weakref.ref[Tensor], int, Held | None]] = {}
        self.passes = 0
        """Forward passes so far, without what is computed again backwards."""
        self._number = 0
        """Passes, with what is computed again backwards."""
        self._backwards = False
        """Something was computed again backwards."""
        self.calls: dict[str, Call] = {}
        """The last pass's first call of each layer, in the order of the calls."""
        self.order: dict[str, int] = {}
        """Places of layers in the order of the forward pass; those of checkpoints are among the calls backwards."""
        self._later: set[str] = set()
        """Modules that a pass called without gradients, as checkpoints do that are computed again backwards."""
        self.seen: set[str] = set()
        """Modules that were seen with gradients."""
        self.again: dict[str, int] = {}
        """Layers that were called more than once in a pass, and how often."""
        self.unseen: set[str] = set()
        """What was called and could not be seen, in words."""

    def forget(self) -> None:
        """Forget the tensors; what was found of them stays."""
        for call in self.calls.values():
            if call.handle is not None:
                call.handle.remove()
                call.handle = None
        self._places.clear()
        self._known.clear()

    def begin_pass(self, *, backwards: bool) -> bool:
        """See the beginning of a pass, or of what is computed again backwards; True if it is the step's first."""
        self._number += 1
        self._backwards |= backwards
        self.passes += not backwards
        return self._number == 1

    def without_gradients(self, role: Role, *, in_pass: bool) -> None:
        """See a module that is called without gradients, perhaps within a pass that has some."""
        self.order.setdefault(role.name, len(self.order))
        if in_pass:
            self._later.add(role.name)

    def complete(self, names: Collection[str]) -> bool:
        """True if there is nothing to see in a module that is computed again backwards.

        Args:
            names: of the modules in it that are layers, or parts of one.
        """
        if not names:  # such as those of a dropout
            return not (self._later or self._backwards)
        return self._later.isdisjoint(names) and not self.seen.isdisjoint(names)

    def module(self, role: Role, module: nn.Module, entered: Tensor | None, out: Tensor | None) -> None:
        """See a module's call: the first tensors that entered and left it."""
        self.seen.add(role.name)
        self._later.discard(role.name)
        if out is None:
            self.unseen.add(role.name)
            return
        if role.part == "activation":
            if entered is not None and (place := self._follow(entered)) is not None:
                self._activate(role.kind, place, None, out, place.units)
            return
        place, units = None if entered is None else self._follow(entered), units_of(role, module, out)
        if role.part == "norm" and place is not None and place.stage == OPEN and place.call.norm is None:
            call = place.call
        else:
            call = self._begin(role, module)
            call.input = self._hold(call, entered)
            call.shape = (*([1] if unbatched(module, out) else []), *plain(out).shape)
            if role.part == "main":
                call.pre_norm = self._hold(call, out)
                call.order = (role.kind,)
                call.axis = 0 if unbatched(module, out) else role.axis
                if call.recorded and out.numel() > EXACT:
                    call.unit = _unit(out, units)
                self._put(out, call, OPEN, units)
                return
            call.pre_norm = call.input
        call.norm, call.norm_module = role, module
        call.axis = 0 if unbatched(module, out) else role.axis
        call.order = (*call.order, "norm")
        if call.recorded and entered is not None:
            call.normalized = self._hold(call, out)
            call.unit = _unit(out, units) if out.numel() > EXACT else None
            if role.kind == "batch":
                call.statistics = _statistics(module, entered.detach())
        self._put(out, call, NORMED, units)

    def _begin(self, role: Role, module: nn.Module) -> Call:
        call = Call(role, module, self._number, recorded=role.measured)
        self.order.setdefault(role.name, len(self.order))
        before = self.calls.get(role.name)
        if before is not None and before.number == self._number:
            call.recorded = False
            self.again[role.name] = self.again.get(role.name, 1) + 1
        elif call.recorded:
            if before is not None and before.handle is not None:
                before.handle.remove()
            self.calls.pop(role.name, None)
            self.calls[role.name] = call
        return call

    def function(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of PyTorch, and see what it does to a layer's values."""
        if not torch.is_grad_enabled():  # such as those of a checkpoint, which is computed again backwards
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        kind = name.rstrip("_") if not name.startswith("__") else name
        pooling = "pool" in name
        if not (pooling or kind in ACTIVATIONS or name in SUMS or kind in DROPOUTS or kind in VIEWS):
            return func(*args, **kwargs)
        entered = args[0] if args else kwargs.get("input")
        if not isinstance(entered, Tensor):
            return func(*args, **kwargs)
        place = self._guard(self._operand, name, entered, args)
        if kind in DROPOUTS:
            return self._dropout(kind, place, func, args, kwargs)
        if place is None:
            return func(*args, **kwargs)
        unit = self._guard(_unit, entered, place.units) if kind in ACTIVATIONS and place.stage == SUMMED else None
        before = place.tensor()  # what entered; of a sum, maybe the other operand
        shape = None if before is None or before.is_nested else before.shape
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):

            def again(other: Tensor) -> Any:
                return func(other, *args[1:], **kwargs) if args else func(**{**kwargs, "input": other})

            units = self._guard(followed, place.units, name, again, shape, result)
            if kind in ACTIVATIONS:
                self._guard(self._activate, kind, place, unit, result, units)
            else:
                self._guard(self._put, result, place.call, SUMMED if name in SUMS else place.stage, units)
        return result

    def _operand(self, name: str, entered: Tensor, args: tuple[Any, ...]) -> _Place | None:
        """Where the values come from; of a sum, which layer's values it continues."""
        place = self._follow(entered)
        if name not in SUMS:
            return place
        other = self._follow(args[1]) if len(args) > 1 and isinstance(args[1], Tensor) else None
        return next((one for one in (place, other) if one is not None and one.stage in (OPEN, NORMED)), None)

    def _activate(self, kind: str, place: _Place, unit: Tensor | None, out: Tensor, units: Units | None) -> None:
        if place.call.activation != "none":
            return
        call = place.call
        call.activation, call.units = kind, units if out.is_nested or out.ndim > 1 else None
        call.order = (*call.order, "activation")
        if call.recorded:
            call.unit = call.unit if unit is None else unit
            call.output = self._hold(call, out)
            if not isinstance(call.output, Small) and out.numel():
                call.dead, call.saturated = _shares(call, out.detach())
        self._put(out, call, ACTIVE, units)

    def _dropout(
        self, kind: str, place: _Place | None, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        drawing = self._guard(_drawing, kind, args, kwargs) if place is not None and place.call.recorded else None
        result = func(*args, **kwargs)
        if place is None:
            self.unseen.add("dropout")
        elif isinstance(result, Tensor):
            self._guard(self._drop, place, drawing, result)
        return result

    def _drop(self, place: _Place, drawing: masks.DropoutDraw | None, out: Tensor) -> None:
        call = place.call
        if drawing is not None and call.dropout is None:
            mask = masks.after(drawing, out)
            call.dropout = (drawing.p, mask)
            call.order = (*call.order, "dropout")
            if mask is None:
                self.unseen.add(f"{call.role.name}: dropout")
            else:
                call.kept_fraction = mask.count_nonzero() / mask.numel()
        self._put(out, call, DROPPED if place.stage == ACTIVE else place.stage, place.units, gradient=False)

    def _follow(self, tensor: Tensor) -> _Place | None:
        place = self._places.get(id(tensor))
        if place is None or place.tensor() is not tensor or place.version != tensor._version:
            return None
        return place

    def _put(self, tensor: Tensor, call: Call, stage: str, units: Units | None, *, gradient: bool = True) -> None:
        self._places[id(tensor)] = _Place(weakref.ref(tensor), tensor._version, call, stage, units)
        if gradient and stage in (OPEN, NORMED, ACTIVE) and call.recorded and tensor.requires_grad:
            if call.handle is not None:
                call.handle.remove()
            call.handle = tensor.register_hook(_Gradient(call, self._guard))  # type: ignore[no-untyped-call]

    def _hold(self, call: Call, tensor: Tensor | None) -> Held | None:
        """Keep the values of a tensor, once for all layers that have it."""
        if tensor is None or not call.recorded:
            return None
        known = self._known.get(id(tensor))
        if known is not None and known[0]() is tensor and known[1] == tensor._version:
            return known[2]
        held = hold(tensor)
        self._known[id(tensor)] = (weakref.ref(tensor), tensor._version, held)
        return held


class _Gradient:
    """Measures the gradient that reaches a layer's output; the last one counts."""

    def __init__(self, call: Call, guard: Callable[..., Any]) -> None:
        self._call = call
        self._guard = guard

    def __call__(self, gradient: Tensor) -> None:
        self._guard(self._measure, gradient)

    def _measure(self, gradient: Tensor) -> None:
        self._call.gradient = norm(gradient)


def _unit(tensor: Tensor, units: Units | None) -> Tensor | None:
    """The values of the first unit; None if units cannot be told apart."""
    if units is None:
        return None
    tensor = plain(tensor)
    axis = units.axis(tensor.shape)
    first = tensor.reshape(units).select(1, 0) if axis is None else tensor.select(axis, 0)
    return first.float().clone()


def _shares(call: Call, out: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Dead and saturated shares of an activation's values; those of a small tensor are counted in its copy."""
    dead = saturated = None
    if activation(call.activation).dies and call.units is not None:
        axis = call.units.axis(out.shape)
        if axis is None:
            out, axis = out.reshape(call.units), 1
        others = [at for at in range(out.ndim) if at != axis]
        if out.ndim > 2 and axis == 1:  # in two steps, which is faster
            out, others = out.flatten(2).amax(2), [0]
        dead = (out.amax(others) == 0).double().mean()
    elif (within := activation(call.activation).saturated_outside) is not None:
        low, high = within
        saturated = ((out < low) | (out > high)).double().mean()
    return dead, saturated


def _drawing(kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> masks.DropoutDraw | None:
    """What is known before ``dropout(input, p, training, inplace)``; None where nothing is dropped."""
    names = ("input", "p", "training", "inplace")
    told = {"p": 0.5, "training": True, "inplace": False, **dict(zip(names, args, strict=False)), **kwargs}
    if not told["training"]:
        return None
    return masks.before(kind, float(told["p"]), told["input"], in_place=bool(told["inplace"]))


def _statistics(module: nn.Module, entered: Tensor) -> tuple[Tensor, ...]:
    """What a batch normalization measured of its input, and its own state, copied."""
    mean, variance = moments(entered, tuple(at for at in range(entered.ndim) if at != 1))
    missing = torch.full_like(mean, float("nan"))
    own = [getattr(module, name, None) for name in ("running_mean", "running_var", "weight", "bias")]
    absent = (missing, missing, torch.ones_like(missing), torch.zeros_like(missing))
    copies = [(one if mine is None else mine).detach().clone() for mine, one in zip(own, absent, strict=True)]
    return (mean, variance, *copies)

"""Measures what a step does to the parameters: their gradients, and how far the optimizer moves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from bntui.watching.pytorch.eager import untraced
from bntui.watching.pytorch.held import norm, sharded
from bntui.watching.pytorch.roles import Role

_WEIGHTS: Final = ("weight", "weight_ih_l0", "weight_ih", "in_proj_weight", "q_proj_weight")


def _weight_of(module: nn.Module) -> nn.Parameter | None:
    """The weight that stands for a layer: of a recurrent layer that of its input; else the largest one.

    A bias is one only if there is nothing else: that of a layer with a single input is as large as its weight, which
    has another name if it is pruned or parametrized.
    """
    own: Mapping[str, nn.Parameter | None] = module._parameters  # most layers have it, and asking for names takes time
    if not isinstance(own, dict):  # those of TorchScript
        own = dict(module.named_parameters(recurse=False))
    if type(first := own.get("weight")) is nn.Parameter:
        return first
    named = next((one for name in _WEIGHTS if (one := own.get(name)) is not None and _whole(one)), None)
    if named is not None:
        return named
    others = {name: one for name, one in module.named_parameters() if _whole(one)}
    weights = [one for name, one in others.items() if "bias" not in name.split(".")[-1]] or list(others.values())
    return max(weights, key=lambda one: one.numel(), default=None)


def _whole(parameter: Tensor) -> bool:
    """False for one that has no values yet, for one of which this process has only a part, and for what
    ``torch.func.functional_call`` puts in place of one."""
    if type(parameter) is nn.Parameter:  # as nearly all are
        return True
    return isinstance(parameter, nn.Parameter) and not is_lazy(parameter) and not sharded(parameter)


class Parameters:
    """The parameters of the layers in one step.

    Args:
        averaged: gradients are averaged between processes after they are accumulated, so that they are only known once
            the optimizer uses them.
    """

    def __init__(self, roles: Mapping[nn.Module, Role], guard: Callable[..., Any], *, averaged: bool) -> None:
        self._guard = guard
        self._averaged = averaged
        self._handles: list[RemovableHandle] = []
        self._first: Optimizer | None = None
        self._measured = [module for module, role in roles.items() if role.measured and role.part != "activation"]
        self._norms = [module for module in self._measured if roles[module].part == "norm"]
        self._names = {module: roles[module].name for module in self._measured}
        self.weight_of: dict[nn.Module, nn.Parameter] = {}
        """The weight that stands for each layer."""
        # by identity: a parameter's own hash is a call of Python
        self._weights: dict[int, nn.Parameter] = {}
        self._affine: dict[int, nn.Parameter] = {}
        self._optimizers: Sequence[Optimizer] = ()
        self.sharded: set[str] = set()
        """Layers of whose weights other processes have a part."""
        self.gradient_norms: dict[int, Tensor] = {}
        """Norms of the weights' gradients, by the identity of the weight."""
        self.used: dict[int, Tensor] = {}
        """Norms of gradients that no backward pass accumulated, as an optimizer uses them: the loop has set them."""
        self.gradients: dict[int, Tensor] = {}
        """Gradients of the parameters of normalizations."""
        self.norms: dict[int, Tensor] = {}
        """Norms of the weights before the step."""
        self.moved: dict[int, Tensor] = {}
        """Norms of the step's changes of the weights."""
        self._before: dict[int, tuple[nn.Parameter, Tensor]] = {}
        self.lr: float | None = None
        """Learning rate of the first optimizer's first group."""
        self.scale: float | None = None
        """What gradients were multiplied by, if an optimizer that unscales them itself says so, or
        :attr:`read_scale`."""
        self.read_scale: Callable[[], float] | None = None
        """Tells the scale while gradients are computed, where it may have changed at the end of the step."""

    def attach(self, optimizers: Sequence[Optimizer]) -> None:
        """Begin to look at a step; see also :meth:`look`."""
        self._find()  # also here: while functional_call runs a pass, modules have other tensors
        for kept in (self.gradient_norms, self.used, self.gradients, self.norms, self.moved, self._before):
            kept.clear()
        self.lr = self.scale = None
        self._first = optimizers[0] if optimizers else None
        self._optimizers = optimizers
        for optimizer in optimizers:
            self._handles.append(optimizer.register_step_pre_hook(partial(untraced(Parameters._pre), self)))
        for optimizer in optimizers[1:]:  # the first one's hook is the recorder's
            self._handles.append(optimizer.register_step_post_hook(partial(untraced(Parameters._post), self)))

    def look(self) -> None:
        """Look at the parameters that the layers have now, when the first forward pass of a step begins.

        The loop may have replaced, frozen or unfrozen some since the step before.  An optimizer that has stepped by
        now, after the first one's, belongs to the step before.
        """
        self._find()
        for key in self.moved:
            self.norms.pop(key, None)
            self.gradient_norms.pop(key, None)
            self.used.pop(key, None)
        self.moved.clear()
        for parameter in (self._weights | self._affine).values():
            if parameter.requires_grad and not self._averaged:
                self._guard(self._look_at, parameter)
        if not self._optimizers:
            self._guard(self._keep_weights, self._weights.values())

    def _find(self) -> None:
        self.weight_of |= {one: weight for one in self._measured if (weight := _weight_of(one)) is not None}
        self._weights = {id(weight): weight for weight in self.weight_of.values()}
        if len(self.weight_of) < len(self._names):
            without = self._names.keys() - self.weight_of.keys()
            self.sharded |= {self._names[one] for one in without if any(map(sharded, one.parameters()))}
        own = (one for module in self._norms for one in module._parameters.values())
        self._affine = {id(one): one for one in own if one is not None and _whole(one)}

    def detach(self) -> None:
        """Stop looking."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _look_at(self, parameter: nn.Parameter) -> None:
        self._handles.append(parameter.register_post_accumulate_grad_hook(self._accumulated))  # type: ignore[no-untyped-call]

    def _accumulated(self, parameter: Tensor) -> None:
        self._guard(self._keep_gradient, parameter)

    def _keep_gradient(self, parameter: nn.Parameter) -> None:
        gradient = parameter.grad
        if gradient is None:
            return
        if self.scale is None and self.read_scale is not None:
            self.scale = float(self.read_scale())
        if id(parameter) in self._weights:
            self.gradient_norms[id(parameter)] = norm(gradient)
        if id(parameter) in self._affine:
            self.gradients[id(parameter)] = gradient.detach().clone()

    def _pre(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002 - PyTorch calls it
        self._guard(self._before_step, optimizer)

    def _before_step(self, optimizer: Optimizer) -> None:
        if optimizer is self._first and optimizer.param_groups:
            self.lr = float(optimizer.param_groups[0]["lr"])
        scale = getattr(optimizer, "grad_scale", None)
        if scale is not None:
            self.scale = float(scale)
        parameters = self._of(optimizer)
        for parameter in parameters if self._averaged else ():
            self._keep_gradient(parameter)
        for parameter in parameters:
            if parameter.grad is not None and id(parameter) not in self.gradient_norms:
                self.used[id(parameter)] = norm(parameter.grad)
        self._keep_weights(parameters)

    def _keep_weights(self, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            self._before[id(parameter)] = parameter, (before := parameter.detach().clone())
            self.norms[id(parameter)] = norm(before)

    def _post(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002 - PyTorch calls it
        self._guard(self.after_step, optimizer)

    def after_step(self, optimizer: Optimizer | None) -> None:
        """Measure how far an optimizer moved its weights."""
        for key in list(self._before) if optimizer is None else map(id, self._of(optimizer)):
            if key in self._before:
                parameter, before = self._before.pop(key)
                self.moved[key] = norm(before.sub_(parameter.detach()))

    def keep_others(self) -> None:
        """Keep averaged gradients of optimizers whose step is still to come, where no scaler has multiplied them."""
        for optimizer in self._optimizers[1:] if self._averaged else ():
            for parameter in self._of(optimizer):
                if id(parameter) not in self.gradient_norms:
                    self._keep_gradient(parameter)

    def gradient_norm(self, weight: nn.Parameter) -> Tensor | None:
        """The norm of a weight's gradient; None if it has none."""
        return self.gradient_norms.get(id(weight), self.used.get(id(weight)))

    def divisor(self, scale: float, weight: nn.Parameter | None = None) -> float:
        """What the gradients of parameters, or of a weight, are to be divided by.

        Averaged ones are looked at when the optimizer uses them: then they are unscaled, unless it does that itself.

        Args:
            scale: what the loss was multiplied by.
        """
        late = self._averaged or (weight is not None and id(weight) not in self.gradient_norms)
        return scale if not late or self.scale is not None else 1.0

    def _of(self, optimizer: Optimizer) -> list[nn.Parameter]:
        wanted = self._weights | self._affine if self._averaged else self._weights
        return [one for group in optimizer.param_groups for one in group["params"] if id(one) in wanted]

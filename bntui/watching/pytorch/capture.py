"""Sees which modules and functions of a model are called in one step.

Two global hooks see each module's call, and a mode of PyTorch's functions what is called between modules.  Nothing is
attached to a module.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from bntui.watching.pytorch.attribution import Attribution
from bntui.watching.pytorch.eager import untraced
from bntui.watching.pytorch.roles import OPAQUE, Role, foreign


class _Running(NamedTuple):
    """A module whose forward is running."""

    module: nn.Module
    role: Role | None
    inner: bool
    """A module around it has a role, which it is a part of."""
    quiet: bool
    """What is called in it is not to be followed."""


class Capture:
    """The calls of one step.

    Args:
        roles: the modules that are layers, or parts of one.
        guard: runs what may fail; its trouble is not the loop's.
        thread: the thread of the loop; None for that of the first call.
        begun: called when the first pass begins.
    """

    def __init__(
        self, roles: Mapping[nn.Module, Role], guard: Callable[..., Any], thread: int | None, begun: Callable[[], None]
    ) -> None:
        self._roles = roles
        self._guard = guard
        self._mode = _Mode(self)
        self._thread = thread
        self._begun = begun
        self._stack: list[_Running] = []
        """Modules whose forward is running, from the outermost one that is watched."""
        self._runs_in = 0
        """The thread of these modules: the loop's, or one of autograd that computes a checkpoint again."""
        self._entered_in: int | None = None
        """The thread in which functions are seen; the modes of a thread are its own."""
        self.found = Attribution(guard)
        self._handles: list[RemovableHandle] = []
        self._replaced: list[nn.Module] = []
        self._watched: frozenset[nn.Module] = frozenset()

    def attach(self, models: Sequence[nn.Module], *, everywhere: bool) -> None:
        """Begin to look, by global hooks or by hooks of the modules."""
        self._watched = _modules(models)
        strange = {kind for kind in map(type, self._watched) if foreign(kind)}
        for module in self._watched if strange else ():
            if type(module) in strange:
                self._guard(self._replace_call, module)
        before, after = partial(untraced(Capture._before), self), partial(untraced(Capture._after), self)
        if everywhere:
            self._handles.append(register_module_forward_pre_hook(before))
            self._handles.append(register_module_forward_hook(after, always_call=True))
            return
        for module in self._watched:
            if not isinstance(module, torch.jit.ScriptModule):  # which has no hooks
                self._handles.append(module.register_forward_pre_hook(before))
                self._handles.append(module.register_forward_hook(after, always_call=True))

    def _replace_call(self, module: Any) -> None:
        """See the calls of a Keras layer, which do not pass PyTorch's hooks."""
        original = module.call

        def call(*args: Any, **kwargs: Any) -> Any:
            output = None
            self._before(module, args)
            try:
                output = original(*args, **kwargs)
            finally:
                self._after(module, args, output)
            return output

        module.__dict__["call"] = call
        self._replaced.append(module)

    @property
    def thread(self) -> int | None:
        """The thread whose calls are seen; None before the first."""
        return self._thread

    def look_anywhere(self) -> None:
        """Forget a pass that did not end, and look at those of the thread that begins the next."""
        self._leave()
        self._stack.clear()
        self._thread = None

    def detach(self) -> None:
        """Stop looking, and forget the tensors."""
        for handle in self._handles:
            handle.remove()
        for module in self._replaced:
            module.__dict__.pop("call", None)
        self._replaced = []
        self._handles = []
        self._leave()
        self._stack.clear()
        self.found.forget()

    def _before(self, module: nn.Module, args: Any) -> None:  # noqa: ARG002 - PyTorch calls it
        if module not in self._watched:
            return
        if torch.is_grad_enabled():
            self._guard(self._enter, module)
        elif (role := self._roles.get(module)) is not None:  # as in a checkpoint, which is computed again backwards
            self.found.without_gradients(role, in_pass=bool(self._stack))

    def _enter(self, module: nn.Module) -> None:
        if torch._C._functorch.peek_interpreter_stack() is not None:
            return  # tensors within torch.func's transformations have no values of their own
        here, backwards = threading.get_ident(), False
        if self._stack:
            if here != self._runs_in:
                return
        elif backwards := in_backward():
            if self._seen(module):
                return  # a checkpoint computes its part again
        else:
            self._thread = here if self._thread is None else self._thread
            if here != self._thread:
                return
        if not self._stack:
            self._runs_in = here
            if self.found.begin_pass(backwards=backwards):
                self._guard(self._begun)
        role, above = self._roles.get(module), self._stack[-1] if self._stack else None
        inner = above is not None and (above.inner or above.role is not None)
        alone = role is not None or (isinstance(module, OPAQUE) and not module.training)
        quiet = alone or (above is not None and above.quiet)
        self._stack.append(_Running(module, role, inner, quiet))
        if alone:
            self._leave()
        elif not quiet:
            self._see_functions()

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._stack and self._stack[-1].module is module and threading.get_ident() == self._runs_in:
            self._guard(self._exit, module, args, output)

    def _exit(self, module: nn.Module, args: Any, output: Any) -> None:
        running = self._stack[-1]
        try:
            if running.role is not None:
                self._leave()
                if output is not None and not running.inner:
                    self.found.module(running.role, module, _first(args), _first(output))
        finally:
            self._stack.pop()
            if not self._stack or self._stack[-1].quiet:
                self._leave()
            else:
                self._see_functions()

    def _see_functions(self) -> None:
        if self._entered_in is None:
            self._mode.__enter__()  # type: ignore[no-untyped-call]
            self._entered_in = threading.get_ident()

    def _leave(self) -> None:
        if self._entered_in == threading.get_ident():
            self._entered_in = None
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def _seen(self, module: nn.Module) -> bool:
        return self.found.complete([self._roles[one].name for one in module.modules() if one in self._roles])


class _Mode(TorchFunctionMode):
    """Shows a capture the functions that are called."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = weakref.ref(capture)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # fmt: skip
        capture = self._capture()
        if capture is None:  # closed by another thread during a pass of this one
            return func(*args, **(kwargs or {}))
        return capture.found.function(func, args, kwargs or {})


def _modules(models: Sequence[nn.Module]) -> frozenset[nn.Module]:
    """All modules of models, found without their names, which take time."""
    found, open_ = set[nn.Module](), list(models)
    while open_:
        module = open_.pop()
        if module not in found:
            found.add(module)
            open_ += [child for child in module._modules.values() if child is not None]
    return frozenset(found)


def in_backward() -> bool:
    """True while autograd runs, as when a checkpoint computes a part of the forward pass again."""
    task: Callable[[], int] | None = getattr(torch._C, "_current_graph_task_id", None)
    return task is not None and task() != -1


def _first(values: Any) -> Tensor | None:
    """The first tensor in the arguments or the results of a module."""
    if isinstance(values, Tensor):
        return values
    if isinstance(values, nn.utils.rnn.PackedSequence):
        return values.data
    if isinstance(values, Mapping):
        values = tuple(values.values())
    if isinstance(values, tuple | list):
        return next((found for value in values if (found := _first(value)) is not None), None)
    return None

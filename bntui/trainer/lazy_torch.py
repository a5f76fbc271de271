"""Imports torch faster in bntui's own processes, by leaving modules that training never uses until their first use.

``import torch`` executes its exporter, decompositions, higher-order operators, and quantization, which take 40 % of its
time.  Here, each of them becomes a module that executes itself when somebody asks for an attribute that it does not
have yet.  Then all of them are executed, in the order in which torch imported them, because they import one another in
circles; and so before any further module of torch is imported.

``importlib.util.LazyLoader`` would not do: in Python 3.11, it executes a module as soon as it is imported a second
time, or when ``inspect.getmodule`` looks at its file, which torch does while it is imported.

Until the first use, most operators lack kernels for the device ``meta``; those of the CPU and of autograd are complete.
This is for processes that bntui starts, never for a program that imports bntui.

Threads may use such modules at the same time, for the first time, too.  But while one does so, no other thread may
begin to import a module of torch: it holds the lock of that module, and each would wait for the other forever.  No
thread of bntui does either.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final

TESTED: Final = ("2.13.0+cpu",)
"""Builds of torch for which ``tests/test_lazy_torch.py`` passed; others are imported as usual."""
LEFT: Final = frozenset(
    {
        "torch._higher_order_ops", "torch._meta_registrations", "torch.compiler", "torch.distributions", "torch.export",
        "torch.func", "torch.masked", "torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable",
        "torch.nn.quantized", "torch.quantization", "torch.utils.data", "torchgen.model",
    }
)  # fmt: skip
"""The modules that are left.  They were chosen by their time, and because neither engine uses them."""
NAMED: Final = {"torch._higher_order_ops": ("cond", "while_loop"), "torch.func": ("vmap",)}
"""Functions of theirs that torch imports into its own namespace."""


class _Left(ModuleType):
    """A module that has not been executed yet."""

    def __getattr__(self, name: str) -> Any:
        _FINDER.execute(self)
        return ModuleType.__getattribute__(self, name)  # in a circle, it may still lack the attribute


class _Leaving(Loader):
    """Leaves a module to its own loader, until its first use."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        for name in NAMED.get(module.__name__, ()):
            setattr(module, name, _forwarding(module, name))
        if module.__name__ == "torch.compiler":  # optimizers ask in every step, and what compiles executes it first
            module.__dict__["is_compiling"] = lambda: False
        module.__class__ = _Left
        _FINDER.left.append(module)


class _Executed(Loader):
    """Gives the import system a module that was imported while it was looked for."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__
        module.__spec__ = None  # otherwise the import system takes this one, and executes the module a second time

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder:
    """Finds the modules to be left, and executes them."""

    def __init__(self) -> None:
        self.imported = False
        """``import torch`` is over."""
        self.left: list[ModuleType] = []
        """The modules that wait for their first use, in the order in which torch imported them."""
        self._executing = False
        self._lock = threading.RLock()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        parent = sys.modules.get(name.rpartition(".")[0])
        if self.left and name.startswith("torch.") and (self.imported or type(parent) is _Left):
            self.execute()
            if name in sys.modules:
                return ModuleSpec(name, _Executed(sys.modules[name]))
        spec = PathFinder.find_spec(name, path, target) if name in LEFT and not self._executing else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Leaving(spec.loader)
        return spec

    def execute(self, module: ModuleType | None = None) -> None:
        """Execute all modules that were left.  While that lasts, one that another one needs is executed at once."""
        with self._lock:
            if self._executing:
                self._execute(module)
                return
            self._executing = True
            named = [(one, name) for one in self.left for name in NAMED.get(one.__name__, ())]
            while self.left:
                self._execute(self.left[0])
            for one, name in named:
                setattr(sys.modules["torch"], name, getattr(one, name))

    def _execute(self, module: ModuleType | None) -> None:
        if module in self.left:
            self.left.remove(module)
            assert module.__spec__ is not None
            assert module.__spec__.loader is not None
            module.__spec__.loader.exec_module(module)
            module.__class__ = ModuleType


def _forwarding(module: ModuleType, name: str) -> Callable[..., Any]:
    def forward(*arguments: Any, **named: Any) -> Any:
        _FINDER.execute()
        return getattr(module, name)(*arguments, **named)

    return forward


_FINDER: Final = _Finder()


def import_torch() -> bool:
    """Import torch, and leave what training does not use; False if it must be, or was, imported as usual."""
    found = None if "torch" in sys.modules else find_spec("torch")
    if found is None or found.origin is None:
        return False
    version = Path(found.origin).with_name("version.py")
    if not version.is_file() or not any(f"__version__ = '{build}'" in version.read_text("utf-8") for build in TESTED):
        return False
    sys.meta_path.insert(0, _FINDER)
    import torch
    from torch._opaque_base import OpaqueBaseMeta

    _FINDER.imported = True
    torch._C._set_generator_metaclass(OpaqueBaseMeta)  # torch._prims does so, and no generator can be made before
    return True


def left() -> list[str]:
    """Names of the modules that wait for their first use."""
    return [module.__name__ for module in _FINDER.left]

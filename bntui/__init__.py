"""bntui: a terminal laboratory for neural-network training.

:func:`watch` records a PyTorch training loop, and :func:`record` one of any framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bntui.watching.pytorch.watch import watch as watch
    from bntui.watching.record import record as record

__version__ = "0.1.0"

_LAZY = {"record": "bntui.watching.record", "watch": "bntui.watching.pytorch.watch"}
"""Functions that are imported when they are used, so that importing bntui takes no time."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

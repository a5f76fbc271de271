"""bntui: a terminal laboratory for neural-network training.

:func:`watch` records a PyTorch training loop, and :func:`record` one of any framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bntui.watching.pytorch.watch import watch as watch
    from bntui.watching.record import record as record
    from bntui.watching.stopping import EarlyStopping as EarlyStopping

__version__ = "0.1.0"

_LAZY = {
    "EarlyStopping": "bntui.watching.stopping",
    "record": "bntui.watching.record",
    "watch": "bntui.watching.pytorch.watch",
}
"""What is imported when it is used, so that importing bntui takes no time."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

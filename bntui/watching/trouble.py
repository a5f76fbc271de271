"""Warns about what a recorder cannot do: it never ends a training loop because of its own trouble."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from pathlib import Path
from types import FrameType
from typing import Final

HERE: Final = (str(Path(__file__).parent), contextlib.__file__)
"""Where calls come from that are not the loop's own."""


class RecorderWarning(UserWarning):
    """Something was not recorded; training goes on."""


def warn(sentence: str) -> None:
    """Warn at the line of the user's loop; where Python makes errors of warnings, log the sentence instead."""
    try:
        warnings.warn(sentence, RecorderWarning, stacklevel=_depth())
    except RecorderWarning:
        logging.getLogger("bntui").error(sentence)


def _depth() -> int:
    """How many calls up the first line is that is neither this package's nor PyTorch's, which calls its hooks, as
    ``warnings.warn`` counts from :func:`warn`."""
    torch = getattr(sys.modules.get("torch"), "__file__", None)
    others = HERE if torch is None else (*HERE, str(Path(torch).parent))
    depth, frame = 2, sys._getframe(2)
    while frame.f_code.co_filename.startswith(others) and frame.f_back is not None:
        frame, depth = _back(frame), depth + 1
    return depth


def _back(frame: FrameType) -> FrameType:
    assert frame.f_back is not None
    return frame.f_back

"""Imports plotext without the pages of its documentation, whose drawing takes longer than the rest of the import."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, Final

_PAGES: Final = "plotext._doc.doc"
"""The module that draws the pages for ``plotext.doc``."""


def _imported() -> Any:
    nothing: Any = ModuleType(_PAGES)
    nothing.docs = None
    sys.modules.setdefault(_PAGES, nothing)
    try:
        import plotext
    finally:
        if sys.modules.get(_PAGES) is nothing:  # whoever imports it by its name is to get the real one
            del sys.modules[_PAGES]
    return plotext


plotext: Final = _imported()

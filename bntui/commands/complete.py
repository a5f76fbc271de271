"""Completes names of recordings and scenarios in the shell; paths are completed by the shell itself."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

VARIABLE: Final = "_BNTUI_COMPLETE"
"""The shell sets it when it asks for completions."""


def asked(environment: Mapping[str, str] = os.environ) -> bool:
    """True if the shell, not a user, runs the program."""
    return VARIABLE in environment


def recordings(incomplete: str) -> list[str]:
    """Names of known recordings that begin like this."""
    from bntui.link.library import known

    return _fitting((path.stem for path in known()), incomplete)


def scenarios(incomplete: str) -> list[str]:
    """Names of built-in scenarios that begin like this."""
    from bntui.scenario.gallery import builtin_names

    return _fitting(builtin_names(), incomplete)


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """Those that can be typed without quoting: the shells' scripts do not quote them."""
    return sorted({name for name in names if name.startswith(incomplete) and shlex.quote(name) == name})

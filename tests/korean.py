"""Provides helpers for language tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys

BNTUI = [sys.executable, "-m", "bntui"]


def korean(text: str) -> bool:
    """Has it a Korean syllable?"""
    return re.search("[가-힣]", text) is not None


def said(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the program answers on the command line."""
    return subprocess.run(
        [*BNTUI, *map(str, arguments)], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )

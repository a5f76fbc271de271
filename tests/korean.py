"""Provides helpers for language tests."""

from __future__ import annotations

import re
import sys

from tests.commands import bntui as said

__all__ = ["BNTUI", "korean", "said"]

BNTUI = [sys.executable, "-m", "bntui"]


def korean(text: str) -> bool:
    """Has it a Korean syllable?"""
    return re.search("[가-힣]", text) is not None

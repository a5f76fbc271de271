"""Assigns marks to runs."""

from __future__ import annotations

from typing import Final

RUN_MARKS: Final = ("●", "▲", "■", "◆", "▼", "✚", "○", "△", "□", "◈", "▽", "✛")
"""A run has a mark and a colour, the same everywhere; colour alone never carries meaning."""

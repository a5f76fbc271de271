"""Declares the marks of runs."""

from __future__ import annotations

from typing import Final

RUN_MARKS: Final = ("●", "▲", "■", "◆", "▼", "✚", "○", "△", "□", "◈", "▽", "✛")
"""Each run has the same mark and color everywhere; color alone never carries meaning."""

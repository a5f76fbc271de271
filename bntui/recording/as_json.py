"""Turns keyframes, and what else is recorded, into JSON objects with the names that the documentation promises."""

from __future__ import annotations

import math
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from bntui.measures import declarations


def plain(value: Any) -> Any:
    """A value that JSON can carry: non-finite numbers are the strings NaN, Infinity, -Infinity."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray) and (value.dtype.kind != "f" or np.isfinite(value).all()):
        return value.tolist()
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def record_of(part: Any) -> Any:
    """A keyframe, or a part of one, as a JSON object with the key paths of the table of measures."""
    if isinstance(part, tuple):
        return [record_of(one) for one in part]
    if not is_dataclass(part) or isinstance(part, type):
        return part
    record: dict[str, Any] = {}
    for one in declarations(type(part)):
        *groups, name = one.json.split(".")
        inner = record
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = record_of(getattr(part, one.field))
    return record

"""Reads the data sets that are part of scikit-learn, digits without importing it: that takes half of a start."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bntui.keyframe import FloatArray, IntArray

DIGITS: Final = "datasets/data/digits.csv.gz"
"""The file with the digits in scikit-learn's folder: 64 pixels and the class in each line."""


class Bundled(NamedTuple):
    """A data set as scikit-learn's loader gives it."""

    x: FloatArray
    """Shape ``(samples, features)``."""
    y: IntArray
    classes: tuple[str, ...]
    features: tuple[str, ...]


def bundled(name: str) -> Bundled:
    """A data set by name; nothing is downloaded."""
    file = _file(DIGITS) if name == "digits" else None
    return _from_scikit_learn(name) if file is None else _digits(file)


def _file(name: str) -> Path | None:
    """A file in scikit-learn's folder; None if another version keeps it elsewhere."""
    found = find_spec("sklearn")
    folders = () if found is None else found.submodule_search_locations or ()
    return next((path for folder in folders if (path := Path(folder, name)).is_file()), None)


@lru_cache(1)  # a worker trains many seeds
def _digits(file: Path) -> Bundled:
    table = np.loadtxt(file, delimiter=",")
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    return Bundled(table[:, :-1], table[:, -1].astype(np.int64), tuple(map(str, range(10))), names)


def _from_scikit_learn(name: str) -> Bundled:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    classes, features = (tuple(map(str, names)) for names in (found.target_names, found.feature_names))
    return Bundled(found.data, found.target.astype(np.int64), classes, features)

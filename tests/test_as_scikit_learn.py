"""Compares with scikit-learn what is computed as it does, so that a start need not import it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from bntui.scenario.gallery import scenarios
from bntui.scenario.load import load
from bntui.scenario.schema import RunConfig
from bntui.scenario.sources import BUILTIN_DATA
from bntui.trainer.data import statistics
from bntui.trainer.data.bundled import bundled
from bntui.trainer.data.dataset import load_data, split_indices
from bntui.trainer.data.generated import generate
from bntui.trainer.data.split import split

CONFIGS = {card.path.stem: load(card.path).runs[0].config for card in scenarios()}
BUILTIN = {name: config for name, config in CONFIGS.items() if config.data.source in BUILTIN_DATA}


def blobs(n_samples: int, noise: float, random_state: int) -> Any:
    return make_blobs(n_samples, centers=3, cluster_std=noise, random_state=random_state)


@pytest.mark.parametrize("count", [1, 2, 3, 31, 500, 501])
@pytest.mark.parametrize(
    ("name", "make"), [("moons", make_moons), ("circles", partial(make_circles, factor=0.5)), ("blobs", blobs)]
)
def test_moons_circles_and_blobs_are_its_own(name: str, make: Callable[..., Any], count: int) -> None:
    for seed in range(5):
        x, y = generate(name, count, 0.3, np.random.default_rng(seed))
        number = int(np.random.default_rng(seed).integers(2**32))
        expected = make(n_samples=count, noise=0.3, random_state=number)
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(y, expected[1])
        assert y.dtype == np.int64


def test_digits_come_from_its_loader_if_the_file_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    here = bundled("digits")
    monkeypatch.setattr("bntui.trainer.data.bundled.DIGITS", "datasets/elsewhere.csv.gz")
    there = bundled("digits")
    np.testing.assert_array_equal(here.x, there.x)
    np.testing.assert_array_equal(here.y, there.y)
    assert (here.x.dtype, here.y.dtype, here[2:]) == (there.x.dtype, there.y.dtype, there[2:])


@pytest.mark.parametrize("name", BUILTIN)
def test_the_split_of_every_scenario_is_its_own(name: str) -> None:
    config: RunConfig = BUILTIN[name]
    data = load_data(config.data, Path(), config.seed)
    train, held_out = split_indices(data, config.data.validation, config.seed)
    seed = int.from_bytes(hashlib.sha256(f"{config.seed}:split".encode()).digest()[:4], "little")
    expected = train_test_split(
        np.arange(len(data)),
        test_size=len(held_out),
        random_state=int(np.random.default_rng(seed).integers(2**32)),
        stratify=data.y if data.task == "classification" else None,
    )
    np.testing.assert_array_equal(train, expected[0])
    np.testing.assert_array_equal(held_out, expected[1])
    assert train.dtype == held_out.dtype == np.int64


@given(some.integers(0, 2**32 - 1), some.lists(some.integers(2, 40), min_size=2, max_size=7), some.data())
def test_every_split_is_its_own(seed: int, sizes: list[int], draw: some.DataObject) -> None:
    count = sum(sizes)
    held_out = draw.draw(some.integers(len(sizes), count - len(sizes)))
    classes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    for stratify in (None, classes):
        found = split(count, held_out, seed, stratify)
        expected = train_test_split(np.arange(count), test_size=held_out, random_state=seed, stratify=stratify)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@given(
    seed=some.integers(0, 10**6),
    shape=some.tuples(some.integers(1, 60), some.integers(1, 4)),
    scale=some.sampled_from([1e-20, 1.0, 1e18]),
    offset=some.sampled_from([0.0, 1.0, -1e9]),
    chunk=some.sampled_from([7, statistics.CHUNK]),
)
def test_statistics_are_those_of_its_scalers(
    seed: int, shape: tuple[int, int], scale: float, offset: float, chunk: int
) -> None:
    x = np.random.default_rng(seed).normal(offset, 1, shape).round(2) * scale
    x[:, 0] = x[0, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "CHUNK", chunk)
        low, factor = statistics.extent(x)
        mean, std = statistics.moments(x)
    minmax, standard = MinMaxScaler(), StandardScaler()
    for start in range(0, len(x), chunk):
        minmax.partial_fit(x[start : start + chunk])
        standard.partial_fit(x[start : start + chunk])
    np.testing.assert_array_equal(low, minmax.data_min_)
    np.testing.assert_array_equal(factor, minmax.scale_)
    np.testing.assert_array_equal(mean, standard.mean_)
    np.testing.assert_array_equal(std, standard.scale_)


def test_a_start_does_not_import_it() -> None:
    program = """
import sys
from pathlib import Path
import bntui.trainer.service
from bntui.scenario.data import Data
from bntui.trainer.data.dataset import fit_scaling, load_data, split_indices
for source in ("digits", "moons", "circles", "blobs", "spirals", "sine"):
    data = load_data(Data(source=source), Path(), 0)
    train, _ = split_indices(data, 0.2, 0)
    for kind in ("minmax", "standard"):
        fit_scaling(kind, data.x[train])
    print(source, [module for module in ("sklearn", "scipy") if module in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [line for line in result.stdout.splitlines() if not line.endswith(" []")] == []
    assert len(result.stdout.splitlines()) == 6

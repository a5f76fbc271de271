"""Generates slightly invalid data files: tables in every dialect, NPZ and IDX files, each with a few mutations.

The promise: every one of them is read, or refused with a sentence; nothing else happens.
"""

from __future__ import annotations

import gzip
import io
import random
import shutil
import struct
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from bntui.scenario.data import Data
from bntui.trainer.data.dataset import Dataset, fit_scaling, load_data
from tests.dialects import DIALECTS
from tests.fuzz.calls import attempt, unfit
from tests.fuzz.outcome import FOUND, Outcome, dice

CELLS: Final = (
    *(
        "",
        "NA",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e39",
        "1e-400",
        "1_0",
        "１２",
        "0x1F",
        "true",
        "No",
        "007",
        "-0",
        "-0.0",
    ),
    *(
        "1,234",
        "1.234",
        "1.234,5",
        "1'234",
        "1 234",
        "12%",
        "$5",
        "2024-01-31",
        "20240131",
        "9007199254740993",
        "?",
        "-",
    ),
    *('"', '""', '"a', "a\nb", "\x00", "\x1b[31m", "\u202e", "\ud7ff", "\u2028", "\ufeff", "#", "x" * 300, "9" * 400),
    *("1" * 5000, "y" * 140_000, "'", "\\", "sep=;", "=1+1", "1e", "+.5", "5.", "…", "é", "한", "\x85", "\x0b"),
)
DELIMITERS: Final = (",", ";", "\t", "|", " ", ":", "", ",,")
HEADERS: Final = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (True, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 8, }",
    "{'descr': '<f8', 'fortran_order': False}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (8,), }",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (8,), }",
    "{'descr': '<U99999', 'fortran_order': False, 'shape': (8,), }",
    "{'descr': 'a3', 'fortran_order': False, 'shape': (8,), }",
    "{'descr': '<M8[s]', 'fortran_order': 1, 'shape': (8,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (8, 0, 99999999999), }",
    "[" * 3000,
    "(" * 90 + ")" * 90,
    "__import__('os')",
    "{'descr': '<f8', 'fortran_order': [], 'shape': ((8,),), }",
    "{}",
    "",
)


def run(count: int, seed: int) -> Outcome:
    """Try ``count`` files; those that break the promise are kept under ``build/fuzz``."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        for case in range(count):
            before = len(outcome.crashes)
            source, keys = make(dice(seed, case), Path(folder))
            load = partial(load_data, Data(source=source, **keys), Path(folder), 0)
            dataset = attempt(outcome, case, f"load {source}", load)
            if dataset is not None:
                _look(outcome, case, dataset)
            if len(outcome.crashes) > before:
                FOUND.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(folder) / source, FOUND / f"data-{seed}-{case}-{source}")
                (FOUND / f"data-{seed}-{case}.keys").write_text(repr(keys))
    return outcome


def _look(outcome: Outcome, case: int, dataset: Dataset) -> None:
    """What was read is whole, finite, and can be told and scaled."""

    def look() -> None:
        assert dataset.reading is not None
        assert len(dataset.x) == len(dataset.y) >= 4
        assert len(dataset.features) == dataset.x[0].size
        assert bool(dataset.classes) == (dataset.task == "classification")
        for name in (*dataset.features, *dataset.classes, dataset.name, *dataset.reading.lines()):
            if name and (complaint := unfit(name)):
                raise AssertionError(complaint)
        if dataset.classes:
            assert 0 <= dataset.y.min() <= dataset.y.max() < len(dataset.classes)
        else:
            assert np.isfinite(dataset.y).all()
        if dataset.x.size < 100_000:
            with np.errstate(all="ignore"):
                assert not np.isnan(fit_scaling("none", dataset.x).apply(dataset.x)).any()

    before = outcome.tried, outcome.accepted
    attempt(outcome, case, "use", look)
    outcome.tried, outcome.accepted = before


def make(rng: random.Random, folder: Path) -> tuple[str, dict[str, Any]]:
    """Write one mutated file; its name, and keys of ``[data]``."""
    kind = rng.choice(("table", "table", "table", "npz", "npz", "idx"))
    if kind == "table":
        return _table(rng, folder)
    return _npz(rng, folder) if kind == "npz" else _idx(rng, folder)


def _bytes(rng: random.Random, content: bytes) -> bytes:
    """Damage of the kinds that disks and lines make."""
    for _ in range(rng.choice((0, 0, 0, 1, 1, 3, 20))):
        at = rng.randrange(len(content) + 1)
        how = rng.randrange(5)
        if how == 0:
            content = content[:at]
        elif how == 1:
            content = content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
        elif how == 2:
            content = content[:at] + rng.randbytes(rng.randrange(1, 30)) + content[at:]
        elif how == 3:
            content = content[:at] + content[at + rng.randrange(1, 40) :]
        else:
            content = content[:at] + content[max(0, at - 60) : at] * rng.randrange(1, 50) + content[at:]
    return content


def _table(rng: random.Random, folder: Path) -> tuple[str, dict[str, Any]]:
    dialect = rng.choice(DIALECTS)
    content = dialect.content
    if rng.random() < 0.9:
        try:
            lines = content.decode().splitlines()
        except UnicodeDecodeError:
            lines = content.decode("latin-1").splitlines()
        for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
            _mutate_lines(rng, lines)
        encoding = rng.choice((*("utf-8",) * 6, "utf-8-sig", "utf-16", "latin-1", "cp949", "utf-16-le"))
        text = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n", "\n\r")).join(lines) + rng.choice(("\n", ""))
        content = text.encode(encoding, "replace")
    if rng.random() < 0.3:
        content = _bytes(rng, content)
    name = f"t{rng.choice(('.csv', '.CSV', '.tsv', '.txt', '.data', '.dat'))}"
    (folder / name).write_bytes(content)
    return name, _keys(rng)


def _mutate_lines(rng: random.Random, lines: list[str]) -> None:
    if not lines:
        return
    at = rng.randrange(len(lines))
    how = rng.randrange(9)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(at, rng.choice(CELLS))
    elif how == 2:
        lines[at] = lines[at].replace(rng.choice(",;\t|. "), rng.choice(DELIMITERS))
    elif how == 3:
        lines[:] = [line.replace(rng.choice(",;\t|."), rng.choice(DELIMITERS)) for line in lines]
    elif how == 4:
        lines.extend(lines[1 : 20_000 // len(lines[0] or "x")] * rng.choice((1, 10, 300 if len(lines) < 50 else 1)))
    elif how == 5:
        lines[at] = rng.choice(DELIMITERS[:5]).join(rng.choice(CELLS) for _ in range(rng.randrange(1, 6)))
    elif how == 6:
        lines[at] = lines[at] * rng.choice((2, 3, 200))
    else:
        delimiter = max(",;\t| ", key=lines[at].count)
        cells = lines[at].split(delimiter)
        cells[rng.randrange(len(cells))] = rng.choice(CELLS)
        lines[at] = delimiter.join(cells)


def _keys(rng: random.Random) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if rng.random() < 0.2:
        keys["header"] = rng.random() < 0.5
    if rng.random() < 0.15:
        keys["decimal"] = rng.choice(".,")
    if rng.random() < 0.1:
        keys["delimiter"] = rng.choice(",;\t| :")
    if rng.random() < 0.15:
        keys[rng.choice(("drop", "features"))] = (rng.choice(("a", "b", "y", "column 1", "column 9999", "nobody")),)
    if rng.random() < 0.15:
        keys["target"] = rng.choice(("a", "b", "y", "column 2", "x" * 500))
    if rng.random() < 0.3:
        keys["task"] = rng.choice(("classification", "regression"))
    if rng.random() < 0.1:
        keys["samples"] = rng.choice((4, 5, 1_000_000))
    if rng.random() < 0.1:
        keys["factor"] = rng.choice((1e-308, 1e38, 1e308, 2.0))
    return keys


def _arrays(rng: random.Random) -> dict[str, np.ndarray]:
    x: np.ndarray = rng.choice(
        (
            np.arange(16.0).reshape(8, 2), np.arange(8), np.zeros((8, 3, 3), np.uint8), np.zeros((8, 3, 3, 3), "f2"),
            np.arange(16).reshape(8, 2).astype(">i8") * 2**50, np.full((8, 1), 1e39), np.zeros((8, 0)), np.array(3.0),
            np.asfortranarray(np.arange(24.0).reshape(8, 3)), np.ones((8, 2), "c16"), np.array([["a"] * 2] * 8),
            np.zeros((8, 1, 1, 1, 1)), np.arange(8.0).astype(np.longdouble), np.ones((8, 2), "M8[s]"),
            np.ones((8, 2), "?"),
        )
    )  # fmt: skip
    y: np.ndarray = rng.choice(
        (
            np.arange(8) % 2, np.arange(8) / 3, np.array(["b", "a\x1b"] * 4), np.array([b"\xff", b"a"] * 4), np.eye(8),
            np.arange(8)[:, None], np.ones(8), np.array([1, None] * 4, object), np.arange(7), np.full(8, np.nan),
            np.array([-0.0, 0.0] * 4), np.arange(8) % 2 == 0, np.array(["x" * 300, "y"] * 4),
            np.array([2**63, 0] * 4, "u8"),
        )
    )  # fmt: skip
    if rng.random() < 0.5:
        x = np.arange(16.0).reshape(8, 2)
    if rng.random() < 0.5:
        y = np.arange(8) % 2
    names = rng.choice(
        (("x", "y"), ("X", "y"), ("x_train", "y_train"), ("data", "target"), ("a", "b"), ("x\x1b", "y\n"), ("x", "x2"))
    )
    arrays = dict(zip(names, (x, y), strict=True))
    if rng.random() < 0.3:
        arrays[rng.choice(("x_test", "z", "labels", "\u202e"))] = np.arange(3)
    return arrays


def _npz(rng: random.Random, folder: Path) -> tuple[str, dict[str, Any]]:
    buffer = io.BytesIO()
    how = rng.randrange(6)
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED))
    if rng.random() < 0.05:
        packing = zipfile.ZIP_BZIP2
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, values in _arrays(rng).items():
            member = io.BytesIO()
            np.save(member, values, allow_pickle=True)
            content = member.getvalue()
            if how == 0 and rng.random() < 0.5:
                header = rng.choice(HEADERS).encode()
                version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
                length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
                content = b"\x93NUMPY" + version + length + header + bytes(rng.choice((0, 64, 1000)))
            elif how == 1:
                content = _bytes(rng, content)
            archive.writestr(name.replace("\0", "") + (".npy" if rng.random() < 0.95 else ""), content)
        if rng.random() < 0.02:
            archive.writestr("bomb.npy", bytes(30_000_000))
    content = buffer.getvalue()
    if how == 2:
        content = _bytes(rng, content)
    elif how == 3 and rng.random() < 0.5:  # sizes in the directory
        at = content.rfind(b"PK\x01\x02") + rng.choice((10, 16, 20, 24, 28, 42))
        content = content[:at] + struct.pack("<I", rng.choice((0, 1, 2**31, 2**32 - 1))) + content[at + 4 :]
    (folder / "t.npz").write_bytes(content)
    keys: dict[str, Any] = {"task": rng.choice(("auto", "auto", "classification", "regression"))}
    if rng.random() < 0.1:
        keys["target"] = rng.choice(("b", "z", "y\x7f".strip("\x7f")))
    if rng.random() < 0.1:
        keys["features"] = rng.choice((("a",), ("a", "b"), ("nobody",)))
    return "t.npz", keys


def _idx(rng: random.Random, folder: Path) -> tuple[str, dict[str, Any]]:
    def one(shape: tuple[int, ...]) -> bytes:
        kind = rng.choice((8, 8, 8, 9, 0x0B, 0x0C, 0x0D, 0x0E, 7))
        sides = [side if rng.random() < 0.95 else rng.choice((0, 2**31, 2**32 - 1)) for side in shape]
        width = {0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}.get(kind, 1)
        size = int(np.prod(shape)) * width + rng.choice((*(0,) * 9, -1, 1, 5_000_000 if rng.random() < 0.1 else 3))
        values = rng.randbytes(max(size, 0)) if rng.random() < 0.7 else bytes(max(size, 0))
        head = bytes([0, 0, kind, rng.choice((*(len(shape),) * 9, 0, 5, 255))])
        content = _bytes(rng, head + b"".join(struct.pack(">I", side) for side in sides) + values)
        if rng.random() < 0.4:
            content = _bytes(rng, gzip.compress(content, rng.choice((1, 9))))
        return content

    (folder / "t-images-idx3-ubyte").write_bytes(one(rng.choice(((8, 4, 3), (8, 4, 3), (8, 2, 2, 2), (8,)))))
    (folder / "t-labels-idx1-ubyte").write_bytes(one(rng.choice(((8,), (8,), (8,), (8, 1), (7,)))))
    return "t-images-idx3-ubyte", {"task": rng.choice(("auto", "classification", "regression"))}

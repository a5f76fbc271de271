"""Tests that files that are not regular, never end, or expand when unpacked are refused before they are read."""

from __future__ import annotations

import gzip
import io
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bntui.errors import BntuiError, DataError
from bntui.scenario.data import Data
from bntui.scenario.load import load
from bntui.trainer.data.contents import MOST_BYTES
from bntui.trainer.data.dataset import load_data

NAMES = ("t.csv", "t.npz", "t-images-idx3-ubyte", "t-images-idx3-ubyte.gz", "t.toml")


def opened(path: Path) -> str:
    """What is said when a file is used for what its name says."""
    use: Callable[[], object] = partial(load, path)
    if path.suffix != ".toml":
        use = partial(load_data, Data(source=path.name), path.parent, 0)
    with pytest.raises(BntuiError) as wrong:
        use()
    message = str(wrong.value)
    assert message.replace("\n", "").isprintable()
    assert path.name in message
    return message


@contextmanager
def little_memory(megabytes: int = 600) -> Iterator[None]:
    """This process may take so much more address space."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 1_000_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


def terabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs devices")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (fifo, "named pipe"), (zeros, "a device"), (folder, "folder|directory"), (dangling, "[Nn]o such file"),
        (listening, "a socket"), (terabyte, "larger than"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused_by_kind(
    name: str, make: Callable[[Path], None], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    make(Path(name))
    with little_memory():
        assert re.search(why, opened(tmp_path / name))


@pytest.mark.parametrize("name", NAMES)
def test_the_command_line_refuses_a_pipe_without_waiting(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    scenario = tmp_path / ("t.toml" if name == "t.toml" else "s.toml")
    if name != "t.toml":
        scenario.write_text(f'title = "t"\n[data]\nsource = "{name}"\n[network]\nhidden = [3]\n')
    command = [sys.executable, "-m", "bntui", "check", str(scenario)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "named pipe" in done.stderr
    assert "Traceback" not in done.stderr


def test_sparse_and_endless_tables(tmp_path: Path) -> None:
    with (tmp_path / "zeros.csv").open("wb") as file:
        file.truncate(MOST_BYTES - 1)
    with (tmp_path / "line.csv").open("wb") as file:
        file.write(b"1," * 20_000_000)
    with (tmp_path / "row.csv").open("wb") as file:
        file.write(b'a,b\n1,"' + b'x",\n"' * 1_000_000)
    with (tmp_path / "quote.csv").open("wb") as file:
        file.write(b'a,b\n1,2\n"' + b"x\n" * 5_000_000)
    with little_memory():
        assert "U+0000" in opened(tmp_path / "zeros.csv") or "line end" in opened(tmp_path / "zeros.csv")
        assert "no line end" in opened(tmp_path / "line.csv")
        assert "row" in opened(tmp_path / "row.csv")
        assert "field larger than field limit" in opened(tmp_path / "quote.csv")


def npy(shape: str, values: bytes, dtype: str = "<f8") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def archive(path: Path, *, x: bytes, y: bytes | None = None) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", x)
        file.writestr("y.npy", npy("(4,)", np.arange(4).tobytes(), "<i8") if y is None else y)


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (npy("(999999999999, 4)", bytes(64)), "needs 31,999,999,999,968 bytes, but the file has 64"),
        (npy("(4, 4)", bytes(3)), "needs 128 bytes, but the file has 3"),
        (npy("(4,)", bytes(32), "|O"), "Python objects"),
        (npy("(4, 75_000_000)", bytes(300_000_000), "|u1"), "would unpack to 300 MB"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535, "header"),
        (npy("(4, 300000)", bytes(1_200_000), "|u1"), "300,000 values in each sample"),
    ],
)
def test_archives_that_grow_are_refused_before_they_are_unpacked(x: bytes, why: str, tmp_path: Path) -> None:
    archive(tmp_path / "t.npz", x=x)
    with little_memory(900 if len(x) > 10**8 else 200):
        assert why in opened(tmp_path / "t.npz")


def test_a_directory_that_lies_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "t.npz", x=npy("(4, 500000000)", bytes(64)))
    content = (tmp_path / "t.npz").read_bytes()
    at = content.index(b"PK\x01\x02")
    size = 4 * 500_000_000 * 8 + len(npy("(4, 500000000)", b""))
    lying = content[: at + 24] + struct.pack("<I", size % 2**32) + content[at + 28 :]
    (tmp_path / "t.npz").write_bytes(lying)
    with little_memory(200):
        opened(tmp_path / "t.npz")


def test_many_members_and_a_huge_directory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(1500):
            file.writestr(f"a{number}.npy", b"")
    (tmp_path / "t.npz").write_bytes(buffer.getvalue())
    assert "1,500 arrays" in opened(tmp_path / "t.npz")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(25_000):
            file.writestr(f"a{number}.npy", b"")
    (tmp_path / "t.npz").write_bytes(buffer.getvalue())
    assert "directory is too long" in opened(tmp_path / "t.npz")


def idx(*sides: int, values: bytes) -> bytes:
    return bytes([0, 0, 8, len(sides)]) + b"".join(struct.pack(">I", side) for side in sides) + values


@pytest.mark.parametrize(
    ("sides", "size", "why"),
    [
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), 1000, "cannot unpack to"),
        ((60_000, 28, 28), 10, "truncated|cannot unpack"),
        ((4, 2, 2), 300_000_000, "longer than its header says"),
        ((300_000_000, 1, 1), 300_000_000, "would unpack to 300 MB"),
    ],
)
def test_gzipped_images_that_grow(sides: tuple[int, ...], size: int, why: str, tmp_path: Path) -> None:
    (tmp_path / "t-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(*sides, values=bytes(size)), 1))
    (tmp_path / "t-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(4, values=bytes([0, 1, 0, 1]))))
    with little_memory(200):
        assert re.search(why, opened(tmp_path / "t-images-idx3-ubyte.gz"))


def test_memory_that_is_not_there_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"{n}.5,{n % 2}\n" for n in range(5000)))
    monkeypatch.setattr("bntui.trainer.data.contents._free_memory", lambda: 100_000)
    message = opened(tmp_path / "t.csv")
    assert "but only 100 kB are free; use a smaller file" in message
    with pytest.raises(DataError, match="free"):
        load_data(Data(source="t.csv"), tmp_path, 0)

"""Tests that gzipped tables are read like unpacked ones, and that damaged and hostile ones are refused."""

from __future__ import annotations

import gzip
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.dialects import DIALECTS, Dialect
from tests.test_tables import read, refused, rows

VALUES = np.random.default_rng(3).normal(size=(40, 3)).round(4)
TABLE = rows("a,b,y", *(",".join(map(str, row)) for row in VALUES.tolist()))


@pytest.mark.parametrize("name", ["t.csv.gz", "T.TSV.GZ", "t.txt.gz", "t.csv"])
def test_a_gzipped_table_holds_its_values(name: str, tmp_path: Path) -> None:
    data = read(tmp_path, gzip.compress(TABLE.encode()), name)
    np.testing.assert_array_equal(data.x, VALUES[:, :2])
    np.testing.assert_array_equal(data.y[:, 0], VALUES[:, 2].astype(np.float32))


def test_a_name_that_ends_with_gz_may_hold_a_plain_table(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, TABLE, "t.csv.gz").x, VALUES[:, :2])


def test_what_numpy_saves_gzipped(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "saved.txt.gz", VALUES)
    data = read(tmp_path, (tmp_path / "saved.txt.gz").read_bytes(), "t.txt.gz")
    np.testing.assert_array_equal(data.x, np.loadtxt(tmp_path / "saved.txt.gz")[:, :2])


def test_several_gzip_files_one_after_another_are_one(tmp_path: Path) -> None:
    start, end = TABLE[:400].encode(), TABLE[400:].encode()
    np.testing.assert_array_equal(read(tmp_path, gzip.compress(start) + gzip.compress(end)).x, VALUES[:, :2])


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_reads_alike_gzipped(dialect: Dialect, tmp_path: Path) -> None:
    plain = read(tmp_path, dialect.content)
    packed = read(tmp_path, gzip.compress(dialect.content), "t.csv.gz")
    np.testing.assert_array_equal(packed.x, plain.x)
    np.testing.assert_array_equal(packed.y, plain.y)
    assert (packed.features, packed.classes) == (plain.features, plain.classes)


@pytest.mark.parametrize("at", [-1, -5, -12, 30, 11])
def test_a_truncated_gzip_file_is_refused(at: int, tmp_path: Path) -> None:
    assert "t.csv.gz: damaged or truncated gzip file" in refused(
        tmp_path, gzip.compress(TABLE.encode())[:at], "t.csv.gz"
    )


@pytest.mark.parametrize("at", [200, -6, -2])
def test_a_damaged_byte_is_found(at: int, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(TABLE.encode()))
    packed[at] ^= 0x10
    with pytest.raises((gzip.BadGzipFile, zlib.error, EOFError)):  # Python's own module finds it, too
        gzip.decompress(bytes(packed))
    assert "damaged or truncated gzip file" in refused(tmp_path, bytes(packed), "t.csv.gz")


def test_a_cell_of_a_gzipped_table_is_named_by_its_row(tmp_path: Path) -> None:
    assert "row 3, column 'b': 'x' is not a number" in refused(
        tmp_path, gzip.compress(b"a,b,y\n1,2,3\n4,x,6\n7,8,9\n1,2,4\n"), "t.csv.gz"
    )


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    """Zeros that unpack to 306 MB are refused with little memory, and before a row is read."""
    part = zlib.compressobj(9, wbits=31)
    line = b"0,0,0\n" * 170_000
    (tmp_path / "t.csv.gz").write_bytes(b"".join([part.compress(line) for _ in range(300)]) + part.flush())
    program = f"""
        import resource
        from pathlib import Path
        from bntui.errors import DataError
        from bntui.trainer.data.contents import Choices
        from bntui.trainer.data.read import read_file
        resource.setrlimit(resource.RLIMIT_AS, (1_000_000_000, 1_000_000_000))
        try:
            read_file(Path({str(tmp_path / "t.csv.gz")!r}), Choices())
        except DataError as error:
            print(error)
    """
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "if you trust it, unpack it first" in done.stdout
    assert time.monotonic() - began < 30

"""Tests opening untrusted files: regular files of bounded size only, everything else is refused by kind at once."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from bntui.files import UnfitFileError, in_bytes, open_regular, read_regular


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with open_regular(path, 5) as file:
        assert (file.read(2), file.seek(4), file.read()) == (b"12", 4, b"5")
    with pytest.raises(UnfitFileError, match="larger than 4 bytes"):
        open_regular(path, 4)


def test_a_file_that_grows_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with open_regular(path, 10) as file:
        path.write_bytes(b"x" * 100)
        with pytest.raises(UnfitFileError, match="larger than 10 bytes"):
            file.read()
    with open_regular(path, 100) as file:
        path.write_bytes(b"x" * 1000)
        with pytest.raises(UnfitFileError):
            [file.read(7) for _ in range(100)]


def test_a_link_leads_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "link", 10) == b"1"
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "dangling", 10)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"):
        open_regular(tmp_path / "circle", 10)


def test_what_is_no_file_is_refused_by_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnfitFileError, match="a named pipe, not a file"):
        open_regular(tmp_path / "pipe", 10)
    for device in ("/dev/zero", "/dev/null", "/dev/urandom"):
        with pytest.raises(UnfitFileError, match="a device, not a file"):
            open_regular(Path(device), 10)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(UnfitFileError, match="a socket, not a file"):
            open_regular(tmp_path / "s", 10)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "a\0b", 10)


def test_a_pipe_that_takes_the_files_place_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"1")
    looked, real = list[str](), os.stat

    def stat_of_the_file(path: os.PathLike[str]) -> os.stat_result:
        looked.append(str(path))
        return real(tmp_path / "file")

    monkeypatch.setattr("bntui.files.os.stat", stat_of_the_file)
    refused = list[OSError]()

    def attempt() -> None:
        try:
            open_regular(tmp_path / "pipe", 10)
        except OSError as error:
            refused.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert looked
    assert isinstance(refused[0], UnfitFileError)


def test_a_sparse_terabyte_is_refused_by_its_size(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(UnfitFileError, match="larger than 4 GB"):
        open_regular(path, 4 * 10**9)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"12345")
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with pytest.raises(UnfitFileError):
            open_regular(tmp_path / "large", 1)
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert before == after


def test_a_file_without_a_size_is_bounded_as_well() -> None:
    path = Path("/proc/self/maps")
    if not path.exists() or not stat.S_ISREG(path.stat().st_mode):
        pytest.skip("no /proc here")
    with pytest.raises(UnfitFileError):
        read_regular(path, 100)


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12 bytes"), (1_000_000, "1 MB"), (4_000_000_000, "4 GB"), (1536, "1.54 kB"), (999_999, "1000 kB")],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert in_bytes(count) == text

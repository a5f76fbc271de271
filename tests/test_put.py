"""Tests that a file is replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bntui import drafts


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    drafts.put(path, b"after", durable=True)
    assert path.read_bytes() == b"after"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_only_a_private_file_is_the_users_own(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        drafts.put(tmp_path / "own", b"", private=True)
        drafts.put(tmp_path / "shared", b"")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("own", "shared")]
    assert modes == [0o600, 0o644]


@pytest.mark.parametrize("fails", ["replace", "fsync"])
def test_what_was_there_stays_where_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")

    def full(*_arguments: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, fails, full)
    with pytest.raises(OSError, match="no space"):
        drafts.put(path, b"after", durable=True)
    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["n" * 255, "이" * 85], ids=["latin", "korean"])
def test_a_file_may_have_the_longest_name_that_the_system_allows(name: str, tmp_path: Path) -> None:
    drafts.put(tmp_path / name, b"one")
    with drafts.drafts() as made:
        made.new(tmp_path / name[1:]).write_bytes(b"two")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"one", name[1:]: b"two"}

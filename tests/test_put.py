"""Tests that a file is replaced as a whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bntui import drafts
from bntui.errors import StorageError


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


@pytest.mark.parametrize("way", ["open", "put", "drafts"])
def test_what_is_replaced_keeps_its_link_and_its_mode_as_if_it_were_opened_and_written(
    way: str, tmp_path: Path
) -> None:
    """``open(path, "w")`` is what the other ways are held against."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    (there / "x").write_bytes(b"before")
    (there / "x").chmod(0o640)
    (here / "link").symlink_to("../there/x")
    (here / "chain").symlink_to("link")
    (here / "dangling").symlink_to("../there/new")
    for name in ("chain", "dangling"):
        path = here / name
        if way == "open":
            path.write_bytes(b"after")
        elif way == "put":
            drafts.put(path, b"after", durable=True)
        else:
            with drafts.drafts(force=True) as made:
                draft = made.new(path)
                assert not draft.exists() or stat.S_IMODE(draft.stat().st_mode) == 0o640, "no one else reads it before"
                draft.write_bytes(b"after")
    assert {name: os.readlink(here / name) for name in os.listdir(here)} == {
        "link": "../there/x", "chain": "link", "dangling": "../there/new",
    }  # fmt: skip
    assert {path.name: path.read_bytes() for path in there.iterdir()} == {"x": b"after", "new": b"after"}
    assert stat.S_IMODE((there / "x").stat().st_mode) == 0o640


def test_a_private_file_is_the_users_own_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "x").touch(0o644)
    drafts.put(tmp_path / "x", b"", private=True)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


@pytest.mark.parametrize("way", ["put", "drafts"])
def test_links_that_go_in_circles_or_nowhere_are_left_alone(way: str, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    (tmp_path / "lost").symlink_to("no/folder")

    def write(path: Path) -> None:
        if way == "put":
            drafts.put(path, b"after")
        else:
            with drafts.drafts(force=True) as made:
                made.new(path).write_bytes(b"after")

    for name in ("one", "lost"):
        with pytest.raises((OSError, StorageError)):
            write(tmp_path / name)
    assert {path.name: os.readlink(path) for path in tmp_path.iterdir()} == {
        "one": "other", "other": "one", "lost": "no/folder",
    }  # fmt: skip

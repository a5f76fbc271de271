"""Manages the file of a recording: drafted, published, followed when renamed, and closed."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bntui.errors import StorageError
from bntui.recording.draft import BESIDE, Draft, Node, name_taken, node_of
from bntui.text.language import _
from bntui.text.library_messages import reason, told

NETWORK_FILE_SYSTEMS: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "lustre")


def file_system(path: Path) -> str:
    """Type of the file system that holds ``path``, as the kernel names it; empty where it does not say."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    folder = path.resolve().parent
    points = [(mount.split()[1], mount.split()[2]) for mount in mounts]
    inside = [(point, kind) for point, kind in points if folder.is_relative_to(point)]
    return max(inside, key=lambda entry: len(entry[0]), default=("", ""))[1]


def on_network(path: Path) -> bool:
    """Whether other machines may have a file open, too: neither shared memory nor its locks can be relied on."""
    return file_system(path) in NETWORK_FILE_SYSTEMS


class WritableFile:
    """A connection that writes, and what lies beside its file; see :meth:`draft` and :meth:`open`."""

    def __init__(self, path: Path, draft: Draft | None = None) -> None:
        self.path = path
        self._draft = draft
        self._journals: dict[Path, Node] = {}
        """Files beside the recording that are ours."""
        with self._storage():
            self.db = sqlite3.connect(path if draft is None else draft.path, isolation_level=None)

    @classmethod
    def open(cls, path: Path) -> WritableFile:
        """A recording that is there.

        Raises:
            StorageError: it is read-only, or the disk is full.
        """
        file = cls(path)
        file._begin()
        return file

    @classmethod
    def draft(cls, path: Path) -> WritableFile:
        """An empty file with a temporary name in the folder of ``path``; :meth:`publish` gives it its own.

        Raises:
            NameTakenError: there is a file of that name already.
            StorageError: the disk is full, the folder is missing or read-only.
        """
        if os.path.lexists(path):
            raise name_taken(path)
        draft = Draft(path, lock=not on_network(path))
        try:
            file = cls(path, draft)
            with file._storage():
                file.db.execute("PRAGMA page_size = 4096")
                # nobody reads it yet, and after a crash nobody wants it: no journal beside it, no wait for the disk
                file.db.execute("PRAGMA journal_mode = MEMORY")
                file.db.execute("PRAGMA synchronous = OFF")
        except BaseException:
            draft.discard()
            raise
        return file

    def publish(self, path: Path) -> None:
        """Give a draft its name, with all that it holds; it stays locked until it is closed.

        Raises:
            NameTakenError: the name is taken; another one may be tried.
            StorageError: the disk is full, or the file system refuses.
        """
        assert self._draft is not None
        self.db.close()
        self._draft.publish(path)
        self._reopen(path)

    def follow(self, path: Path) -> None:
        """Continue under another name; what was committed is all in that one file first.

        Raises:
            StorageError: readers are in the way, or the disk is full; nothing is changed, and it can be tried again.
        """
        self._fold_in()
        self.db.close()
        self._remove_journals()
        self._reopen(path)

    def leave(self) -> None:
        """Close a file that is not where it was; nothing of it stays there."""
        with suppress(StorageError):
            self._fold_in()
        self.abandon()
        self._remove_journals()

    def _fold_in(self) -> None:
        with self._storage():
            busy, frames, folded = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy and frames != folded:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    def _remove_journals(self) -> None:
        """SQLite does not remove the journals of a file that was moved, and they would ruin another one of its name."""
        for journal, node in self._journals.items():
            if node_of(journal) == node:
                journal.unlink(missing_ok=True)
        self._journals = {}

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self.db.close()
        if self._draft is not None:
            self._draft.close()
            self._draft = None

    def discard(self) -> None:
        """Remove what was begun as a draft."""
        self.db.close()
        if self._draft is not None:
            self._draft.discard()
            self._draft = None
        self._remove_journals()

    def close(self) -> None:
        """Fold the journal in, so that the recording is one file that can be copied and lies on any media.

        A reader that holds the file open keeps that from happening; it is asked to let go by the trainer's
        last message, hence the patience.  Where it stays, the file remains a valid recording with a journal.
        """
        with self._storage():
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for _attempt in range(20):
                try:
                    self.db.execute("PRAGMA journal_mode = DELETE")
                    break
                except sqlite3.OperationalError:
                    time.sleep(0.1)
        self.abandon()

    @contextmanager
    def changing(self, *, intact: bool) -> Iterator[None]:
        """A transaction, or the part of one that is under way; ``intact`` says that something was recorded before."""
        with self._storage(intact=intact):
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite has rolled back by itself where the disk was full
                    self.db.execute("ROLLBACK")
                raise

    def _reopen(self, path: Path) -> None:
        self.path = path
        with self._storage():
            self.db = sqlite3.connect(path, isolation_level=None)
        self._begin()

    def _begin(self) -> None:
        try:
            with self._storage():
                # readers of a WAL share memory with the writer, which a network cannot do
                self.db.execute(f"PRAGMA journal_mode = {'DELETE' if on_network(self.path) else 'WAL'}")
                self.db.execute("PRAGMA synchronous = NORMAL")
                self.db.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB: each time the disk is waited for
                self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # SQLite makes its files by now
        except BaseException:
            self.db.close()
            raise
        beside = [self.path.with_name(self.path.name + ending) for ending in BESIDE]
        self._journals = {journal: node for journal in beside if (node := node_of(journal)) is not None}

    @contextmanager
    def _storage(self, *, intact: bool = False) -> Iterator[None]:
        """What the disk refuses, said in a sentence."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED:
                sentence = _("{path} was moved or deleted during training; training stopped")
                raise StorageError(sentence.format(path=self.path)) from error
            words = reason(error) if isinstance(error, OSError) else told(str(error))
            sentence = _("cannot write the recording {path}: {reason}").format(path=self.path, reason=words)
            after = _("everything recorded before is intact")
            raise StorageError(f"{sentence}; {after}" if intact else sentence) from error

"""Manages the file of a recording: creates it as a draft, publishes it, follows a rename, and closes it."""

from __future__ import annotations

import errno
import os
import re
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

MOUNTS: Final = Path("/proc/mounts")
"""What the kernel says of mounted file systems: one a line, those that were mounted first before others."""
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        *("nfs", "nfs4", "fuse.nfs", "cifs", "smb", "smb2", "smb3", "smbfs", "fuse.smb3", "fuse.smbnetfs"),
        *("fuse.sshfs", "9p", "virtiofs", "afs", "openafs", "auristorfs", "coda", "ceph", "fuse.ceph", "cephfs"),
        *("fuse.ceph-fuse", "lustre", "beegfs", "fhgfs", "gpfs", "mmfs", "glusterfs", "fuse.glusterfs", "pvfs2"),
        *(
            "orangefs",
            "panfs",
            "wekafs",
            "ocfs2",
            "gfs2",
            "moosefs",
            "fuse.moosefs",
            "mfs",
            "fuse.mfs",
            "fuse.lizardfs",
        ),
        *("fuse.juicefs", "juicefs", "fuse.s3fs", "fuse.goofys", "fuse.rclone", "fuse.gcsfuse", "fuse.blobfuse"),
        *("fuse.blobfuse2", "fuse.mount-s3", "davfs", "fuse.davfs2", "ncpfs", "vboxsf", "prl_fs", "fuse.vmhgfs-fuse"),
        *("vmhgfs", "fuse.hdfs", "cvfs", "fuse.daos"),
    }
)
"""Types as the kernel names them: of network and cluster file systems, and of folders shared with a virtual machine."""


def file_system(path: Path) -> str:
    """The kernel's name for the type of file system that contains ``path``; empty if unknown."""
    try:
        mounts = MOUNTS.read_bytes().splitlines()
    except OSError:
        return ""
    folder, found = path.resolve().parent, ("", "")
    for mount in mounts:
        _device, point, kind, *_options = mount.split(b" ")
        # the kernel writes spaces and line breaks as octal numbers
        place = os.fsdecode(re.sub(rb"\\(\d{3})", lambda code: bytes([int(code[1], 8)]), point))
        if folder.is_relative_to(place) and len(place) >= len(found[0]):  # the later of two covers the other
            found = place, kind.decode()
    return found[1]


def on_network(path: Path) -> bool:
    """True if other machines may have the file open, so that neither shared memory nor file locks are reliable."""
    return file_system(path) in NETWORK_FILE_SYSTEMS


def _connected(path: Path) -> sqlite3.Connection:
    """A writing connection; callbacks of some libraries write from another thread than the one that opened it."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


class WritableFile:
    """A writing connection and the files that belong to it; created with :meth:`draft` or :meth:`open`."""

    def __init__(self, path: Path, draft: Draft | None = None) -> None:
        self.path = path
        self._draft = draft
        self._journals: dict[Path, Node] = {}
        """SQLite's files for this recording, each with its device and inode."""
        with self._storage():
            self.db = _connected(path if draft is None else draft.path)

    @classmethod
    def open(cls, path: Path) -> WritableFile:
        """Open an existing recording for writing.

        Raises:
            StorageError: the recording is read-only, or the disk is full.
        """
        file = cls(path)
        file._begin()
        return file

    @classmethod
    def draft(cls, path: Path) -> WritableFile:
        """Create an empty file with a temporary name in the folder of ``path``; :meth:`publish` renames it.

        Raises:
            NameTakenError: a file named ``path`` already exists.
            StorageError: the disk is full, or the folder is missing or read-only.
        """
        if os.path.lexists(path):
            raise name_taken(path)
        draft = Draft(path, lock=not on_network(path))
        try:
            file = cls(path, draft)
            with file._storage():
                file.db.execute("PRAGMA page_size = 4096")
                # a draft has no readers and is worthless after a crash: it needs no journal on disk and no fsync
                file.db.execute("PRAGMA journal_mode = MEMORY")
                file.db.execute("PRAGMA synchronous = OFF")
        except BaseException:
            draft.discard()
            raise
        return file

    def publish(self, path: Path) -> None:
        """Give a draft its final name; it stays locked until it is closed.

        Raises:
            NameTakenError: the name is in use; the caller may try another one.
            StorageError: the disk is full, or the file system refuses.
        """
        assert self._draft is not None
        self.db.close()
        self._draft.publish(path)
        try:
            self._reopen(path)
        except BaseException:  # nothing is in them yet, and what is left would take the name
            for ending in BESIDE:
                path.with_name(path.name + ending).unlink(missing_ok=True)
            raise

    def follow(self, path: Path) -> None:
        """Continue under the name that the file was moved to, after checkpointing the WAL into the file.

        Raises:
            StorageError: readers block the checkpoint, or the disk is full; nothing has changed, and the caller may
                try again.
        """
        self._fold_in()
        self.db.close()
        self._remove_journals()
        self._reopen(path)

    def leave(self) -> None:
        """Close a file that was moved or deleted, and remove the journals under its old name."""
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
        """Remove the journals of a moved file: SQLite does not, and they would corrupt a new file with that name."""
        for journal, node in self._journals.items():
            if node_of(journal) == node:
                journal.unlink(missing_ok=True)
        self._journals = {}

    def abandon(self) -> None:
        """Close the file as it is."""
        self.db.close()
        if self._draft is not None:
            self._draft.close()
            self._draft = None

    def discard(self) -> None:
        """Close and delete a draft."""
        self.db.close()
        if self._draft is not None:
            self._draft.discard()
            self._draft = None
        self._remove_journals()

    def close(self) -> None:
        """Checkpoint the WAL and close, so that the recording is a single file that can be copied to any media.

        A reader that has the file open prevents this.  The trainer's last message asks readers to close it, hence the
        retries.  If one does not, the file remains a valid recording with a WAL.
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
        """A transaction, or a part of the current one.

        Args:
            intact: the recording has keyframes that an error would leave intact; the message then says so.

        Raises:
            StorageError: the write failed.
        """
        with self._storage(intact=intact):
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self.db.execute("ROLLBACK")
                raise

    def _reopen(self, path: Path) -> None:
        self.path = path
        with self._storage():
            self.db = _connected(path)
        self._begin()

    def _begin(self) -> None:
        try:
            with self._storage():
                # WAL mode shares memory between readers and writer, which does not work over a network
                self.db.execute(f"PRAGMA journal_mode = {'DELETE' if on_network(self.path) else 'WAL'}")
                self.db.execute("PRAGMA synchronous = NORMAL")
                self.db.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB, as every checkpoint waits for the disk
                self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # makes SQLite create its files
        except BaseException:
            self.db.close()
            raise
        beside = [self.path.with_name(self.path.name + ending) for ending in BESIDE]
        self._journals = {journal: node for journal in beside if (node := node_of(journal)) is not None}

    @contextmanager
    def _storage(self, *, intact: bool = False) -> Iterator[None]:
        """Turn errors of the disk into a StorageError."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code == sqlite3.SQLITE_READONLY_DBMOVED:
                sentence = _("{path} was moved or deleted during training; training stopped")
                raise StorageError(sentence.format(path=self.path)) from error
            words = reason(error) if isinstance(error, OSError) else told(str(error))
            if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # what the journal's index cannot have is room
                words = told("database or disk is full")
            if code == sqlite3.SQLITE_IOERR_WRITE:  # SQLite does not tell them apart
                words = _("{reason}, or a quota or ulimit -f is reached").format(reason=words)
            sentence = _("cannot write the recording {path}: {reason}").format(path=self.path, reason=words)
            after = _("everything recorded before is intact")
            raise StorageError(f"{sentence}; {after}" if intact else sentence) from error

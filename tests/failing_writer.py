"""A second process of a recorder in which something fails; see ``test_watch_second_process.py``.

python -m tests.failing_writer, with what fails in the variable ``FAILS``
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from bntui.recording.writer import Writer
from bntui.watching import writer_process


def _broken(*_of: Any, **_named: Any) -> None:
    raise sqlite3.OperationalError("mine")


def _crashed(*_of: Any, **_named: Any) -> None:
    os.kill(os.getpid(), 11)


def _killed(*_of: Any, **_named: Any) -> None:
    os.kill(os.getpid(), 9)


def _full(commit: Any, marker: Path) -> Any:
    """SQLite itself has no room as long as there is a file of that name."""

    def commit_if_there_is_room(self: Writer, *of: Any, **named: Any) -> None:
        pages = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.connection.execute(f"PRAGMA max_page_count = {pages if marker.exists() else 1_000_000}")
        commit(self, *of, **named)

    return commit_if_there_is_room


def main() -> None:
    fails: Any = os.environ["FAILS"]
    if fails == "import":
        sys.exit(1)
    replaced = {"commit": _broken, "crash": _crashed, "kill": _killed}
    setattr(Writer, "commit", replaced[fails] if fails in replaced else _full(Writer.commit, Path(fails)))  # noqa: B010
    writer_process.main()


if __name__ == "__main__":
    main()

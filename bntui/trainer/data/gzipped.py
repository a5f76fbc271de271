"""Opens tables that may be gzipped, as ``pandas.to_csv("t.csv.gz")`` and ``numpy.savetxt("t.txt.gz")`` write them.

They are unpacked while they are read, once more for each pass over the rows.  A first pass finds the size, so that
damage and a file that would fill the memory are found before any row is read.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bntui.errors import DataError
from bntui.files import in_bytes, open_regular
from bntui.text.language import _
from bntui.text.library_messages import told
from bntui.trainer.data.contents import LARGE, MOST_BYTES, check_unpacked

_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 20


@contextmanager
def opened(path: Path) -> Iterator[tuple[io.BufferedReader | gzip.GzipFile, int]]:
    """The bytes of a table, unpacked if its first bytes say that it is gzipped, and their number.

    Raises:
        DataError: the gzip file is damaged, or implausibly large when unpacked.
        OSError: the file cannot be opened, is not a regular file, or is too large.
    """
    with open_regular(path, MOST_BYTES) as raw:
        size = raw.seek(0, io.SEEK_END)
        raw.seek(0)
        packed = raw.read(len(_MAGIC)) == _MAGIC
        raw.seek(0)
        if not packed:
            yield raw, size
            return
        try:
            with gzip.GzipFile(fileobj=raw, mode="rb") as content:
                unpacked = _size(path, content, size)
                content.seek(0)
                yield content, unpacked
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            sentence = _("{path}: damaged or truncated gzip file: {reason}")
            raise DataError(sentence.format(path=path, reason=told(str(error)))) from error


def _size(path: Path, content: gzip.GzipFile, on_disk: int) -> int:
    """The number of unpacked bytes; unpacking ends where a limit is passed."""
    size = 0
    while part := content.read(_CHUNK):
        size += len(part)
        if size > LARGE:
            check_unpacked(path, on_disk, size)
        if size > MOST_BYTES:
            raise DataError(_("{path}: unpacks to more than {limit}").format(path=path, limit=in_bytes(MOST_BYTES)))
    return size

"""Reads and writes the records of an event file: length, contents, and a masked CRC-32C of each.

The format is TensorFlow's TFRecord, described in its ``tensorflow/core/lib/io/record_writer.h``.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL: Final = 0x82F63B78
"""Castagnoli's, with the bits reversed."""
_MASK: Final = 0xA282EAD8
_CHUNK: Final = 1024
"""Bytes that are looked up at once."""
HEAD: Final = struct.Struct("<QI")
"""Length of the contents, and its checksum."""
TAIL: Final = struct.Struct("<I")
"""Checksum of the contents."""


def record(contents: bytes) -> bytes:
    """A record with these contents."""
    length = struct.pack("<Q", len(contents))
    return length + TAIL.pack(masked(crc32c(length))) + contents + TAIL.pack(masked(crc32c(contents)))


def masked(crc: int) -> int:
    """A checksum as it is stored, so that the checksum of data that contains checksums is not a special one."""
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The CRC-32C (RFC 3720, B.4) of some bytes.

    The checksum is linear: each byte contributes what a table says for its distance from the end of a chunk.
    """
    values = np.frombuffer(data, np.uint8)
    tables = _tables()
    state = 0xFFFFFFFF
    for first in range(0, len(values), _CHUNK):
        chunk = values[first : first + _CHUNK]
        size = len(chunk)
        lead = min(size, 4)
        head = np.frombuffer(struct.pack("<I", state), np.uint8)[:lead] ^ chunk[:lead]
        found = tables[np.arange(size - 1, size - 1 - lead, -1), head]
        rest = tables[np.arange(size - 1 - lead, -1, -1), chunk[lead:]]
        state = int(np.bitwise_xor.reduce(found) ^ np.bitwise_xor.reduce(rest)) ^ (state >> 8 * lead)
    return state ^ 0xFFFFFFFF


@cache
def _tables() -> NDArray[np.uint32]:
    """What a byte contributes that is followed by so many others in its chunk, shape ``(_CHUNK, 256)``."""
    single = np.arange(256, dtype=np.uint32)
    for _bit in range(8):
        single = np.where(single & 1, single >> 1 ^ np.uint32(_POLYNOMIAL), single >> 1).astype(np.uint32)
    tables = np.empty((_CHUNK, 256), np.uint32)
    tables[0] = single
    for distance in range(1, _CHUNK):
        before = tables[distance - 1]
        tables[distance] = before >> 8 ^ single[before & 0xFF]
    return tables

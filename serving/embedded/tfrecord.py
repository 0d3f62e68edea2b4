"""Reads TFRecord files without TensorFlow."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from serving.embedded.status import Code, ServingError

_CASTAGNOLI: Final = 0x82F63B78


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)  # noqa: PLW2901
        rows.append(value)
    return tuple(rows)


_CRC_TABLE: Final = _table()


def masked_crc32c(data: bytes) -> int:
    """Returns the masked CRC-32C that TFRecord stores beside lengths and records."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[bytes]:
    """Reads a file of records: length (8 bytes), its CRC (4), data, its CRC (4), little-endian.

    Raises:
        ServingError: DATA_LOSS for a truncated or corrupted record.
    """
    data, offset = path.read_bytes(), 0
    while offset < len(data):
        header = data[offset : offset + 12]
        if len(header) < 12:
            raise _lost(path, offset, "truncated")
        length, length_crc = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) != length_crc:
            raise _lost(path, offset, "corrupted")
        record = data[offset + 12 : offset + 12 + length]
        footer = data[offset + 12 + length : offset + 16 + length]
        if len(footer) < 4:
            raise _lost(path, offset, "truncated")
        if masked_crc32c(record) != struct.unpack("<I", footer)[0]:
            raise _lost(path, offset, "corrupted")
        yield record
        offset += 16 + length


def _lost(path: Path, offset: int, how: str) -> ServingError:
    return ServingError(Code.DATA_LOSS, f"{how} record at {offset} of {path}")

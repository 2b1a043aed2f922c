# SPDX-License-Identifier: Apache-2.0
"""What the lab does to a finished capture file: count it, and take out the machine's name.

It shares no code with genevecap, so that the tests of the samples do not lean on what they test.
Only files that this machine's recorders wrote are met here: its own byte order, whole blocks.
"""

from __future__ import annotations

import gzip
import re
import struct
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_SAMPLE_BYTES = 200_000

_SECTION, _INTERFACE, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 6
_BLOCK_HEADER = struct.Struct("=II")
_OPTION_HEADER = struct.Struct("=HH")
_FIXED_BYTES = {_SECTION: 16, _INTERFACE: 8}
_HARDWARE, _SECTION_SYSTEM, _INTERFACE_SYSTEM = (_SECTION, 2), (_SECTION, 3), (_INTERFACE, 12)

_PCAP_NANOSECONDS = struct.pack("=I", 0xA1B23C4D)
_PCAP_FILE_HEADER_BYTES = 24
_PCAP_RECORD_HEADER = struct.Struct("=IIII")


def read(path: Path) -> bytes:
    """Return a capture's bytes, decompressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def count_packets(data: bytes) -> int:
    """Return the number of packets of a nanosecond pcap or a pcapng; LabError for others."""
    if data[:4] == _PCAP_NANOSECONDS:
        return _count_pcap(data)
    return sum(kind == _ENHANCED_PACKET for kind, _ in _blocks(data))


def without_machine(data: bytes) -> bytes:
    """Return a pcapng without the processor's name and with plain `Linux` as operating system.

    Who records samples need not publish what machine it was; all else stays as recorded.
    """
    return b"".join(_rebuilt(kind, body) for kind, body in _blocks(data))


def update_counts(table: str, counts: dict[str, int]) -> str:
    """Return the README's text with the packet counts of these files put into its table rows."""
    for name, count in counts.items():
        row = re.compile(rf"^(\| `{re.escape(name)}` \|) *\d+ *\|", re.MULTILINE)
        table, found = row.subn(rf"\g<1> {count} |", table)
        if found != 1:
            raise LabError(f"the README of the samples has {found} rows for {name}, not 1")
    return table


def _count_pcap(data: bytes) -> int:
    count, offset = 0, _PCAP_FILE_HEADER_BYTES
    while offset < len(data):
        if offset + _PCAP_RECORD_HEADER.size > len(data):
            raise LabError(f"record {count + 1} at offset {offset}: the file ends in its header")
        _, _, captured_bytes, _ = _PCAP_RECORD_HEADER.unpack_from(data, offset)
        offset += _PCAP_RECORD_HEADER.size + captured_bytes
        count += 1
    if offset != len(data):
        raise LabError(f"record {count} ends at offset {offset}, the file at {len(data)}")
    return count


def _blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (block type, body) of a pcapng."""
    if data[:4] != struct.pack("=I", _SECTION):
        raise LabError(f"not a capture the lab makes: it starts with {data[:4].hex(' ')}")
    offset = 0
    while offset < len(data):
        kind, size_bytes = _BLOCK_HEADER.unpack_from(data, offset)
        block = data[offset : offset + size_bytes]
        if size_bytes < 12 or size_bytes % 4 or block[-4:] != struct.pack("=I", size_bytes):
            raise LabError(f"block {kind:#x} at offset {offset}: bad length {size_bytes}")
        yield kind, block[_BLOCK_HEADER.size : -4]
        offset += size_bytes


def _rebuilt(kind: int, body: bytes) -> bytes:
    fixed_bytes = _FIXED_BYTES.get(kind)
    if fixed_bytes is not None:
        kept = [_option(code, value) for code, value in _cleaned(kind, body[fixed_bytes:])]
        body = body[:fixed_bytes] + b"".join(kept)
    size_bytes = _BLOCK_HEADER.size + len(body) + 4
    return _BLOCK_HEADER.pack(kind, size_bytes) + body + struct.pack("=I", size_bytes)


def _cleaned(kind: int, options: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(options):
        code, size_bytes = _OPTION_HEADER.unpack_from(options, offset)
        offset += _OPTION_HEADER.size
        value = options[offset : offset + size_bytes]
        offset += size_bytes + -size_bytes % 4
        if (kind, code) in (_SECTION_SYSTEM, _INTERFACE_SYSTEM):
            value = b"Linux"
        if (kind, code) != _HARDWARE:
            yield code, value


def _option(code: int, value: bytes) -> bytes:
    return _OPTION_HEADER.pack(code, len(value)) + value + bytes(-len(value) % 4)

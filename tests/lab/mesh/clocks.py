# SPDX-License-Identifier: Apache-2.0
"""Rewrite the time stamps of a capture as a clock would have given them that differs.

Knows the two forms the lab records: classic pcap in nanoseconds and dumpcap's pcapng (enhanced
packet blocks, time stamps in nanoseconds), both little-endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.mesh.scenario import Clock

_NS = 1_000_000_000
_PCAP_NS_MAGIC = struct.pack("<I", 0xA1B23C4D)
_PCAP_HEADER_BYTES = 24
_PCAP_RECORD = struct.Struct("<IIII")
_SECTION, _INTERFACE, _ENHANCED_PACKET, _STATISTICS = 0x0A0D0D0A, 1, 6, 5
_BLOCK = struct.Struct("<II")
_TIME = struct.Struct("<II")
_TIME_OFFSETS = {_ENHANCED_PACKET: 12, _STATISTICS: 12}
"""Both have an interface number first (pcapng, draft-ietf-opsawg-pcapng sections 4.3 and 4.6)."""
_RESOLUTION_OPTION = struct.pack("<HHB", 9, 1, 9)
_OPTION = struct.Struct("<HH")
_STATISTICS_OPTIONS_BYTES = 20
_START_TIME, _END_TIME = 2, 3


def reading(clock: Clock, began_ns: int) -> Callable[[int], int]:
    """Return the function from true time to what `clock` shows; its drift counts from began_ns."""

    def shown(true_ns: int) -> int:
        # Elapsed time in ppm and nanoseconds stays far below 2**53: a float holds it.
        return true_ns + clock.offset_ns + round((true_ns - began_ns) * clock.drift_ppm / 1e6)

    return shown


def rewritten(data: bytes, shown: Callable[[int], int]) -> bytes:
    """Return a capture with every time stamp t replaced by shown(t)."""
    if data[:4] == _PCAP_NS_MAGIC:
        return _rewritten_pcap(data, shown)
    if data[:4] == struct.pack("<I", _SECTION):
        return _rewritten_pcapng(data, shown)
    raise LabError(f"not a capture the lab makes: it starts with {data[:4].hex(' ')}")


def _rewritten_pcap(data: bytes, shown: Callable[[int], int]) -> bytes:
    changed = bytearray(data)
    offset = _PCAP_HEADER_BYTES
    while offset < len(data):
        seconds, nanoseconds, captured_bytes, _ = _PCAP_RECORD.unpack_from(data, offset)
        now_ns = shown(seconds * _NS + nanoseconds)
        _TIME.pack_into(changed, offset, *divmod(now_ns, _NS))
        offset += _PCAP_RECORD.size + captured_bytes
    return bytes(changed)


def _rewritten_pcapng(data: bytes, shown: Callable[[int], int]) -> bytes:
    changed = bytearray(data)
    offset = 0
    while offset < len(data):
        kind, size_bytes = _BLOCK.unpack_from(data, offset)
        if size_bytes < 12 or offset + size_bytes > len(data):
            raise LabError(f"block {kind:#x} at offset {offset}: bad length {size_bytes}")
        if kind == _INTERFACE and _RESOLUTION_OPTION not in data[offset : offset + size_bytes]:
            raise LabError(f"interface at offset {offset}: its time stamps are not in nanoseconds")
        if kind in _TIME_OFFSETS:
            _shift(changed, offset + _TIME_OFFSETS[kind], shown)
        if kind == _STATISTICS:
            _shift_statistics(changed, offset, offset + size_bytes - 4, shown)
        offset += size_bytes
    return bytes(changed)


def _shift(data: bytearray, offset: int, shown: Callable[[int], int]) -> None:
    high, low = _TIME.unpack_from(data, offset)
    now_ns = shown(high << 32 | low)
    _TIME.pack_into(data, offset, now_ns >> 32, now_ns & 0xFFFF_FFFF)


def _shift_statistics(data: bytearray, start: int, end: int, shown: Callable[[int], int]) -> None:
    """Shift the start and end times among a statistics block's options."""
    offset = start + _STATISTICS_OPTIONS_BYTES
    while offset + _OPTION.size <= end:
        code, size_bytes = _OPTION.unpack_from(data, offset)
        if code in (_START_TIME, _END_TIME):
            _shift(data, offset + _OPTION.size, shown)
        offset += _OPTION.size + size_bytes + -size_bytes % 4

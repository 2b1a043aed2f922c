# SPDX-License-Identifier: Apache-2.0
"""Variants of a recorded set that take evidence away: `blanked`, `short` and `headers`.

blanked: the payload of every TCP segment but those of port 15008 is zeroed, so that equal content
says nothing; lengths, times and HBONE's record headers stay.
short: every frame is cut to 96 octets, as `tcpdump -s 96` does.
headers: cut to 68, as old versions of tcpdump did unasked: TCP's headers, and of TLS nothing.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

from genevecap.capture.points import PointTable
from genevecap.capture.reader import Capture
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import DecodedBatch
from genevecap.decode import make_decoder

Change = Callable[[int, bytes], bytes]
"""From a frame number and its octets to the octets that are written."""

HBONE_PORT = 15008
SHORT_BYTES = 96
HEADERS_BYTES = 68

_ENHANCED_PACKET = 6
_EPB = struct.Struct("<IIIIIII")
_PCAP_HEADER_BYTES = 24
_PCAP_RECORD = struct.Struct("<IIII")


def write(source: Path, target: Path, variant: str) -> None:
    """Write a variant of a capture, uncompressed; `variant` is one of those above."""
    octets = source.read_bytes()
    if source.suffix == ".gz":
        octets = gzip.decompress(octets)
    change = {"blanked": _blanked(source), "short": _short, "headers": _headers}[variant]
    if octets[:4] == b"\x0a\x0d\x0d\x0a":
        target.write_bytes(_pcapng(octets, change))
    else:
        target.write_bytes(_pcap(octets, change))


def _short(_frame: int, octets: bytes) -> bytes:
    return octets[:SHORT_BYTES]


def _headers(_frame: int, octets: bytes) -> bytes:
    return octets[:HEADERS_BYTES]


def _blanked(source: Path) -> Change:
    """Return a function that zeroes the payload of frame N."""
    payload = {}
    capture = Capture(CaptureSpec.parse(str(source)), PointTable(), 0)
    decoder, d = make_decoder(), DecodedBatch()
    for frames in capture.batches():
        first = 0
        while first < frames.count:
            first = decoder.decode(frames, first, d)
            for i in range(d.count):
                ports = (d.inner_source_port[i], d.inner_destination_port[i])
                if d.tcp_flags[i] and HBONE_PORT not in ports and d.payload_bytes[i]:
                    begin = d.payload_offset[i]
                    payload[frames.frame[d.first + i]] = (begin, begin + d.payload_bytes[i])

    def blank(frame: int, octets: bytes) -> bytes:
        begin, end = payload.get(frame, (0, 0))
        end = min(end, len(octets))
        return octets[:begin] + bytes(max(end - begin, 0)) + octets[max(begin, end) :]

    return blank


def _pcapng(octets: bytes, change: Change) -> bytes:
    """Change the frames of a little-endian pcapng file whose packets are enhanced packet blocks."""
    parts, place, frame = [], 0, 0
    while place < len(octets):
        kind, length = struct.unpack_from("<II", octets, place)
        block = octets[place : place + length]
        place += length
        if kind != _ENHANCED_PACKET:
            parts.append(block)
            continue
        frame += 1
        _, _, interface, high, low, captured, original = _EPB.unpack_from(block)
        data = change(frame, block[_EPB.size : _EPB.size + captured])
        body = data + bytes(-len(data) % 4)
        size = _EPB.size + len(body) + 4
        head = _EPB.pack(kind, size, interface, high, low, len(data), original)
        parts.append(head + body + struct.pack("<I", size))
    return b"".join(parts)


def _pcap(octets: bytes, change: Change) -> bytes:
    parts, place, frame = [octets[:_PCAP_HEADER_BYTES]], _PCAP_HEADER_BYTES, 0
    while place + _PCAP_RECORD.size <= len(octets):
        frame += 1
        seconds, fraction, captured, original = _PCAP_RECORD.unpack_from(octets, place)
        place += _PCAP_RECORD.size
        data = change(frame, octets[place : place + captured])
        place += captured
        parts.append(_PCAP_RECORD.pack(seconds, fraction, len(data), original) + data)
    return b"".join(parts)

# SPDX-License-Identifier: Apache-2.0
"""Reading recorded pcapng files block by block, and writing some of their blocks again.

It shares no code with genevecap, so that the samples stay an independent witness. Only what the
recorded sets hold is read: one little-endian section of dumpcap's, Ethernet, nanoseconds, IPv4,
TCP bare or inside VXLAN on port 4789. Anything else of a block is an error, not a guess; a frame
that is not TCP over IPv4 is left out of every cut.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tests.lab import samplefiles
from tests.lab.namespaces import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECTION, INTERFACE, STATISTICS, ENHANCED_PACKET = 0x0A0D0D0A, 1, 5, 6
SECRETS = 0x0A
_TLS_KEY_LOG = 0x544C534B

_BLOCK_HEADER = struct.Struct("<II")
_TRAILER_BYTES = 4
_PACKET_HEADER = struct.Struct("<IIIII")
_OPTION_HEADER = struct.Struct("<HH")
_LITTLE_ENDIAN = struct.pack("<I", 0x1A2B3C4D)
_LINK_ETHERNET, _LINK_OFFSET, _INTERFACE_OPTIONS_OFFSET = 1, 8, 16
_IF_NAME, _IF_TSRESOL, _NANOSECONDS = 2, 9, b"\x09"

_ETHERNET_BYTES, _ETHERTYPE_OFFSET, _IPV4 = 14, 12, b"\x08\x00"
_VXLAN_PORT, _UDP_BYTES, _VXLAN_BYTES = 4789, 8, 8
_PROTOCOL_OFFSET, _SOURCE_OFFSET, _DESTINATION_OFFSET = 9, 12, 16
_FRAGMENT_OFFSET, _FRAGMENT_MASK = 6, 0x1FFF
_TCP, _UDP = 6, 17
_PORTS = struct.Struct(">HH")
_TCP_HEADER = struct.Struct(">HHIIBB")
_FLAG_SYN, _FLAG_ACK = 0x02, 0x10

Pair = tuple[str, str]
"""The two ends `ip:port` of a TCP connection, sorted: both directions have the same pair."""


class Segment(NamedTuple):
    """What a frame tells about the innermost TCP segment in it."""

    source: str
    destination: str
    sequence: int
    opens: bool
    """SYN without ACK."""
    payload: bytes

    @property
    def pair(self) -> Pair:
        """The connection it belongs to."""
        return pair(self.source, self.destination)


@dataclass(frozen=True)
class Block:
    """One block of a file, as recorded; the last three are None where it holds no packet."""

    kind: int
    octets: bytes
    interface: str | None = None
    time_ns: int | None = None
    segment: Segment | None = None


def pair(one: str, other: str) -> Pair:
    """Return the pair of two ends, in either order."""
    return (one, other) if one < other else (other, one)


def read_blocks(path: Path) -> list[Block]:
    """Return all blocks of a pcapng, `.gz` or not; LabError where it is of another kind."""
    try:
        return list(_blocks(samplefiles.read(path)))
    except (struct.error, IndexError, KeyError, LabError) as error:
        raise LabError(f"{path.name}: {error}") from error


def secrets_block(key_log: str) -> bytes:
    """Return a Decryption Secrets Block that holds this TLS key log."""
    secret = key_log.encode("ascii")
    body = struct.pack("<II", _TLS_KEY_LOG, len(secret)) + secret + bytes(-len(secret) % 4)
    size_bytes = _BLOCK_HEADER.size + len(body) + _TRAILER_BYTES
    return _BLOCK_HEADER.pack(SECRETS, size_bytes) + body + struct.pack("<I", size_bytes)


def _blocks(data: bytes) -> Iterator[Block]:
    interfaces: list[str] = []
    offset = 0
    while offset < len(data):
        kind, size_bytes = _BLOCK_HEADER.unpack_from(data, offset)
        octets = data[offset : offset + size_bytes]
        if size_bytes < 12 or size_bytes % 4 or octets[-4:] != struct.pack("<I", size_bytes):
            raise LabError(f"block {kind:#x} at offset {offset}: bad length {size_bytes}")
        if (kind == SECTION) != (offset == 0) or (
            kind == SECTION and octets[_BLOCK_HEADER.size :][:4] != _LITTLE_ENDIAN
        ):
            raise LabError(f"block {kind:#x} at offset {offset}: not one little-endian section")
        if kind == INTERFACE:
            interfaces.append(_interface_name(octets))
        yield _packet(octets, interfaces) if kind == ENHANCED_PACKET else Block(kind, octets)
        offset += size_bytes


def _interface_name(octets: bytes) -> str:
    options = dict(_options(octets[_INTERFACE_OPTIONS_OFFSET:-_TRAILER_BYTES]))
    (link_type,) = struct.unpack_from("<H", octets, _LINK_OFFSET)
    if link_type != _LINK_ETHERNET or options.get(_IF_TSRESOL) != _NANOSECONDS:
        raise LabError(f"an interface of link type {link_type} or without nanoseconds")
    return options[_IF_NAME].decode("ascii")


def _options(octets: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(octets):
        code, size_bytes = _OPTION_HEADER.unpack_from(octets, offset)
        offset += _OPTION_HEADER.size
        yield code, octets[offset : offset + size_bytes]
        offset += size_bytes + -size_bytes % 4


def _packet(octets: bytes, interfaces: list[str]) -> Block:
    number, high, low, captured_bytes, wire_bytes = _PACKET_HEADER.unpack_from(
        octets, _BLOCK_HEADER.size
    )
    if captured_bytes != wire_bytes:
        raise LabError(f"a packet of {wire_bytes} bytes was cut to {captured_bytes}")
    start = _BLOCK_HEADER.size + _PACKET_HEADER.size
    frame = octets[start : start + captured_bytes]
    return Block(
        ENHANCED_PACKET, octets, interfaces[number], high << 32 | low, _segment_of_frame(frame)
    )


def _segment_of_frame(frame: bytes) -> Segment | None:
    if frame[_ETHERTYPE_OFFSET:_ETHERNET_BYTES] != _IPV4:
        return None
    packet = frame[_ETHERNET_BYTES:]
    header_bytes = (packet[0] & 0x0F) * 4
    (fragment,) = struct.unpack_from(">H", packet, _FRAGMENT_OFFSET)
    if fragment & _FRAGMENT_MASK:
        return None
    if packet[_PROTOCOL_OFFSET] == _TCP:
        return _segment(packet, header_bytes)
    if packet[_PROTOCOL_OFFSET] == _UDP:
        _, port = _PORTS.unpack_from(packet, header_bytes)
        if port == _VXLAN_PORT:
            return _segment_of_frame(packet[header_bytes + _UDP_BYTES + _VXLAN_BYTES :])
    return None


def _segment(packet: bytes, header_bytes: int) -> Segment:
    source_port, destination_port, sequence, _, size, flags = _TCP_HEADER.unpack_from(
        packet, header_bytes
    )
    # Frames are padded on the wire: the packet's own length counts. It is 0 in none of the sets.
    (packet_bytes,) = struct.unpack_from(">H", packet, 2)
    return Segment(
        f"{_address(packet, _SOURCE_OFFSET)}:{source_port}",
        f"{_address(packet, _DESTINATION_OFFSET)}:{destination_port}",
        sequence,
        flags & (_FLAG_SYN | _FLAG_ACK) == _FLAG_SYN,
        packet[header_bytes + (size >> 4) * 4 : packet_bytes],
    )


def _address(packet: bytes, offset: int) -> str:
    return ".".join(str(octet) for octet in packet[offset : offset + 4])

# SPDX-License-Identifier: Apache-2.0
"""A private capture file that tshark reads HBONE from: one TLS record a packet, nothing else.

tshark's own reassembly of TCP has limits (segments out of order, repeated, merged by offloads, a
port that is used again), and none of them matters here: every packet is a whole TLS record on raw
IPv4, every connection has addresses of its own, and the order is that of the captures.  Times and
checksums are real.  Where each packet comes from is kept beside it.

The file, and the keys, are in a folder that only this user may enter, and go with it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ...ambient import HBONE_PORT
from .recording import TlsRecord

_NANOSECOND_MAGIC = 0xA1B23C4D
_RAW_IP = 101
"""LINKTYPE_RAW."""
_SNAPLEN = 1 << 18
_IP_BYTES, _TCP_BYTES = 20, 20
_SYN, _SYN_ACK, _PSH_ACK = 0x02, 0x12, 0x18
_WINDOW = 0xFFFF
_CLIENT_NET = 10 << 24
_CLIENT_PORT = 49152
_SERVER = bytes((192, 0, 2, 1))
"""TEST-NET-1 (RFC 5737)."""
_FIELDS = 7


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a packet of the file comes from."""

    connection: int
    """The number given to `Container.add`."""
    upward: bool
    record_type: int
    record_bytes: int
    """Without its header; 0 of the packets that open a connection."""
    record_offset: int
    """Of its first octet in its direction."""
    time_ns: int
    frame: int


@dataclass(slots=True)
class Container:
    """The capture file while it is written, and what its packets are."""

    file: BinaryIO
    size_bytes: int = 0
    _origins: array[int] = field(default_factory=lambda: array("q"))
    _connections: int = 0

    def __post_init__(self) -> None:
        self._write(struct.pack("<IHHiIII", _NANOSECOND_MAGIC, 2, 4, 0, 0, _SNAPLEN, _RAW_IP))

    @property
    def packets(self) -> int:
        """Packets so far."""
        return len(self._origins) // _FIELDS

    def add(self, connection: int, records: Iterable[TlsRecord], *, limit_bytes: int) -> bool:
        """Write one connection; return False where it was ended at `limit_bytes`.

        connection: any number to know it by.
        """
        self._connections += 1
        client = (_CLIENT_NET + self._connections).to_bytes(4)
        sequences = [0, 0]
        written = 0
        opened = False
        for record in records:
            if not opened:
                opened = True
                for upward, flags in ((True, _SYN), (False, _SYN_ACK)):
                    self._packet(client, upward, sequences, flags, b"", record.time_ns)
                    self._note(connection, upward, b"", record)
            if written + len(record.octets) > limit_bytes:
                return False
            written += len(record.octets)
            self._packet(client, record.upward, sequences, _PSH_ACK, record.octets, record.time_ns)
            self._note(connection, record.upward, record.octets, record)
        return True

    def origin(self, packet: int) -> Origin:
        """Return where a packet comes from; packet: its number in the file, from 1."""
        at = (packet - 1) * _FIELDS
        connection, upward, *rest = self._origins[at : at + _FIELDS]
        return Origin(connection, bool(upward), *rest)

    def _note(self, connection: int, upward: bool, octets: bytes, record: TlsRecord) -> None:
        kind, size = (octets[0], len(octets) - 5) if octets else (0, 0)
        self._origins.extend(
            (connection, upward, kind, size, record.offset, record.time_ns, record.frame)
        )

    def _packet(
        self,
        client: bytes,
        upward: bool,
        sequences: list[int],
        flags: int,
        payload: bytes,
        time_ns: int,
    ) -> None:
        source, destination, ports = client, _SERVER, (_CLIENT_PORT, HBONE_PORT)
        if not upward:
            source, destination, ports = destination, source, ports[::-1]
        acknowledgment = sequences[not upward] if flags != _SYN else 0
        tcp = struct.pack(
            ">HHIIBBHHH",
            *ports,
            sequences[upward] % (1 << 32),
            acknowledgment % (1 << 32),
            _TCP_BYTES // 4 << 4,
            flags,
            _WINDOW,
            0,
            0,
        )
        size = len(tcp) + len(payload)
        pseudo = source + destination + struct.pack(">HH", 6, size)
        tcp = tcp[:16] + checksum(pseudo + tcp + payload) + tcp[18:]
        ip = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, _IP_BYTES + size, 0, 0x4000, 64, 6, 0, source, destination
        )
        ip = ip[:10] + checksum(ip) + ip[12:]
        packet = ip + tcp + payload
        seconds, nanoseconds = divmod(time_ns, 10**9)
        header = struct.pack("<IIII", seconds % (1 << 32), nanoseconds, len(packet), len(packet))
        self._write(header + packet)
        sequences[upward] += len(payload) + (flags != _PSH_ACK)

    def _write(self, octets: bytes) -> None:
        self.file.write(octets)
        self.size_bytes += len(octets)


def checksum(octets: bytes) -> bytes:
    """Return the Internet checksum (RFC 1071) of octets whose checksum field is 0."""
    padded = octets + bytes(len(octets) & 1)
    # One's complement addition of 16-bit words is arithmetic modulo 2**16 - 1.
    return (0xFFFF - int.from_bytes(padded) % 0xFFFF).to_bytes(2)


def write_private(path: Path, octets: bytes) -> None:
    """Write a file that nobody else may read."""
    with private(path) as file:
        file.write(octets)


def private(path: Path) -> BinaryIO:
    """Open a new file for writing that nobody else may read; OSError where it is there already."""
    path.touch(mode=0o600, exist_ok=False)
    return path.open("wb")

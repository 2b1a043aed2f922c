# SPDX-License-Identifier: Apache-2.0
"""Writes pcap and pcapng in every variant, right or wrong on purpose; knows nothing of genevecap.

Everything returns octets; a capture is their concatenation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MICROSECONDS = 0xA1B2C3D4
NANOSECONDS = 0xA1B23C4D
KUZNETZOV = 0xA1B2CD34

ETHERNET = 1
SLL2 = 276

SECTION_HEADER = 0x0A0D0D0A
OPT_COMMENT = 1


# --- pcap --------------------------------------------------------------------------------------


def pcap_header(
    *,
    order: str = "<",
    magic: int = MICROSECONDS,
    version: tuple[int, int] = (2, 4),
    zone: int = 0,
    accuracy: int = 0,
    snaplen: int = 262144,
    link: int = ETHERNET,
) -> bytes:
    """The 24 octets that a pcap file begins with; `order` is `<` or `>`."""
    return struct.pack(order + "IHHiIII", magic, *version, zone, accuracy, snaplen, link)


def pcap_record(
    data: bytes = b"",
    *,
    order: str = "<",
    seconds: int = 0,
    fraction: int = 0,
    captured: int | None = None,
    original: int | None = None,
    swapped: bool = False,
    kuznetzov: bool = False,
) -> bytes:
    """One record; `swapped` writes the two lengths the other way round, as old writers did."""
    lengths = [
        len(data) if captured is None else captured,
        len(data) if original is None else original,
    ]
    if swapped:
        lengths.reverse()
    extra = struct.pack(order + "IHBB", 3, 0x0800, 4, 0) if kuznetzov else b""
    return struct.pack(order + "IIII", seconds, fraction, *lengths) + extra + data


def pcap(*packets: bytes, **header) -> bytes:
    """A whole file of ordinary records, one second apart."""
    order = header.get("order", "<")
    records = (
        pcap_record(data, order=order, seconds=i, kuznetzov=header.get("magic") == KUZNETZOV)
        for i, data in enumerate(packets, 1)
    )
    return pcap_header(**header) + b"".join(records)


# --- pcapng ------------------------------------------------------------------------------------


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@dataclass(frozen=True)
class Pcapng:
    """Writes blocks in one byte order."""

    order: str = "<"

    def pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.order + layout, *values)

    def option(self, code: int, value: bytes) -> bytes:
        return self.pack("HH", code, len(value)) + padded(value)

    def options(self, *options: tuple[int, bytes], end: bool = True) -> bytes:
        """An option list, ended as the format asks for."""
        written = b"".join(self.option(code, value) for code, value in options)
        return written + self.pack("HH", 0, 0) if written and end else written

    def block(
        self, kind: int, body: bytes, *, length: int | None = None, trailer: int | None = None
    ) -> bytes:
        """A block; `length` and `trailer` replace what would be right."""
        body = padded(body)
        right = 12 + len(body) if length is None else length
        return (
            self.pack("II", kind, right)
            + body
            + self.pack("I", right if trailer is None else trailer)
        )

    def section(
        self,
        *options: tuple[int, bytes],
        version: tuple[int, int] = (1, 0),
        magic: int = 0x1A2B3C4D,
        length: int = -1,
    ) -> bytes:
        body = self.pack("IHHq", magic, *version, length) + self.options(*options)
        return self.block(SECTION_HEADER, body)

    def interface(
        self,
        *options: tuple[int, bytes],
        link: int = ETHERNET,
        snaplen: int = 0,
        name: str | None = None,
        resolution: int | None = None,
        offset_s: int | None = None,
    ) -> bytes:
        known = []
        if name is not None:
            known.append((2, name.encode()))
        if resolution is not None:
            known.append((9, bytes((resolution,))))
        if offset_s is not None:
            known.append((14, self.pack("q", offset_s)))
        return self.block(1, self.pack("HHI", link, 0, snaplen) + self.options(*known, *options))

    def packet(
        self,
        data: bytes = b"",
        *options: tuple[int, bytes],
        interface: int = 0,
        units: int = 0,
        captured: int | None = None,
        original: int | None = None,
    ) -> bytes:
        """An enhanced packet block."""
        lengths = (
            len(data) if captured is None else captured,
            len(data) if original is None else original,
        )
        head = self.pack("IIIII", interface, units >> 32, units & 0xFFFFFFFF, *lengths)
        return self.block(6, head + padded(data) + self.options(*options))

    def simple(self, data: bytes, *, original: int | None = None) -> bytes:
        """A simple packet block."""
        length = len(data) if original is None else original
        return self.block(3, self.pack("I", length) + data)

    def obsolete(
        self,
        data: bytes,
        *options: tuple[int, bytes],
        interface: int = 0,
        drops: int = 0xFFFF,
        units: int = 0,
        original: int | None = None,
    ) -> bytes:
        """A packet block as it was before the enhanced one."""
        length = len(data) if original is None else original
        head = self.pack(
            "HHIIII", interface, drops, units >> 32, units & 0xFFFFFFFF, len(data), length
        )
        return self.block(2, head + padded(data) + self.options(*options))

    def statistics(
        self,
        *options: tuple[int, bytes],
        interface: int = 0,
        ifdrop: int | None = None,
        osdrop: int | None = None,
        comment: str | None = None,
    ) -> bytes:
        known = []
        if comment is not None:
            known.append((OPT_COMMENT, comment.encode()))
        if ifdrop is not None:
            known.append((5, self.pack("Q", ifdrop)))
        if osdrop is not None:
            known.append((7, self.pack("Q", osdrop)))
        return self.block(5, self.pack("III", interface, 0, 0) + self.options(*known, *options))

    def names(self, *records: tuple[bytes, str]) -> bytes:
        """A name resolution block of (4 or 16 octets of address, name)."""
        body = b"".join(
            self.option(1 if len(address) == 4 else 2, address + name.encode() + b"\0")
            for address, name in records
        )
        return self.block(4, body + self.pack("HH", 0, 0))

    def secrets(self, data: bytes, *, kind: int = 0x544C534B) -> bytes:
        return self.block(10, self.pack("II", kind, len(data)) + data)

    def custom(self, data: bytes = b"", *, copied: bool = True, enterprise: int = 32473) -> bytes:
        return self.block(0xBAD if copied else 0x40000BAD, self.pack("I", enterprise) + data)

    def journal(self, text: bytes = b"__REALTIME_TIMESTAMP=1\nMESSAGE=hello\n") -> bytes:
        return self.block(9, text)


LITTLE = Pcapng("<")
BIG = Pcapng(">")

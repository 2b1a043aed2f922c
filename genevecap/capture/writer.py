# SPDX-License-Identifier: Apache-2.0
"""Captures written: pcapng with comments, or classic pcap; octets in, octets out.

Both writers return what is to be appended to the file, and write no file themselves.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence

from ..columns import NO_TIME
from ..errors import UsageError
from .blocks import (
    BYTE_ORDER_MAGIC,
    DECRYPTION_SECRETS,
    ENHANCED_PACKET,
    IF_NAME,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    ISB_IFDROP,
    OPT_COMMENT,
    SECTION_HEADER,
    SHB_USERAPPL,
    TLS_KEY_LOG,
)

NANOSECONDS = 9
"""if_tsresol: units of 10⁻⁹ s."""

PCAP_NANOSECONDS = 0xA1B23C4D
_SNAPLEN = 262_144
_MOST_OPTION_BYTES = 0xFFFF
_MOST_LINK_TYPE = 0xFFFF
_NS = 10**9


Place = tuple[int, str | None, int]
"""An interface: a number that tells it from others, its name, its link type."""


class CaptureWriter(ABC):
    """What both formats offer; what a format has no place for is no octets, as here."""

    def begin(self, _comments: Sequence[str], _application: str, /) -> bytes:
        """Return what the file begins with; comments are on the capture as a whole."""
        return b""

    def secrets(self, _key_log: bytes, /) -> bytes:
        """Return a TLS key log."""
        return b""

    @abstractmethod
    def packet(
        self,
        place: Place,
        time_ns: int,
        data: bytes,
        wire_bytes: int,
        comments: Sequence[str],
        /,
    ) -> bytes:
        """Return a packet of an interface.

        Raises UsageError where the format has no place for it.
        """

    def dropped(self, _place: Place, _packets: int, /) -> bytes:
        """Return how many packets an interface lost."""
        return b""

    def end(self, _link_type: int, /) -> bytes:
        """Return what the file ends with; link_type: of a file without packets."""
        return b""


class PcapngWriter(CaptureWriter):
    """One section in little-endian order; each interface is described before its first packet."""

    def __init__(self) -> None:
        self._interfaces: dict[tuple[Place, bool], int] = {}

    def begin(self, comments: Sequence[str], application: str, /) -> bytes:
        """See `CaptureWriter`."""
        options = [(OPT_COMMENT, _text(comment)) for comment in comments]
        options.append((SHB_USERAPPL, _text(application)))
        body = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
        return _block(SECTION_HEADER, body + _options(options))

    def secrets(self, key_log: bytes, /) -> bytes:
        """See `CaptureWriter`."""
        return _block(
            DECRYPTION_SECRETS, struct.pack("<II", TLS_KEY_LOG, len(key_log)) + _padded(key_log)
        )

    def packet(
        self,
        place: Place,
        time_ns: int,
        data: bytes,
        wire_bytes: int,
        comments: Sequence[str],
        /,
    ) -> bytes:
        """See `CaptureWriter`; a packet without a time says so in a comment."""
        if time_ns == NO_TIME:
            time_ns, comments = 0, (*comments, "the capture gave no time for this packet")
        early = time_ns < 0
        number, described = self._interface(place, early)
        units = time_ns + _EARLY_OFFSET_S * _NS if early else time_ns
        head = struct.pack(
            "<IIIII", number, units >> 32, units & 0xFFFF_FFFF, len(data), wire_bytes
        )
        options = _options([(OPT_COMMENT, _text(comment)) for comment in comments])
        return described + _block(ENHANCED_PACKET, head + _padded(data) + options)

    def dropped(self, place: Place, packets: int, /) -> bytes:
        """See `CaptureWriter`."""
        number, described = self._interface(place, False)
        body = struct.pack("<III", number, 0, 0)
        options = _options([(ISB_IFDROP, struct.pack("<Q", packets))])
        return described + _block(INTERFACE_STATISTICS, body + options)

    def _interface(self, place: Place, early: bool) -> tuple[int, bytes]:
        """Return the number of an interface, and its description where it is new.

        early: for packets before 1970, whose times are counted from long before.
        Raises UsageError where the format has no place for its link type.
        """
        _, name, link_type = place
        known = self._interfaces.get((place, early))
        if known is not None:
            return known, b""
        if link_type > _MOST_LINK_TYPE:
            raise UsageError(f"pcapng has no link type {link_type}: name the file .pcap")
        number = len(self._interfaces)
        self._interfaces[place, early] = number
        options = [] if name is None else [(IF_NAME, _text(name))]
        options.append((IF_TSRESOL, bytes((NANOSECONDS,))))
        if early:
            options.append((IF_TSOFFSET, struct.pack("<q", -_EARLY_OFFSET_S)))
        body = struct.pack("<HHI", link_type, 0, 0)
        return number, _block(INTERFACE_DESCRIPTION, body + _options(options))


_EARLY_OFFSET_S = 2**63 // _NS + 1
"""Seconds before 1970 that reach back to the first int64 nanosecond."""


class PcapWriter(CaptureWriter):
    """Classic pcap with nanoseconds: one link type, no comments, no names.

    The file header waits for the link type of the first packet.
    """

    def __init__(self) -> None:
        self._link_type: int | None = None

    def packet(
        self,
        place: Place,
        time_ns: int,
        data: bytes,
        wire_bytes: int,
        _comments: Sequence[str],
        /,
    ) -> bytes:
        """See `CaptureWriter`."""
        _, _, link_type = place
        header = b""
        if self._link_type is None:
            self._link_type = link_type
            header = _pcap_header(link_type)
        if link_type != self._link_type:
            raise UsageError(
                f"pcap holds one link type, and this would need {self._link_type} and {link_type}: "
                "name the file .pcapng"
            )
        seconds, fraction = divmod(0 if time_ns == NO_TIME else time_ns, _NS)
        if not 0 <= seconds <= 0xFFFF_FFFF:
            raise UsageError("pcap has no times before 1970 or after 2106: name the file .pcapng")
        return header + struct.pack("<IIII", seconds, fraction, len(data), wire_bytes) + data

    def end(self, link_type: int, /) -> bytes:
        """Return the file header where there was no packet to bring it along."""
        return b"" if self._link_type is not None else _pcap_header(link_type)


def _pcap_header(link_type: int) -> bytes:
    return struct.pack("<IHHiIII", PCAP_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, link_type)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")[:_MOST_OPTION_BYTES]


def _options(options: Sequence[tuple[int, bytes]]) -> bytes:
    written = b"".join(struct.pack("<HH", code, len(v)) + _padded(v) for code, v in options)
    return written + bytes(4) if written else b""


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size

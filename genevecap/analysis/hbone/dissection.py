# SPDX-License-Identifier: Apache-2.0
"""What tshark says of a packet that is one TLS record: whether it opens, and the HTTP/2 in it.

tshark's XML (PDML) names every field and gives its octets in hex, so nothing here depends on how
tshark shows a value.  One `<proto name="http2">` is one HTTP/2 frame, in the packet whose record
ends it.  tshark decodes header compression (RFC 7541) over the whole connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from ...ambient import HBONE_PORT
from ..tshark import TsharkRun

PREFERENCES = {
    "tls.desegment_ssl_records": "TRUE",
    "tls.desegment_ssl_application_data": "TRUE",
    "tls.ignore_ssl_mac_failed": "FALSE",
    "tcp.desegment_tcp_streams": "TRUE",
    "tcp.analyze_sequence_numbers": "TRUE",
    "tcp.check_checksum": "FALSE",
    "tcp.try_heuristic_first": "FALSE",
}
DECODE_AS = {f"tcp.port=={HBONE_PORT}": "tls"}
"""HTTP/2 inside needs no rule: the handshake, which is opened too, says `h2` (RFC 7301)."""
ARGUMENTS = ("-J", "tls http2")
SILENCE_S = 60.0
"""Without a word for so long, tshark is taken to hang."""

_FINISHED = 20
"""Type of a handshake message (RFC 8446 section 4.4.4)."""
DATA, HEADERS, RST_STREAM, CONTINUATION = 0, 1, 3, 9
"""HTTP/2 frame types (RFC 9113 section 6)."""
END_STREAM, END_HEADERS, PADDED = 0x01, 0x04, 0x08
HEADER_BYTES = 9
PREFACE_BYTES = 24
"""What a client begins a connection with (RFC 9113 section 3.4); tshark calls it Magic."""

# What XML 1.0 does not allow, in case tshark lets it through.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Http2Frame:
    """One HTTP/2 frame."""

    type: int | None = None
    """None of the client's preface, which is no frame."""
    stream: int = 0
    flags: int = 0
    length_bytes: int = 0
    """Of its payload, padding included."""
    data: bytes | None = None
    """Content of a DATA frame; None where tshark gives none."""
    pad_bytes: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    error: int | None = None
    """Of a RST_STREAM."""

    @property
    def size_bytes(self) -> int:
        """Octets of the stream that it takes."""
        return PREFACE_BYTES if self.type is None else HEADER_BYTES + self.length_bytes


@dataclass(slots=True)
class Dissected:
    """What tshark says of one packet."""

    number: int = 0
    content_type: int | None = None
    """Of the content of its record; None where that could not be decrypted."""
    certificates_bytes: int | None = None
    """Of a Certificate message (RFC 8446 section 4.4.2), which may hold none; None without it."""
    finished: bool = False
    """Whether there is a Finished message."""
    frames: list[Http2Frame] = field(default_factory=list)
    damaged: bool = False
    """Whether what tshark wrote could not be understood."""


def run_tshark(path: str, *, tshark: str, keylog: str) -> TsharkRun[Dissected]:
    """Return what tshark says of each packet of a container."""
    return TsharkRun(
        path,
        tshark=tshark,
        read_xml=read_packet,
        decode_as=DECODE_AS,
        preferences={**PREFERENCES, "tls.keylog_file": keylog},
        arguments=ARGUMENTS,
        silence_s=SILENCE_S,
    )


def read_packet(xml: bytes) -> Dissected:
    """Return what a `<packet>` element says."""
    try:
        return _Reader().read(xml)
    except expat.ExpatError:
        text = _NOT_XML.sub("", xml.decode("utf-8", "replace"))
    try:
        return _Reader().read(text.encode())
    except expat.ExpatError:
        number = re.search(rb'name="num"[^>]* show="(\d+)"', xml)
        return Dissected(number=int(number[1]) if number else 0, damaged=True)


class _Reader:
    """Gathers the fields that matter from the elements of one packet."""

    def __init__(self) -> None:
        self._packet = Dissected()
        self._frame: Http2Frame | None = None
        self._name = ""

    def read(self, xml: bytes) -> Dissected:
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.Parse(xml, True)
        return self._packet

    def _start(self, element: str, attributes: Mapping[str, str]) -> None:
        name = attributes.get("name", "")
        if element == "proto":
            self._frame = Http2Frame() if name == "http2" else None
            if self._frame is not None:
                self._packet.frames.append(self._frame)
            return
        try:
            if self._frame is not None:
                self._http2(self._frame, name, attributes)
            elif name == "num":
                self._packet.number = int(attributes["show"])
            elif name == "tls.record.content_type":
                # Of a sealed record tshark gives the opaque type first, this one only if it opens.
                self._packet.content_type = int(attributes["show"])
            elif name == "tls.handshake.certificates_length":
                self._packet.certificates_bytes = int(attributes["show"])
            elif name == "tls.handshake.type":
                self._packet.finished |= int(attributes["show"]) == _FINISHED
        except (KeyError, ValueError):
            self._packet.damaged = True

    def _http2(self, frame: Http2Frame, name: str, attributes: Mapping[str, str]) -> None:
        match name:
            case "http2.type":
                frame.type = int(attributes["show"])
            case "http2.streamid":
                frame.stream = int(attributes["show"])
            case "http2.flags":
                frame.flags = int(attributes["show"], 16)
            case "http2.length":
                frame.length_bytes = int(attributes["show"])
            case "http2.pad_length":
                frame.pad_bytes = int(attributes["show"])
            case "http2.data.data":
                frame.data = bytes.fromhex(attributes.get("value", ""))
            case "http2.header.name":
                self._name = _text(attributes)
            case "http2.header.value":
                frame.headers.append((self._name, _text(attributes)))
            case "http2.rst_stream.error":
                frame.error = int(attributes["show"], 0)
            case _:
                pass


def _text(attributes: Mapping[str, str]) -> str:
    return bytes.fromhex(attributes.get("value", "")).decode("utf-8", "backslashreplace")

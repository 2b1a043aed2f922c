# SPDX-License-Identifier: Apache-2.0
"""From HTTP/2 frames to the CONNECT tunnels of a connection, and the HBONE inside a tunnel.

Only streams that a CONNECT request opened are HBONE (istio/ztunnel src/proxy/h2).  Each direction
is read up to the first thing that does not fit (a record that does not open, a frame longer than
what its records hold), and not beyond: what is said of a stream is then marked as not whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...addresses import address_text, endpoint_text, parse_address
from ..results import FrameRef
from .container import Origin
from .dissection import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    Dissected,
    Http2Frame,
)
from .results import (
    ConnectionId,
    DataPiece,
    OnData,
    OpenedConnection,
    OpenedStream,
    Reset,
    StreamId,
)
from .sightings import HELLO_BYTES, client_random

_HANDSHAKE, _APPLICATION_DATA = 22, 23
_SEALED_BYTES = 17
"""What a record is longer than its content: its type and the authentication tag (RFC 8446 5.2)."""
_FOR = re.compile(r'(?:^|[;,])\s*for=("([^"]*)"|[^;,\s"]*)', re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class Tunnel:
    """One stream while it is read."""

    id: StreamId
    headers: dict[str, str]
    connect_ns: int
    connect_frame: FrameRef
    status: int | None = None
    status_ns: int | None = None
    ended_ns: list[int | None] = field(default_factory=lambda: [None, None])
    """By direction: down, up."""
    reset: Reset | None = None
    data_bytes: list[int] = field(default_factory=lambda: [0, 0])
    head: bytearray | None = field(default_factory=bytearray)
    """What the client sent first, while it may still be a ClientHello."""
    inner: InnerSink | None = None


InnerSink = Callable[[bool, int, bytes, int, int], None]
"""Takes octets of an inner connection: upward, offset, octets, time, frame number."""
OpenInner = Callable[[Tunnel, bytes, int], InnerSink | None]
"""Asked for a sink where a tunnel begins with a ClientHello: of which random, and when."""


class ConnectionReader:
    """Makes the streams of one connection out of what tshark says of its packets.

    path: of the capture that frame numbers count in.
    open_inner: asked where a tunnel carries TLS; None where that is not looked into.
    """

    def __init__(
        self,
        identity: ConnectionId,
        *,
        path: str,
        on_data: OnData | None,
        open_inner: OpenInner | None,
    ) -> None:
        self.id = identity
        self.tunnels: dict[int, Tunnel] = {}
        self.troubles: list[str] = []
        self.client_certificate: bool | None = None
        """Whether the client sent one, None where its handshake was not read to its end."""
        self._path = path
        self._on_data = on_data
        self._open_inner = open_inner
        self._broken = [False, False]
        self._opened_bytes = [0, 0]
        self._frame_bytes = [0, 0]
        self._blocks: tuple[list[Http2Frame], list[Http2Frame]] = ([], [])
        """Frames of the header block that each direction is in."""
        self._requests: set[int] = set()
        """Streams that a client's HEADERS opened, CONNECT or not."""

    def break_off(self, reason: str, *, upward: bool) -> None:
        """Read no more of one direction, for this reason."""
        if not self._broken[upward]:
            self._broken[upward] = True
            self.troubles.append(reason)

    def take(self, packet: Dissected, origin: Origin) -> None:
        """Take in one packet."""
        upward = origin.upward
        if self._broken[upward] or origin.record_type != _APPLICATION_DATA:
            return
        end = "client" if upward else "server"
        if packet.damaged:
            self.break_off(f"tshark's words on frame {origin.frame} are damaged", upward=upward)
            return
        if packet.content_type is None:
            self.break_off(
                f"the {end}'s record that ends in frame {origin.frame} does not open with these "
                "keys",
                upward=upward,
            )
            return
        if upward and packet.content_type == _HANDSHAKE and self.client_certificate is None:
            if packet.certificates_bytes is not None:
                self.client_certificate = packet.certificates_bytes > 0
            elif packet.finished:
                self.client_certificate = False
        if packet.content_type == _APPLICATION_DATA:
            self._opened_bytes[upward] += origin.record_bytes - _SEALED_BYTES
        for frame in packet.frames:
            self._frame_bytes[upward] += frame.size_bytes
            if self._frame_bytes[upward] > self._opened_bytes[upward] or not _is_sound(frame):
                self.break_off(
                    f"the {end}'s HTTP/2 frame that ends in frame {origin.frame} contradicts its "
                    "TLS records",
                    upward=upward,
                )
                return
            self._frame(frame, origin)

    def _frame(self, frame: Http2Frame, origin: Origin) -> None:
        if frame.type == DATA:
            self._data(frame, origin)
        elif frame.type in {HEADERS, CONTINUATION}:
            self._headers(frame, origin)
        elif frame.type == RST_STREAM:
            self._reset(frame, origin)

    def _headers(self, frame: Http2Frame, origin: Origin) -> None:
        """Take a HEADERS or CONTINUATION frame in: a block ends with the one that says so."""
        block = self._blocks[origin.upward]
        if frame.type == HEADERS:
            block.clear()
        block.append(frame)
        if frame.flags & END_HEADERS and block[0].type == HEADERS:
            fields = [field for part in block for field in part.headers]
            self._block(block[0], dict(reversed(fields)), origin)

    def _block(self, first: Http2Frame, headers: dict[str, str], origin: Origin) -> None:
        tunnel = self.tunnels.get(first.stream)
        if origin.upward and first.stream not in self._requests:
            self._requests.add(first.stream)
            if headers.get(":method") == "CONNECT":
                tunnel = self.tunnels[first.stream] = Tunnel(
                    id=StreamId(connection=self.id, stream=first.stream),
                    headers=headers,
                    connect_ns=origin.time_ns,
                    connect_frame=FrameRef(capture=self._path, frame=origin.frame),
                )
        if tunnel is None:
            return
        status = headers.get(":status", "")
        if not origin.upward and tunnel.status is None and re.fullmatch("[2-9][0-9]{2}", status):
            tunnel.status, tunnel.status_ns = int(status), origin.time_ns
        if first.flags & END_STREAM:
            self._end(tunnel, origin)

    def _data(self, frame: Http2Frame, origin: Origin) -> None:
        tunnel = self.tunnels.get(frame.stream)
        if tunnel is None:
            return
        upward, payload = origin.upward, frame.data or b""
        offset = tunnel.data_bytes[upward]
        tunnel.data_bytes[upward] += len(payload)
        if payload:
            if self._open_inner is not None:
                self._look_inside(self._open_inner, tunnel, payload, offset, origin)
            if self._on_data is not None:
                self._on_data(
                    DataPiece(
                        stream=tunnel.id,
                        upward=upward,
                        offset=offset,
                        payload=payload,
                        record_offset=origin.record_offset,
                        time_ns=origin.time_ns,
                        frame=FrameRef(capture=self._path, frame=origin.frame),
                    )
                )
        if frame.flags & END_STREAM:
            self._end(tunnel, origin)

    def _look_inside(
        self, open_inner: OpenInner, tunnel: Tunnel, payload: bytes, offset: int, origin: Origin
    ) -> None:
        """Hand a tunnel's octets on where they are TLS that can be opened."""
        if tunnel.inner is None and tunnel.head is not None:
            if not origin.upward:
                tunnel.head = None  # a TLS client speaks first
                return
            before = bytes(tunnel.head)
            tunnel.head += payload[:HELLO_BYTES]
            if len(tunnel.head) < HELLO_BYTES:
                if tunnel.head[0] != 22:
                    tunnel.head = None
                return
            random = client_random(tunnel.head)
            tunnel.head = None
            if random is not None:
                tunnel.inner = open_inner(tunnel, random, origin.time_ns)
            payload, offset = before + payload, 0
        if tunnel.inner is not None:
            tunnel.inner(origin.upward, offset, payload, origin.time_ns, origin.frame)

    def _reset(self, frame: Http2Frame, origin: Origin) -> None:
        tunnel = self.tunnels.get(frame.stream)
        if tunnel is not None and tunnel.reset is None and frame.error is not None:
            tunnel.reset = Reset(code=frame.error, time_ns=origin.time_ns, by_client=origin.upward)

    def _end(self, tunnel: Tunnel, origin: Origin) -> None:
        if tunnel.ended_ns[origin.upward] is None:
            tunnel.ended_ns[origin.upward] = origin.time_ns

    def result(
        self,
        *,
        point: int,
        seen_as: tuple[tuple[str, str], ...],
        inner: Mapping[int, OpenedConnection],
    ) -> OpenedConnection:
        """Return the connection; inner: the connections inside its streams, by stream."""
        for end, upward in (("client", True), ("server", False)):
            left = self._opened_bytes[upward] - self._frame_bytes[upward]
            if left:
                self.break_off(
                    f"{left} octets at the end of what the {end} sent are no whole HTTP/2 frame",
                    upward=upward,
                )
        return OpenedConnection(
            id=self.id,
            point=point,
            streams=tuple(
                self._stream(tunnel, inner.get(stream)) for stream, tunnel in self.tunnels.items()
            ),
            client_certificate=self.client_certificate,
            incomplete=tuple(self.troubles),
            seen_as=seen_as,
        )

    def is_whole(self, tunnel: Tunnel, *, upward: bool) -> bool:
        """Tell whether all of a stream's direction was read, as far as the capture goes."""
        return not self._broken[upward] or tunnel.ended_ns[upward] is not None

    def _stream(self, tunnel: Tunnel, inner: OpenedConnection | None) -> OpenedStream:
        headers = tunnel.headers
        forwarded = headers.get("forwarded")
        return OpenedStream(
            id=tunnel.id,
            authority=headers.get(":authority"),
            forwarded=forwarded,
            forwarded_for=None if forwarded is None else forwarded_for(forwarded),
            traceparent=headers.get("traceparent"),
            baggage=headers.get("baggage"),
            status=tunnel.status,
            connect_ns=tunnel.connect_ns,
            status_ns=tunnel.status_ns,
            end_up_ns=tunnel.ended_ns[True],
            end_down_ns=tunnel.ended_ns[False],
            reset=tunnel.reset,
            up_bytes=tunnel.data_bytes[True],
            down_bytes=tunnel.data_bytes[False],
            up_whole=self.is_whole(tunnel, upward=True),
            down_whole=self.is_whole(tunnel, upward=False),
            connect_frame=tunnel.connect_frame,
            inner=inner,
        )


def _is_sound(frame: Http2Frame) -> bool:
    """Tell whether a DATA frame's content is as long as the frame says."""
    if frame.type != DATA:
        return True
    padding = frame.pad_bytes + 1 if frame.flags & PADDED else 0
    return len(frame.data or b"") + padding == frame.length_bytes


def forwarded_for(value: str) -> str | None:
    """Return `ip:port` of the first `for=` of a Forwarded header, the address where it has no port.

    RFC 7239 section 6; ztunnel up to 1.21 gives an address, from 1.22 with its port.
    """
    match = _FOR.search(value)
    if match is None:
        return None
    node = match[1] if match[2] is None else match[2]
    host, colon, port = node.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = node, ""
    elif not re.fullmatch("[0-9]{1,5}", port) or int(port) > 0xFFFF:
        return None
    try:
        address = parse_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return endpoint_text(address_text(*address), int(port) if port else None)

# SPDX-License-Identifier: Apache-2.0
"""What opening HBONE gives: connections, their streams, and why others stayed closed.

Contents never stand here: DATA is handed to the caller's `on_data` as it is met, and is gone then.
All text is as the capture has it; whoever prints it escapes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..results import FrameRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionId:
    """One HBONE connection: TCP, or TLS inside a stream of another one (double HBONE)."""

    client: str
    """`ip:port`; of an inner connection that of the TCP connection around it."""
    server: str
    client_isn: int | None
    """Sequence number of the client's SYN; None of an inner connection."""
    syn_ns: int
    """Time of the SYN at the point it was opened from; of an inner one, of its first octet."""
    client_random: bytes
    """Of its ClientHello (RFC 8446 section 4.1.2): the same wherever these TLS bytes were seen, so
    it ties an inner connection to the connection that a gateway makes of it."""
    outer: StreamId | None = None
    """The stream that carries it, of an inner connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamId:
    """One HTTP/2 stream of one connection."""

    connection: ConnectionId
    stream: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPiece:
    """The content of one DATA frame of a tunnel; not kept by anything here."""

    stream: StreamId
    upward: bool
    """Whether it goes from the client to the server."""
    offset: int
    """Of its first octet in the stream's direction."""
    payload: bytes
    """Without padding."""
    record_offset: int
    """Where the TLS record that completes it begins, in the direction of the connection."""
    time_ns: int
    """When its last TLS record was complete, at the point that was read."""
    frame: FrameRef
    """The frame that completed it."""


OnData = Callable[[DataPiece], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A RST_STREAM."""

    code: int
    """RFC 9113 section 7."""
    time_ns: int
    by_client: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedStream:
    """One CONNECT tunnel.  Times are those of the frames that complete a TLS record."""

    id: StreamId
    authority: str | None
    forwarded: str | None
    """The header as it stands (RFC 7239)."""
    forwarded_for: str | None
    """`ip:port` of its first `for=` in canonical form; the address alone where it has no port."""
    traceparent: str | None
    baggage: str | None
    status: int | None
    """The answer's, None where there was none."""
    connect_ns: int
    status_ns: int | None
    end_up_ns: int | None
    """When the client ended its direction (END_STREAM)."""
    end_down_ns: int | None
    reset: Reset | None
    """The first one."""
    up_bytes: int
    """Octets of DATA from the client, as far as they could be read."""
    down_bytes: int
    up_whole: bool
    """Whether everything of this direction up to its end, or the end of the capture, was read."""
    down_whole: bool
    connect_frame: FrameRef
    inner: OpenedConnection | None = None
    """The HBONE connection inside, where there is one and its keys are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedConnection:
    """One connection that could be read, whole or up to some place."""

    id: ConnectionId
    point: int
    """Index of the capture point that all of it was read from."""
    streams: tuple[OpenedStream, ...]
    """CONNECT tunnels in the order they were opened."""
    client_certificate: bool | None = None
    """Whether the client sent one; a session that goes on needs none.  None where that was not
    read."""
    incomplete: tuple[str, ...] = ()
    """What keeps it from being read to its end, one sentence each; empty where nothing does."""
    seen_as: tuple[tuple[str, str], ...] = ()
    """Other (client, server) addresses of it, where address translation lies between points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedConnection:
    """One connection that stays closed, and why."""

    client: str
    server: str
    client_isn: int | None
    """None where its SYN is not in the capture."""
    first_ns: int
    point: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HboneReading:
    """All HBONE connections of some captures."""

    opened: tuple[OpenedConnection, ...]
    refused: tuple[RefusedConnection, ...]
    left_out: int = 0
    """Sightings of connections beyond the number that is kept track of."""

# SPDX-License-Identifier: Apache-2.0
"""What HBONE costs on one connection: TLS counted from record headers, HTTP/2 estimated.

TLS 1.3 puts 22 octets around what a record holds: 5 of header, 1 of content type, 16 of tag
(RFC 8446 section 5.2, with every cipher suite that ztunnel offers).  Handshake records are
overhead as a whole; they are encrypted like data, and recognised by where they stand: after
ChangeCipherSpec up to Finished, and session tickets before the server's first HTTP/2 record.

HTTP/2 puts 9 octets in front of a frame (RFC 9113 section 4.1).  Without keys the frames in a
record are not seen.  What is known is which records ztunnel and Envoy write (istio/ztunnel
1.24 to 1.31, Envoy 1.40): a record of 9 octets is an empty DATA frame or an acknowledgment, 17 a
PING, 13 a WINDOW_UPDATE; a response HEADERS of 10 to 12 opens a stream, and the record before it
from the client was its CONNECT.  All else is taken for one DATA frame.  How far that may be wrong
is said with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median_low

from ...decode.tls_records import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER_BYTES,
    TlsRecords,
)

INNER_BYTES = 1 + 16
"""Content type and tag inside an encrypted record."""

RECORD_BYTES = HEADER_BYTES + INNER_BYTES

FRAME_BYTES = 9
"""RFC 9113 section 4.1."""

PREFACE_BYTES = 24
"""RFC 9113 section 3.4."""

_CONTROL = frozenset((9, 13, 17, 34))
"""Contents that are frames of control: empty DATA or acknowledgment, WINDOW_UPDATE, PING, two."""

_SHORT_HEADERS = {10: 1, 11: 1, 12: 1, 22: 2, 24: 2, 33: 3, 36: 3}
"""Contents that are HEADERS out of the peer's table, and how many: a `200` later than the first of
its connection (Envoy's have 12 octets), or Envoy's CONNECT for what it asked for before."""
_ANSWERS_WITH_SETTINGS = range(35, 51)
_FIRST_ANSWERS = frozenset((*_ANSWERS_WITH_SETTINGS, *range(92, 96)))
_REFUSALS = frozenset((23, 26, 27))
_CONNECT = range(60, 240)
"""Contents that a CONNECT may have."""

_RESET_BYTES = 13
"""RST_STREAM (RFC 9113 section 6.4)."""
_DOUBT = 0.3
"""Share of the estimate by which it may be wrong besides: recordings with keys show that much."""

_MOST_HELLO_BYTES = 2048
"""Envoy's, with post-quantum key shares, have 1403 octets."""
_CERTIFICATE_BYTES = 400
"""A record this long holds a certificate, with the rest of the flight or alone."""
_FINISHED = (53, 69)
"""Lengths of a record with Finished alone (SHA-256, SHA-384)."""
_TICKET_BYTES = 150
_MOST_TICKETS = 4
_MOST_FLIGHT = 8


@dataclass(slots=True)
class Direction:
    """One direction of a connection."""

    records: TlsRecords = field(default_factory=TlsRecords)
    stage: str = "data"
    """`flight` after ChangeCipherSpec, `tickets` after the server's Finished, `data`."""
    flight: list[int] = field(default_factory=list)
    opening: int = 0
    """Records to come that open HTTP/2."""
    tls_bytes: int = 0
    http2_bytes: int = 0
    data_bytes: int = 0
    """What is left for the application, as estimated."""
    data_records: int = 0
    empty_frames: int = 0
    acknowledged: bool = False
    """Whether SETTINGS were acknowledged together with something else."""
    application_records: int = 0
    handshake_bytes: int = 0
    per_packet: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(TLS, HTTP/2) octets of the records that begin in a packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HboneBytes:
    """What one direction cost, at one capture point."""

    packets: int
    """With payload."""
    tls_bytes: int
    tls_uncertainty_bytes: int
    handshake_bytes: int
    """Of the TLS octets."""
    records: int
    http2_bytes: int
    http2_uncertainty_bytes: int
    application_bytes: int
    per_packet: Counter[tuple[int, int]]


class HboneMeter:
    """Follows one connection at one point."""

    def __init__(self) -> None:
        self.client, self.server = Direction(), Direction()
        self.hello_bytes: int | None = None
        """Length of the ClientHello's record, None where it was not seen."""
        self.hello_like: Counter[int] = Counter()
        """The client's other records that may hold another ClientHello, by length."""
        self._candidate: int | None = None
        """Content of the client's last record, if it may be a CONNECT."""
        self._connects: list[int] = []
        """Contents of records that an answer followed at once."""
        self._streams = 0
        """Streams that were answered, the one of the opening too."""
        self._repeated = 0
        """CONNECTs that were short, and so are counted already."""
        self._resets = 0
        """Answers of an Envoy, which ends a stream with RST_STREAM."""
        self._opened = False
        """Whether the opening was seen, with the first CONNECT in it."""

    def begin(self, from_client: bool, sequence: int) -> None:
        """Note a SYN."""
        (self.client if from_client else self.server).records.begin(sequence)

    def update(self, from_client: bool, sequence: int, data: bytes, size: int) -> None:
        """Take a segment: what was captured of its payload, and the payload's size."""
        side = self.client if from_client else self.server
        before = side.tls_bytes, side.http2_bytes
        for kind, length in side.records.feed(sequence, data, size):
            self._record(side, kind, length)
        now = side.tls_bytes - before[0], side.http2_bytes - before[1]
        side.per_packet[now] += 1

    # --- TLS ----------------------------------------------------------------------------------

    def _record(self, side: Direction, kind: int, length: int) -> None:
        if side is self.client and length <= _MOST_HELLO_BYTES:
            if kind == HANDSHAKE and self.hello_bytes is None:
                self.hello_bytes = length
            self.hello_like[length] += kind == APPLICATION_DATA
        if kind != APPLICATION_DATA:
            self._handshake(side, length)
            if kind == CHANGE_CIPHER_SPEC:
                side.stage, side.flight = "flight", []
        elif side.stage == "flight":
            self._flight(side, length)
        elif side.stage == "tickets" and length >= _TICKET_BYTES and len(side.flight) < (
            _MOST_TICKETS
        ):  # fmt: skip
            side.flight.append(length)
            self._handshake(side, length)
        else:
            if side.stage == "tickets":
                side.stage, side.opening = "data", 1
            self._application(side, length)

    @staticmethod
    def _handshake(side: Direction, length: int) -> None:
        side.tls_bytes += HEADER_BYTES + length
        side.handshake_bytes += HEADER_BYTES + length

    def _flight(self, side: Direction, length: int) -> None:
        """Take a record of the encrypted handshake, or find that it is over."""
        flight = side.flight
        flight.append(length)
        if side is self.server:
            self._handshake(side, length)
            if flight[0] >= _CERTIFICATE_BYTES or length in _FINISHED or (
                len(flight) == _MOST_FLIGHT
            ):  # fmt: skip
                side.stage, side.flight = "tickets", []
            return
        if len(flight) == 1:
            self._handshake(side, length)
        elif len(flight) == 3 or length not in range(90, 600):
            # Certificate, CertificateVerify and Finished in records of their own, or all in one.
            apart = len(flight) == 3 and length in _FINISHED
            side.stage, side.flight, side.opening = "data", [], 1
            for each in flight[1:]:
                if apart:
                    self._handshake(side, each)
                else:
                    self._application(side, each)

    # --- HTTP/2 -------------------------------------------------------------------------------

    def _application(self, side: Direction, length: int) -> None:
        side.tls_bytes += RECORD_BYTES
        side.application_records += 1
        content = max(length - INNER_BYTES, 0)
        if side.opening:
            self._open(side, content)
        elif side is self.client:
            self._from_client(content)
        else:
            self._from_server(content)

    def _open(self, side: Direction, content: int) -> None:
        """Take a record that opens HTTP/2: all of it is control."""
        side.opening -= 1
        side.http2_bytes += content
        if side is self.client:
            if content == PREFACE_BYTES:
                side.opening = 1  # SETTINGS come in a record of their own
            # A CONNECT is in the opening unless that is too short, or it follows by itself.
            self._opened = self._opened or content > 100

    def _from_client(self, content: int) -> None:
        if content not in _CONTROL:
            self._candidate = content if content in _CONNECT else None
        if content in _SHORT_HEADERS:
            self.client.http2_bytes += content
            self._repeated += _SHORT_HEADERS[content]
        else:
            self._frame(self.client, content)

    def _from_server(self, content: int) -> None:
        side = self.server
        first = not self._streams and content in _FIRST_ANSWERS and not side.data_records
        opens = content == 22 and not self._streams  # SETTINGS acknowledged, and WINDOW_UPDATE
        if (content in _SHORT_HEADERS and not opens) or content in _REFUSALS or first:
            side.http2_bytes += content
            self._streams += _SHORT_HEADERS.get(content, 1)
            self._resets += content in (12, 24, 36)
            side.acknowledged |= first and content in _ANSWERS_WITH_SETTINGS
            if self._candidate is not None:
                self._connects.append(self._candidate)
                self._candidate = None
        elif opens:
            side.http2_bytes += content
            side.acknowledged = True
        else:
            self._frame(side, content)

    @staticmethod
    def _frame(side: Direction, content: int) -> None:
        if content in _CONTROL:
            side.http2_bytes += content
            side.empty_frames += content == FRAME_BYTES
        else:
            side.http2_bytes += min(FRAME_BYTES, content)
            side.data_bytes += max(content - FRAME_BYTES, 0)
            side.data_records += 1

    # --- answers ------------------------------------------------------------------------------

    @property
    def quality(self) -> tuple[int, int]:
        """How well records could be seen: of several points with one connection the greatest."""
        sides = (self.client, self.server)
        return (
            -sum(side.records.missed_bytes for side in sides),
            sum(side.application_records for side in sides),
        )

    def result(self, from_client: bool) -> HboneBytes:
        """Return what a direction cost so far."""
        side = self.client if from_client else self.server
        later = max(self._streams - self._opened - self._repeated, 0) if from_client else 0
        typical = median_low(self._connects) if self._connects else 0
        # CONNECTs were taken for DATA: what is in them is no application's.
        connects = later * max(typical - FRAME_BYTES, 0)
        spread = (max(self._connects) - min(self._connects)) if self._connects else 0
        # Each direction of a stream ends with an empty frame: alone, or behind the last data.
        alone = max(side.empty_frames - (not side.acknowledged), 0)
        joined = max(self._streams - alone, 0)
        end_bytes = _RESET_BYTES if self._resets and not from_client else FRAME_BYTES
        http2 = side.http2_bytes + connects + joined * end_bytes
        missed = side.records.missed_bytes
        seen = side.tls_bytes + side.http2_bytes + side.data_bytes
        tls_share = (side.tls_bytes - side.handshake_bytes) / seen if seen else 0.0
        http2_share = side.http2_bytes / seen if seen else 0.0
        tls_missed, http2_missed = round(missed * tls_share), round(missed * http2_share)
        return HboneBytes(
            packets=side.per_packet.total(),
            tls_bytes=side.tls_bytes + tls_missed,
            tls_uncertainty_bytes=tls_missed,
            handshake_bytes=side.handshake_bytes,
            records=side.application_records,
            http2_bytes=http2 + http2_missed,
            http2_uncertainty_bytes=(
                later * spread + joined * end_bytes + side.data_records + http2_missed
                + round(http2 * _DOUBT)
            ),
            application_bytes=max(
                side.data_bytes - connects - joined * end_bytes
                + missed - tls_missed - http2_missed, 0,
            ),
            per_packet=side.per_packet,
        )  # fmt: skip

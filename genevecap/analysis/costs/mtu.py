# SPDX-License-Identifier: Apache-2.0
"""MTU trouble: messages that a packet is too big, whether they were heeded, and black holes.

A *black hole* swallows large packets without a word.  A capture on the sender's side shows it like
this: a full-sized segment is sent again and again and never acknowledged, although smaller ones
got through or the other end still answers, and nothing as large ever got through on that
connection.  Loss looks different: it hits small segments too, and a lost one gets through at the
next try or the one after.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...columns import DecodedBatch, FrameBatch
from ...decode import DecodeSettings
from ...decode.icmp_quotes import TooBig, too_big
from ..services import TCP
from ..super_packets import ETHERNET_MTU
from ..tables import FIRST_FRAMES
from .shapes import Leg, LegFields, Place, outer_leg_of

_ICMP, _ICMPV6 = 1, 58
_SYN, _RST = 0x02, 0x04

RETRANSMISSIONS = 3
"""Of one segment, until it counts: of 3 % loss one segment in a million is lost four times."""

_FOLLOWED = 256
"""Payload from which a direction is followed.  No path swallows segments as small as that: once one
was acknowledged, smaller segments get through."""

_MOST_IN_FLIGHT = 256
_MOST_MESSAGES = 10_000
_MODULUS, _HALF = 1 << 32, 1 << 31


@dataclass(slots=True)
class Complaint:
    """Messages about one flow at one point."""

    next_hop_mtu_bytes: int
    packet_bytes: int
    """Largest packet that was complained of."""
    messages: int = 0
    later_fitting: int = 0
    later_too_big: int = 0
    frames: list[Place] = field(default_factory=list)
    """The first messages."""


@dataclass(slots=True)
class Sending:
    """One direction of a connection at one point: the oldest segment that is not acknowledged."""

    sequence: int | None = None
    size: int = 0
    """Smallest payload that was sent from there."""
    tries: int = 0
    answered: bool = False
    """Whether the other end said anything after the first try."""
    passed: int = 0
    """Largest payload of one frame that was acknowledged as a whole."""
    flight: list[tuple[int, int, Place]] = field(default_factory=list)
    """(sequence, payload, where) of what was sent behind it."""
    lost_size: int = 0
    """Payload of the segment that was tried too often."""
    lost_tries: int = 0
    frames: list[Place] = field(default_factory=list)
    """Where the oldest segment was sent, the first tries."""
    lost_frames: tuple[Place, ...] = ()

    def send(self, sequence: int, size: int, place: Place) -> None:
        """Take a frame with payload."""
        if self.sequence is None:
            self._wait_for(sequence, size, place)
        elif sequence == self.sequence:
            self.tries += 1
            self.size = min(self.size, size)
            if len(self.frames) < FIRST_FRAMES:
                self.frames.append(place)
            alive = self.answered or (self.passed >= _FOLLOWED and self.tries > RETRANSMISSIONS + 1)
            if self.tries > RETRANSMISSIONS and alive and self.size > self.passed:
                self.lost_size = self.size
                if self.tries > self.lost_tries:
                    self.lost_tries, self.lost_frames = self.tries, tuple(self.frames)
        elif (sequence - self.sequence) % _MODULUS < _HALF and len(self.flight) < _MOST_IN_FLIGHT:
            self.flight.append((sequence, size, place))

    def _wait_for(self, sequence: int, size: int, place: Place) -> None:
        """Follow this segment, which is the oldest one now."""
        self.sequence, self.size, self.tries, self.answered = sequence, size, 1, False
        self.frames = [place]

    def acknowledge(self, number: int) -> None:
        """Take what the other end says it has."""
        if self.sequence is None:
            return
        ahead = (number - self.sequence) % _MODULUS
        if not ahead or ahead >= _HALF:
            self.answered = True
            return
        if ahead >= self.size:
            self.passed = max(self.passed, self.size)
        waiting = []
        for segment in self.flight:
            if 0 < (segment[0] + segment[1] - number) % _MODULUS < _HALF:
                waiting.append(segment)
            else:
                self.passed = max(self.passed, segment[1])
        self.flight = waiting
        self.sequence = None
        if waiting:
            first = min(waiting, key=lambda item: (item[0] - number) % _MODULUS)
            self.flight.remove(first)
            self._wait_for(*first)


class MtuEvents:
    """Follows connections and messages at every point, in the order of the capture."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._capture = 0
        self.sending: dict[tuple[int, LegFields], Sending] = {}
        """By point and direction; only those that sent segments of some size."""
        self.complaints: dict[tuple[int, Leg], Complaint] = {}
        """By point and the flow, outermost, that the quoted packet belongs to."""
        self.messages: dict[int, int] = {}
        """By point."""

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> None:
        """Look at the rows that `keep`; capture: the index of theirs."""
        d, n = decoded, decoded.count
        self._capture = capture
        rows = zip(
            range(n), d.keep[:n], d.inner_protocol[:n], d.payload_bytes[:n], d.tcp_flags[:n],
            strict=True,
        )  # fmt: skip
        for i, keep, protocol, payload, flags in rows:
            if not keep:
                continue
            if self.complaints:
                self._check(frames, d, i)
            if protocol == TCP:
                self._tcp(frames, d, i, payload, flags)
            elif protocol in (_ICMP, _ICMPV6):
                self._icmp(frames, d, i)

    def _tcp(self, frames: FrameBatch, d: DecodedBatch, i: int, payload: int, flags: int) -> None:
        if not flags or flags & _SYN:
            return
        version, protocol, point = d.inner_version[i], TCP, frames.point[d.first + i]
        source, destination = d.inner_source_lo[i], d.inner_destination_lo[i]
        source_hi, destination_hi = d.inner_source_hi[i], d.inner_destination_hi[i]
        port, to_port = d.inner_source_port[i], d.inner_destination_port[i]
        back = (version, destination_hi, destination, source_hi, source, protocol, to_port, port)
        other = self.sending.get((point, back))
        if other is not None and not flags & _RST:
            other.acknowledge(d.tcp_acknowledgment[i])
        if payload:
            leg = (version, source_hi, source, destination_hi, destination, protocol, port, to_port)
            sending = self.sending.get((point, leg))
            if sending is None:
                if payload < _FOLLOWED:
                    return
                sending = self.sending[point, leg] = Sending()
            place = self._capture, frames.frame[d.first + i]
            sending.send(d.tcp_sequence[i], payload, place)

    def _icmp(self, frames: FrameBatch, d: DecodedBatch, i: int) -> None:
        message = too_big(frames, d, i, self._settings)
        if message is None:
            return
        point = frames.point[d.first + i]
        self.messages[point] = self.messages.get(point, 0) + 1
        key = (point, outer_leg_of(message.quoted, 0))
        if key not in self.complaints and len(self.complaints) < _MOST_MESSAGES:
            self.complaints[key] = Complaint(0, 0)
        complaint = self.complaints.get(key)
        if complaint is not None:
            _complain(complaint, message)
            if len(complaint.frames) < FIRST_FRAMES:
                complaint.frames.append((self._capture, frames.frame[d.first + i]))

    def _check(self, frames: FrameBatch, d: DecodedBatch, i: int) -> None:
        """See whether a packet belongs to a flow that was complained of, and fits now."""
        row = d.first + i
        complaint = self.complaints.get((frames.point[row], outer_leg_of(d, i)))
        if complaint is None or not complaint.next_hop_mtu_bytes:
            return
        tunnelled = d.tunnel_count[i]
        begin = d.tunnels.ip_offset[d.tunnel_start[i]] if tunnelled else d.inner_offset[i]
        size = frames.wire_bytes[row] - begin
        if size > complaint.next_hop_mtu_bytes:
            # A larger TCP frame than Ethernet takes is a super-packet: its segments may fit.
            complaint.later_too_big += d.inner_protocol[i] != TCP or size <= ETHERNET_MTU
        elif d.payload_bytes[i]:
            complaint.later_fitting += 1


def _complain(complaint: Complaint, message: TooBig) -> None:
    complaint.messages += 1
    complaint.next_hop_mtu_bytes = message.next_hop_mtu_bytes
    complaint.packet_bytes = max(complaint.packet_bytes, message.quoted_bytes)
    complaint.later_fitting = complaint.later_too_big = 0

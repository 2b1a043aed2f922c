# SPDX-License-Identifier: Apache-2.0
"""What matching keeps of a TCP segment that a point saw: under 64 octets, in NumPy columns.

Sightings are made from decoded batches and held until the window has passed them.  Everything of
the segment that no device on the way changes goes into one 64-bit mix, `content`: acknowledgment,
window, time stamps, and what kind of segment it is.  Which octets of the stream it carries stays
apart (`sequence`, `length`), because offloads cut and merge those.

`segments.Segments` has all that is known of a segment instead: four times as much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ambient import HBONE_PORT, OUTBOUND_PORT
from ...columns import NO_TIME, Columns, TcpOption
from ..rows import Array, Rows
from ..segments import ACK, CONTROL, FIN, RST, SYN, TCP, column, mix, mix_endpoint

UPWARD = 0x01
TOWARDS_SERVER = 0x02
"""The destination port looks like the server's; where no SYN says which end opened it."""
HBONE = 0x04
OUTBOUND = 0x08
IS_SYN = 0x10
IS_ANSWER = 0x20
"""The segment acknowledges something: with IS_SYN it is a SYN-ACK."""
IS_IPV4 = 0x40
"""Bits of `Sightings.traits`."""

_ODD_1 = np.uint64(0x9E3779B97F4A7C15)
_ODD_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRTY_TWO = np.uint64(32)


@dataclass(slots=True, kw_only=True)
class Sightings(Rows):
    """Sightings of TCP segments; all columns have one length."""

    time_ns: Array
    """int64, on the common clock."""
    key: Array
    """uint64: the connection, both directions alike: by its addresses and ports as it comes, by
    those it has at its client once `Legs.settle` saw through NAT."""
    ends: Array
    """uint32: part of the key as it came: it differs where NAT changed an address or port."""
    content: Array
    """uint64: mix of what stays the same on the way; once `Legs.settle` has seen it, connection and
    direction are part of it."""
    sequence: Array
    """uint32: sequence number of the first octet."""
    length: Array
    """uint32: sequence numbers that it takes, SYN and FIN included."""
    point: Array
    """int16: index of the capture point."""
    traits: Array
    """uint8: bits, see above."""
    tunnels: Array
    """uint8: tunnels around it."""
    ttl: Array
    """uint8: of the innermost IP header."""
    identification: Array
    """uint16: of the innermost IPv4 header, its low half for a fragment of IPv6."""
    destination: Array
    """uint32: mix of the innermost destination address."""
    link: Array
    """uint32: mix of the destination MAC address, 0 without one."""
    wire_bytes: Array
    """uint32: original length from the network layer on, the link header left out."""


@dataclass(slots=True, kw_only=True)
class Openings(Rows):
    """SYN and SYN-ACK segments: what tells which addresses are one connection."""

    time_ns: Array
    key: Array
    """uint64, as it comes."""
    upward: Array
    """bool: as of `Segments`."""
    is_answer: Array
    """bool: SYN-ACK."""
    point: Array
    stamped: Array
    """bool: whether the handshake has time stamps."""
    opening: Array
    """uint64: the client's initial sequence number and the time stamp of its SYN, which the
    SYN-ACK repeats as acknowledgment and echo."""
    ends: Array
    """uint64, two columns: mixes of the two endpoints."""


@dataclass(slots=True, kw_only=True)
class Exchange(Rows):
    """Segments as one point sees who answers whom."""

    time_ns: Array
    key: Array
    traits: Array
    point: Array
    end: Array
    """uint32: sequence number after the segment."""
    length: Array
    acknowledgment: Array


class View:
    """Columns of a batch as arrays, made once: batches are used again and again."""

    def __init__(self, batch: Columns) -> None:
        self._batch = batch
        self._columns: dict[str, Array] = {}

    def of(self, name: str) -> Array:
        """Return a whole column, without copying."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = column(self._batch, name, self._batch.capacity)
        return found


class Views:
    """The view of the batch that was seen last."""

    def __init__(self) -> None:
        self._batch: Columns | None = None
        self._view: View | None = None

    def of(self, batch: Columns) -> View:
        """Return the view of a batch."""
        if self._view is None or self._batch is not batch:
            self._batch, self._view = batch, View(batch)
        return self._view


class BatchSegments:
    """The TCP segments of a decoded batch; its columns are of use only while the batch is."""

    def __init__(self, frames: View, decoded: View, rows: range, *, kept: bool) -> None:
        """Find them; see `segments.extract`, which takes the same ones.

        rows: of `frames`; those of `decoded` begin at 0.
        """
        count, place = len(rows), slice(rows.start, rows.stop)
        self._decoded = decoded
        self._count = count
        self.frame_time_ns = frames.of("time_ns")[place]
        self._point = frames.of("point")[place]
        self._wire_bytes = frames.of("wire_bytes")[place]
        timed = self.frame_time_ns != NO_TIME
        wanted = (decoded.of("inner_protocol")[:count] == TCP) & timed
        wanted &= decoded.of("tcp_flags")[:count] != 0
        wanted &= (decoded.of("findings")[:count] & CONTROL) == 0
        if kept:
            wanted &= decoded.of("keep")[:count] != 0
        self.rows: Array = np.flatnonzero(wanted)
        """Rows of the decoded batch."""
        # Most batches are TCP throughout, and a slice is several times as fast as an index.
        self._chosen: Array | slice = slice(None) if len(self.rows) == count else self.rows
        self.timed: Array | slice = slice(None) if timed.all() else timed
        """Which frames have a time."""
        self.flags = self._of("tcp_flags")
        self.point: Array = self._point[self._chosen]
        self.frame_point = self._point
        self._source = mix_endpoint(
            self._of("inner_source_hi"), self._of("inner_source_lo"), self._of("inner_source_port")
        )
        self._destination = mix_endpoint(
            self._of("inner_destination_hi"),
            self._of("inner_destination_lo"),
            self._of("inner_destination_port"),
        )
        self._key = mix(self._source + self._destination)
        self._upward = self._source < self._destination
        stamped = (self._of("tcp_options") & np.uint8(TcpOption.TIMESTAMPS)) != 0
        self._stamp = self._of("tcp_timestamp") * stamped
        self._echo = self._of("tcp_timestamp_echo") * stamped
        control = self._control = self.flags & (SYN | FIN | RST)
        self._length = self._of("payload_bytes") + ((control & SYN) != 0) + ((control & FIN) != 0)
        self._traits = self._traits_of(control)

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self.rows)

    def _of(self, name: str) -> Array:
        values: Array = self._decoded.of(name)[: self._count][self._chosen]
        return values

    def sightings(self, time_ns: Array, link_bytes: Array) -> Sightings:
        """Return what matching keeps of them.

        time_ns: of every frame of the batch, on the common clock.  link_bytes: octets of the link
        header by capture point, to be left out of `wire_bytes`.
        """
        return Sightings(
            time_ns=np.array(time_ns[self._chosen]),
            key=self._key,
            ends=self._key.astype(np.uint32),
            content=self._content(),
            sequence=np.array(self._of("tcp_sequence")),
            length=self._length.astype(np.uint32),
            point=self.point.astype(np.int16),
            traits=self._traits,
            tunnels=np.array(self._of("tunnel_count")),
            ttl=np.array(self._of("inner_ttl")),
            identification=self._of("inner_id").astype(np.uint16),
            destination=_folded(
                (self._of("inner_destination_hi") * _ODD_1) ^ self._of("inner_destination_lo")
            ),
            link=_folded(self._of("link_destination")),
            wire_bytes=self._wire_bytes[self._chosen] - link_bytes[self.point],
        )

    def openings(self, time_ns: Array) -> Openings | None:
        """Return the SYN and SYN-ACK segments among them, None where there is none."""
        rows = np.flatnonzero(self.flags & SYN)
        if not len(rows):
            return None
        is_answer = (self.flags[rows] & ACK) != 0
        acknowledged = self._of("tcp_acknowledgment")[rows] - np.uint32(1)
        isn = np.where(is_answer, acknowledged, self._of("tcp_sequence")[rows])
        stamp = np.where(is_answer, self._echo[rows], self._stamp[rows])
        return Openings(
            time_ns=time_ns[self._chosen][rows],
            key=self._key[rows],
            upward=self._upward[rows],
            is_answer=is_answer,
            point=self.point[rows],
            stamped=stamp != 0,
            opening=(isn.astype(np.uint64) << _THIRTY_TWO) | stamp,
            ends=np.stack((self._source[rows], self._destination[rows]), axis=1),
        )

    def exchange(self, time_ns: Array, halvings: int) -> Exchange:
        """Return the segments of some connections, half as many with each of `halvings`."""
        chosen = (self._key & np.uint64((1 << halvings) - 1)) == 0
        rows = np.flatnonzero(chosen)
        return Exchange(
            time_ns=time_ns[self._chosen][rows],
            key=self._key[rows],
            traits=self._traits[rows],
            point=self.point[rows],
            end=(self._of("tcp_sequence")[rows] + self._length[rows]).astype(np.uint32),
            length=self._length[rows],
            acknowledgment=self._of("tcp_acknowledgment")[rows],
        )

    def _content(self) -> Array:
        """Mix what neither NAT nor encapsulation nor offloads change.

        PSH, FIN, CWR and URG move to another piece when a segment is cut; options such as MSS are
        clamped on the way; so of the flags only SYN and RST count.
        """
        kind = (self._control & (SYN | RST)) | (self._length == 0)
        stamps = (self._stamp.astype(np.uint64) << _THIRTY_TWO) | self._echo
        rest = (self._of("tcp_acknowledgment").astype(np.uint64) << _THIRTY_TWO) | (
            self._of("tcp_window").astype(np.uint32) << np.uint32(8) | kind
        )
        return mix((stamps * _ODD_1) ^ rest)

    def _traits_of(self, control: Array) -> Array:
        source, destination = self._of("inner_source_port"), self._of("inner_destination_port")
        towards = destination < source
        special = np.zeros(len(self), np.uint8)
        for port, bit in ((OUTBOUND_PORT, OUTBOUND), (HBONE_PORT, HBONE)):
            to_it = destination == port
            concerned = to_it | (source == port)
            if concerned.any():
                towards = np.where(concerned, to_it, towards)
                special |= concerned * np.uint8(bit)
        traits: Array = (
            special
            | self._upward * np.uint8(UPWARD)
            | towards * np.uint8(TOWARDS_SERVER)
            | ((control & SYN) != 0) * np.uint8(IS_SYN)
            | ((self.flags & ACK) != 0) * np.uint8(IS_ANSWER)
            | (self._of("inner_version") == 4) * np.uint8(IS_IPV4)
        )
        return traits


def _folded(value: Array) -> Array:
    folded: Array = ((value * _ODD_2) >> _THIRTY_TWO).astype(np.uint32)
    return folded

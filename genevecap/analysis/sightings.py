# SPDX-License-Identifier: Apache-2.0
"""What matching keeps of a TCP segment that a point saw: under 64 octets, in NumPy columns.

A sighting is made from `segments.Segments` batch by batch, and held until the window has passed it.
Everything of the segment that no device on the way changes goes into one 64-bit mix, `content`:
acknowledgment, window, time stamps, and what kind of segment it is.  Which octets of the stream it
carries stays apart (`sequence`, `length`), because offloads cut and merge those.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..ambient import HBONE_PORT, OUTBOUND_PORT
from .segments import ACK, FIN, RST, SYN, Array, Segments

UPWARD = 0x01
TOWARDS_SERVER = 0x02
"""The destination port looks like the server's; where no SYN says which end opened it."""
HBONE = 0x04
OUTBOUND = 0x08
"""Bits of `traits`: see `Sightings.traits`."""
IS_SYN = 0x10
IS_ANSWER = 0x20
"""The segment acknowledges something: with IS_SYN it is a SYN-ACK."""
IS_IPV4 = 0x40
IS_LOOPBACK = 0x80
"""One of the addresses is a loopback address."""

_MIX_1 = np.uint64(0xFF51AFD7ED558CCD)
_MIX_2 = np.uint64(0xC4CEB9FE1A85EC53)
_ODD_1 = np.uint64(0x9E3779B97F4A7C15)
_ODD_2 = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRTY_TWO = np.uint64(32)
_THIRTY_THREE = np.uint64(33)

_LOOPBACK_4 = 127
_LOOPBACK_6 = 1


@dataclass(slots=True, kw_only=True)
class Sightings:
    """Sightings in time order; all columns have one length."""

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

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time_ns)

    def take(self, rows: Array) -> Sightings:
        """Return some rows, by mask or by index, copied."""
        return Sightings(**{name: getattr(self, name)[rows] for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Sightings))


def concatenate(parts: list[Sightings]) -> Sightings:
    """Return all rows of several pieces, in order."""
    return Sightings(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES}
    )


def mix(value: Array) -> Array:
    """Return 64-bit values with every bit depending on every bit (MurmurHash3's finaliser)."""
    value = (value ^ (value >> _THIRTY_THREE)) * _MIX_1
    value = (value ^ (value >> _THIRTY_THREE)) * _MIX_2
    mixed: Array = value ^ (value >> _THIRTY_THREE)
    return mixed


@dataclass(slots=True, kw_only=True)
class Openings:
    """SYN and SYN-ACK segments of a batch: what tells which addresses are one connection."""

    time_ns: Array
    key: Array
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
    """uint64, two columns: mixes of the two endpoints, the client's first."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.time_ns)

    def take(self, rows: Array) -> Openings:
        """Return some rows, by mask or by index, copied."""
        return Openings(**{f.name: getattr(self, f.name)[rows] for f in fields(Openings)})

    @staticmethod
    def concatenate(parts: list[Openings]) -> Openings:
        """Return all rows of several pieces, in order."""
        return Openings(
            **{
                f.name: np.concatenate([getattr(part, f.name) for part in parts])
                for f in fields(Openings)
            }
        )


def openings(segments: Segments) -> Openings:
    """Return the SYN and SYN-ACK segments."""
    s = segments.take(np.flatnonzero(segments.flags & SYN))
    is_answer = (s.flags & ACK) != 0
    isn = np.where(is_answer, s.acknowledgment - np.uint32(1), s.sequence).astype(np.uint64)
    stamp = np.where(is_answer, s.timestamp_echo, s.timestamp).astype(np.uint64)
    source = mix(mix(s.source_hi * _ODD_1 ^ s.source_lo) ^ s.source_port.astype(np.uint64))
    other = mix(
        mix(s.destination_hi * _ODD_1 ^ s.destination_lo) ^ s.destination_port.astype(np.uint64)
    )
    return Openings(
        time_ns=s.time_ns,
        key=s.key,
        upward=s.upward,
        is_answer=is_answer,
        point=s.point,
        stamped=stamp != 0,
        opening=(isn << _THIRTY_TWO) | stamp,
        ends=np.stack(
            (np.where(is_answer, other, source), np.where(is_answer, source, other)), axis=1
        ),
    )


def from_segments(segments: Segments, link_bytes: Array) -> Sightings:
    """Return the sightings of segments.

    link_bytes: octets of the link header by capture point, to be left out of `wire_bytes`.
    """
    s = segments
    control = s.flags & (SYN | FIN | RST)
    length = s.payload_bytes.astype(np.uint32) + ((control & SYN) != 0) + ((control & FIN) != 0)
    return Sightings(
        time_ns=s.time_ns,
        key=s.key,
        ends=s.key.astype(np.uint32),
        content=_content(s, control, length),
        sequence=s.sequence,
        length=length.astype(np.uint32),
        point=s.point.astype(np.int16),
        traits=_traits(s, control),
        tunnels=s.tunnels,
        ttl=s.ttl,
        identification=s.identification.astype(np.uint16),
        destination=_folded((s.destination_hi * _ODD_1) ^ s.destination_lo),
        link=_folded(s.link_destination),
        wire_bytes=(s.wire_bytes - link_bytes[s.point]).astype(np.uint32),
    )


def _content(s: Segments, control: Array, length: Array) -> Array:
    """Mix what neither NAT nor encapsulation nor offloads change.

    PSH, FIN, CWR and URG move to another piece when a segment is cut; options such as MSS are
    clamped on the way; so of the flags only SYN and RST count.
    """
    kind = (control & (SYN | RST)) | (length == 0)
    stamps = (s.timestamp.astype(np.uint64) << _THIRTY_TWO) | s.timestamp_echo
    rest = (s.acknowledgment.astype(np.uint64) << _THIRTY_TWO) | (
        s.window.astype(np.uint64) << np.uint64(8)
    )
    return mix((stamps * _ODD_1) ^ (rest | kind.astype(np.uint64)))


def _folded(value: Array) -> Array:
    mixed = value * _ODD_2
    folded: Array = (mixed >> _THIRTY_TWO).astype(np.uint32)
    return folded


def _traits(s: Segments, control: Array) -> Array:
    source, destination = s.source_port, s.destination_port
    hbone = (source == HBONE_PORT) | (destination == HBONE_PORT)
    outbound = (source == OUTBOUND_PORT) | (destination == OUTBOUND_PORT)
    towards = np.where(
        hbone,
        destination == HBONE_PORT,
        np.where(outbound, destination == OUTBOUND_PORT, destination < source),
    )
    four = s.version == 4
    loopback = np.where(
        four,
        (s.destination_lo >> np.uint64(24)) == _LOOPBACK_4,
        (s.destination_hi == 0) & (s.destination_lo == _LOOPBACK_6),
    )
    traits = s.upward.astype(np.uint8) * UPWARD
    traits |= towards.astype(np.uint8) * TOWARDS_SERVER
    traits |= hbone.astype(np.uint8) * HBONE
    traits |= outbound.astype(np.uint8) * OUTBOUND
    traits |= ((control & SYN) != 0).astype(np.uint8) * IS_SYN
    traits |= ((s.flags & ACK) != 0).astype(np.uint8) * IS_ANSWER
    traits |= four.astype(np.uint8) * IS_IPV4
    traits |= loopback.astype(np.uint8) * IS_LOOPBACK
    return traits

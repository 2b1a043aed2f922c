# SPDX-License-Identifier: Apache-2.0
"""Super-packets: how many segments a captured frame was, or became, on the wire.

Kernels and network cards join TCP segments (GSO, GRO, LRO), so that one captured frame stands for
several frames of the wire.  Each of those has all headers again, so overhead is counted per
segment: ceil(payload / segment payload).  What a segment holds is the smaller MSS of the
connection's SYNs less the TCP options of the frame; without SYNs the largest ordinary payload of
the flow, and failing that what the MTU leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..decode.layers import Layer
from .costs.shapes import Leg, Shape, Sighting

ETHERNET_MTU = 1500
"""RFC 894; what is assumed where nothing says more."""

TCP_HEADER_BYTES = 20
"""Without options (RFC 9293 section 3.1)."""

_MOST_MTU = 16_384
"""An MSS above this is a loopback's, and says nothing about a network."""

_LEAST_FULL = 536
"""A payload below the default MSS (RFC 9293 section 3.7.1) is no sign of the segment size."""


class SegmentCounts:
    """Answers for frames how many segments they are; knows the flows of one run."""

    def __init__(
        self, sightings: Iterable[Sighting], mss: Mapping[Leg, int], mtu: int | None = None
    ) -> None:
        """`mss`: as `Traffic.mss`; `mtu`: what the user says, None to go by SYNs."""
        self._mss = mss
        announced = [40 + each for each in mss.values() if each < _MOST_MTU]
        self.mtu = mtu or max([ETHERNET_MTU, *announced])
        """Octets of the largest IP packet where a flow itself says nothing."""
        self._ordinary: dict[Leg, int] = {}
        for leg, _, _, shape, _ in sightings:
            if shape.transport == Layer.TCP and leg not in mss:
                payload = shape.payload_bytes
                if payload >= _LEAST_FULL and shape.packet_bytes <= self.mtu:
                    self._ordinary[leg] = max(payload, self._ordinary.get(leg, 0))

    def payload_of_segment(self, leg: Leg, shape: Shape) -> int:
        """Return the octets of payload that a full segment of this TCP frame holds."""
        announced = self._mss.get(leg)
        if announced is not None:
            return max(announced + TCP_HEADER_BYTES - shape.transport_bytes, 1)
        ordinary = self._ordinary.get(leg)
        if ordinary is not None:
            return ordinary
        return max(self.mtu - shape.ip_bytes - shape.transport_bytes, 1)

    def is_announced(self, leg: Leg) -> bool:
        """Tell whether the capture holds a SYN of this connection."""
        return leg in self._mss

    def doubt(self, leg: Leg, shape: Shape) -> int:
        """Return by how many segments the answer for a super-packet may be wrong.

        What was joined on receipt may hold shorter segments: one more is allowed for.  Where no
        SYN says the MSS, it may be anything down to 536 (RFC 9293 section 3.7.1).
        """
        if leg in self._mss:
            return 1
        most = -(-shape.payload_bytes // (_LEAST_FULL + TCP_HEADER_BYTES - shape.transport_bytes))
        return max(most - self.of(leg, shape), 1)

    def of(self, leg: Leg, shape: Shape) -> int:
        """Return how many segments a frame is: 1 for everything but a TCP super-packet."""
        if shape.transport != Layer.TCP or not shape.payload_bytes:
            return 1
        return -(-shape.payload_bytes // self.payload_of_segment(leg, shape))

# SPDX-License-Identifier: Apache-2.0
r"""MPLS label stack entry: RFC 3032 section 2.1, traffic class as RFC 5462; one layer each.

Nothing says what follows the bottom of the stack.  The first nibble does for IP (RFC 4928
section 2); 0 is taken for the control word of an Ethernet pseudowire (RFC 4385 section 3), which
is counted as part of the last label.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |                 Label                 | TC  |S|      TTL      |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0 0 0 0|       Reserved        |        Sequence number        |  control word, if any
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header
from .protocol import Protocol
from .walk import Walk

LABEL = 0
BOTTOM = 2
BOTTOM_BIT = 0x01
TTL = 3
HEADER_BYTES = TTL + 1
CONTROL_WORD_BYTES = 4

LABELS = {0: "IPv4 explicit null", 1: "router alert", 2: "IPv6 explicit null", 3: "implicit null"}
"""RFC 3032 section 2.1, reserved values."""

FIRST_NIBBLES = {4: Layer.IPV4, 6: Layer.IPV6}


class Mpls(Protocol):
    """One label."""

    layer = Layer.MPLS
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 3032 section 2.1"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Go on with the next label, or guess what the bottom of the stack carries."""
        walk.next = walk.link_end = end = offset + HEADER_BYTES
        if not walk.data[offset + BOTTOM] & BOTTOM_BIT:
            return Layer.MPLS
        if end + 1 > walk.limit:
            return walk.cut(end + 1)
        nibble = walk.data[end] >> 4
        if nibble:
            return FIRST_NIBBLES.get(nibble) or walk.end(Stop.UNSUPPORTED)
        if end + CONTROL_WORD_BYTES > walk.limit:
            return walk.cut(end + CONTROL_WORD_BYTES)
        walk.next = walk.link_end = end + CONTROL_WORD_BYTES
        return Layer.ETHERNET

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the label, and the control word after the last one."""
        label = header.bits("label", LABEL, 0, 20, LABELS)
        traffic_class = header.bits("traffic_class", LABEL, 20, 3, source="RFC 5462 section 2")
        bottom = header.flag("bottom_of_stack", BOTTOM, 7)
        ttl = header.number("ttl", TTL, 1)
        header.summary = f"label {label}, traffic class {traffic_class}, TTL {ttl}"
        if bottom and header.rest(HEADER_BYTES) and not header.data[header.end] >> 4:
            source = "RFC 4385 section 3"
            with header.group("control_word", HEADER_BYTES, CONTROL_WORD_BYTES, source=source):
                header.bits("reserved", HEADER_BYTES, 4, 12, source=source)
                header.number("sequence", HEADER_BYTES + 2, 2, source=source)

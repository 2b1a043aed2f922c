# SPDX-License-Identifier: Apache-2.0
"""Raw IP: https://www.tcpdump.org/linktypes.html, LINKTYPE_RAW.

There is no header: the version nibble of the IP header says which IP it is.
"""

from __future__ import annotations

from ...columns import Stop
from ..layers import Layer
from .fields import Header
from .protocol import Protocol
from .walk import Walk

VERSION = 0
NIBBLE_BYTES = VERSION + 1
VERSIONS = {4: Layer.IPV4, 6: Layer.IPV6}


class Raw(Protocol):
    """No header at all."""

    layer = Layer.RAW
    HEADER_BYTES = NIBBLE_BYTES
    SOURCE = "https://www.tcpdump.org/linktypes.html"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Go by the version nibble."""
        walk.next = offset
        return VERSIONS.get(walk.data[offset + VERSION] >> 4) or walk.end(Stop.MALFORMED)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe nothing: the version nibble belongs to the IP header."""
        header.summary = "no link-layer header"

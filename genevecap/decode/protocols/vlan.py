# SPDX-License-Identifier: Apache-2.0
r"""VLAN tag: IEEE 802.1Q section 9.6; one layer for each tag, 802.1ad and older QinQ included.

The layer begins after the type field that announces the tag.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    | PCP |D|        VLAN id        |        Type or length         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ...columns import Finding, TunnelKind
from ..layers import Layer
from .ethernet import TYPE_BYTES, describe_type, next_by_type
from .fields import Header
from .protocol import Protocol
from .walk import Walk

TCI = 0
TYPE = 2
HEADER_BYTES = TYPE + TYPE_BYTES

# An attribute of an enum class costs 70 ns, a name of the module 10.
_VXLAN = int(TunnelKind.VXLAN)
_V09 = int(Finding.V09)


class Vlan(Protocol):
    """One VLAN tag."""

    layer = Layer.VLAN
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "IEEE 802.1Q section 9.6"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """Follow the type field."""
        if walk.open_tunnel >= 0 and walk.tunnels.kind[walk.open_tunnel] == _VXLAN:
            walk.findings |= _V09  # RFC 7348 section 6.1
        return next_by_type(walk, offset + TYPE)

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the tag."""
        priority = header.bits("priority", TCI, 0, 3)
        header.flag("drop_eligible", TCI, 3)
        vlan = header.bits("vlan_id", TCI, 4, 12)
        header.summary = f"VLAN {vlan}, priority {priority}"
        header.summary += f", {describe_type(header, TYPE)}"

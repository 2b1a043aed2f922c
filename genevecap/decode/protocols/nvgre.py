# SPDX-License-Identifier: Apache-2.0
r"""NVGRE: RFC 7637 section 3.2.  GRE with a key that holds a virtual subnet, and Ethernet inside.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |0| |1|0|   Reserved0     | Ver |    Protocol type 0x6558       |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Virtual subnet ID (VSID)               |    Flow ID    |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

Linux's gretap with a key looks the same: nothing in the packet tells the two apart.
`gre.py` decodes both, and lists such a header under this name.
"""

from __future__ import annotations

from ..layers import Layer
from .gre import Gre
from .protocol import Protocol


class Nvgre(Protocol):
    """GRE header of NVGRE."""

    layer = Layer.NVGRE
    HEADER_BYTES = Gre.HEADER_BYTES
    SOURCE = "RFC 7637 section 3.2"
    TUNNEL = True
    decode = Gre.decode
    fields = Gre.fields

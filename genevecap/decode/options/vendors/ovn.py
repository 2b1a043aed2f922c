# SPDX-License-Identifier: Apache-2.0
"""Open Virtual Network: between which logical ports a packet travels.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|R|    Logical Ingress Port     |      Logical Egress Port      |
```

The logical datapath (a logical switch or router) is the VNI of the tunnel header.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, exactly

FIRST_MULTICAST_GROUP = 32768


def _egress_port(number: int, _bits: int) -> tuple[int, str]:
    """Read a logical port, or from 32768 on a logical multicast group."""
    suffix = " (multicast group)" if number >= FIRST_MULTICAST_GROUP else ""
    return number, f"{number}{suffix}"


LAYOUTS = (
    Layout(
        option_class=0x0102,
        option_type=0x80,
        owner="Open Virtual Network",
        name="OVN logical ports",
        data_bytes=exactly(4),
        fields=(
            Field("reserved", 1),
            Field("logical_ingress_port", 15),
            Field("logical_egress_port", 16, _egress_port),
        ),
        source="ovn-org/ovn controller/physical.h (class, type, length) and physical.c (bits moved"
        " to and from the logical ports); ovn-architecture(7), Tunnel Encapsulations (meaning)",
    ),
)

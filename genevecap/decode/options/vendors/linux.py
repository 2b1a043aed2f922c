# SPDX-License-Identifier: Apache-2.0
"""Linux: where the headers of a nested tunnel are, so that the receiver can do GRO across both.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   Rsv   |6| P |   NH offset   |   TP offset   |    Hdr len    |
```

The kernel declares the first octet as C bit-fields in one order only, so this is what a
little-endian host sends; a big-endian one would fill that octet from the other end.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, counted, exactly, flag, one_of

INNER_PROTOCOLS = {0: "Ethernet", 1: "IPv6", 2: "IPv4"}

LAYOUTS = (
    Layout(
        option_class=0x0100,
        option_type=0x01,
        owner="Linux netdev",
        name="Linux GRO hint",
        data_bytes=exactly(4),
        fields=(
            Field("reserved", 5),
            Field("nested_is_v6", 1, flag),
            Field("inner_proto_id", 2, one_of(INNER_PROTOCOLS)),
            Field("nested_nh_offset", 8, counted("bytes")),
            Field("nested_tp_offset", 8, counted("bytes")),
            Field("nested_hdr_len", 8, counted("bytes")),
        ),
        source="Linux drivers/net/geneve.c (struct geneve_opt_gro_hint, proto_id_map);"
        " retis-org/retis retis-pnet/src/geneve.rs @28463b1d",
    ),
)

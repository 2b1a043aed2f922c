# SPDX-License-Identifier: Apache-2.0
"""Google Cloud packet mirroring and Network Security Integration.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                   Virtual Network ID                  | Rsv |D|    type 1
```

The virtual network is named here: the VNI is always 0.  The inside of an endpoint ID is opaque.
"""

from __future__ import annotations

from genevecap.decode.options.layout import (
    MAX_DATA_BYTES,
    REST,
    Field,
    Layout,
    between,
    exactly,
    octets,
    one_of,
)

CLASS = 0x0132
OWNER = "Google Cloud"
SOURCE = (
    "docs.cloud.google.com/network-security-integration/docs/understand-geneve (class, types);"
    " Wireshark epan/dissectors/packet-geneve.c @07bb5c2c (bits)"
)

LAYOUTS = (
    Layout(
        option_class=CLASS,
        option_type=0x01,
        owner=OWNER,
        name="Google Cloud virtual network ID",
        data_bytes=exactly(4),
        fields=(
            Field("virtual_network_id", 28),
            Field("reserved", 3),
            Field("direction", 1, one_of({0: "ingress", 1: "egress"})),
        ),
        source=SOURCE,
        note="also called network cookie",
    ),
    Layout(
        option_class=CLASS,
        option_type=0x02,
        owner=OWNER,
        name="Google Cloud endpoint ID",
        data_bytes=between(4, MAX_DATA_BYTES),
        fields=(Field("endpoint_id", REST, octets),),
        source=SOURCE,
        note="also called endpoint cookie; 16 octets where seen",
    ),
    Layout(
        option_class=CLASS,
        option_type=0x03,
        owner=OWNER,
        name="Google Cloud profile ID",
        data_bytes=between(1, 8),
        fields=(Field("profile_id", REST),),
        source=SOURCE,
        note="8 octets where seen",
    ),
)

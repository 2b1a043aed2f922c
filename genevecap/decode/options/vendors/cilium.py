# SPDX-License-Identifier: Apache-2.0
"""Cilium direct server return (DSR): the service address that a backend answers from.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|             Service Address (4 octets, or 16)                 |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|         Service Port          |            Padding            |
```

Both families use the same class and type; the length of the data tells them apart.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, exactly, ip_address

CLASS = 0x014B
DSR = 0x81
OWNER = "Cilium"
SOURCE = "cilium/cilium bpf/lib/tunnel.h (geneve_dsr_opt4, geneve_dsr_opt6)"

LAYOUTS = (
    Layout(
        option_class=CLASS,
        option_type=DSR,
        owner=OWNER,
        name="Cilium DSR service (IPv4)",
        data_bytes=exactly(8),
        fields=(
            Field("service_address", 32, ip_address),
            Field("service_port", 16),
            Field("padding", 16),
        ),
        source=SOURCE,
    ),
    Layout(
        option_class=CLASS,
        option_type=DSR,
        owner=OWNER,
        name="Cilium DSR service (IPv6)",
        data_bytes=exactly(20),
        fields=(
            Field("service_address", 128, ip_address),
            Field("service_port", 16),
            Field("padding", 16),
        ),
        source=SOURCE,
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""cPacket: when and where a mirrored packet was captured.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                        Sequence Number                        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|        Original Length        |   Reserved    |    Version    |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                        Time: seconds                          |
+                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                               |       Time: nanoseconds       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|    Time: nanoseconds (end)    | Time: fraction of nanoseconds |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|           Device ID           |            Port ID            |
```

The time has the form of PTP (IEEE 1588); whether it counts UTC or TAI is not documented, so the
numbers are shown and no date is made of them.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, counted, exactly

LAYOUTS = (
    Layout(
        option_class=0x0164,
        option_type=0x00,
        owner="cPacket Networks",
        name="cPacket metadata",
        data_bytes=exactly(24),
        fields=(
            Field("sequence_number", 32),
            Field("original_length_bytes", 16, counted("bytes")),
            Field("reserved", 8),
            Field("version", 8),
            Field("timestamp_s", 48, counted("s")),
            Field("timestamp_ns", 32, counted("ns")),
            Field("timestamp_fraction_ns", 16),
            Field("device_id", 16),
            Field("port_id", 16),
        ),
        source="Wireshark epan/dissectors/packet-geneve.c @07bb5c2c (written by cPacket)",
    ),
)

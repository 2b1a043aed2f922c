# SPDX-License-Identifier: Apache-2.0
"""Tencent Cloud Gateway Load Balancer: as AWS's, but the flow cookie carries a direction.

```
 0                   1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Dir |                       Flow Cookie                       |    type 3
```

The VNI is always 0.  What the values of the direction mean is not documented.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, exactly, hexadecimal

CLASS = 0x0167
OWNER = "Tencent Cloud Gateway Load Balancer"
SOURCE = "https://www.tencentcloud.com/zh/document/product/1245/65413 (header diagram)"

LAYOUTS = (
    Layout(
        option_class=CLASS,
        option_type=0x01,
        owner=OWNER,
        name="Tencent GWLB endpoint ID",
        data_bytes=exactly(8),
        fields=(Field("gwlbe_id", 64, hexadecimal),),
        source=SOURCE,
        note="also called VPCE ID",
    ),
    Layout(
        option_class=CLASS,
        option_type=0x02,
        owner=OWNER,
        name="Tencent GWLB attachment ID",
        data_bytes=exactly(8),
        fields=(Field("attachment_id", 64, hexadecimal),),
        source=SOURCE,
    ),
    Layout(
        option_class=CLASS,
        option_type=0x03,
        owner=OWNER,
        name="Tencent GWLB flow direction and cookie",
        data_bytes=exactly(4),
        fields=(Field("flow_direction", 3), Field("flow_cookie", 29, hexadecimal)),
        source=SOURCE,
    ),
)

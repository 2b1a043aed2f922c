# SPDX-License-Identifier: Apache-2.0
"""AWS Gateway Load Balancer: three options on every packet, without which an appliance drops it.

The inner packet is IPv4 or IPv6 without Ethernet: outer IPv4 20, UDP 8, Geneve 8 and options 32
make the 68 octets of overhead that AWS documents.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, exactly, hexadecimal

CLASS = 0x0108
OWNER = "AWS Gateway Load Balancer"
SOURCE = "aws-samples/aws-gateway-load-balancer-tunnel-handler GenevePacket.cpp"

LAYOUTS = (
    Layout(
        option_class=CLASS,
        option_type=0x01,
        owner=OWNER,
        name="AWS GWLB endpoint ENI ID",
        data_bytes=exactly(8),
        fields=(Field("gwlbe_eni_id", 64, hexadecimal),),
        source=SOURCE,
    ),
    Layout(
        option_class=CLASS,
        option_type=0x02,
        owner=OWNER,
        name="AWS GWLB attachment ID",
        data_bytes=exactly(8),
        fields=(Field("attachment_id", 64, hexadecimal),),
        source=SOURCE,
    ),
    Layout(
        option_class=CLASS,
        option_type=0x03,
        owner=OWNER,
        name="AWS GWLB flow cookie",
        data_bytes=exactly(4),
        fields=(Field("flow_cookie", 32, hexadecimal),),
        source=SOURCE,
    ),
)

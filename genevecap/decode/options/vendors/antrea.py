# SPDX-License-Identifier: Apache-2.0
"""Antrea 0.6 to 0.10: Traceflow's tag, under a class that is not its own.

IANA gave class 0x0104 to VMware, Inc.; Antrea, then a project of VMware, used its type 0x80 for
Traceflow until it moved to the DSCP field.  No layout of VMware NSX is public.
"""

from __future__ import annotations

from genevecap.decode.options.layout import Field, Layout, exactly, hexadecimal

LAYOUTS = (
    Layout(
        option_class=0x0104,
        option_type=0x80,
        owner="Antrea (class of VMware, Inc.)",
        name="Antrea Traceflow data-plane tag",
        data_bytes=exactly(4),
        fields=(Field("traceflow_tag", 32, hexadecimal),),
        source="antrea-io/antrea 6f71a63e8 (adds the TLV mapping), 619b6784e (removes it, #1466)",
        note="squats on VMware's class; Antrea 0.6 to 0.10 only",
    ),
)

# SPDX-License-Identifier: Apache-2.0
"""Oxide: an option that is its header only; its being there is the message."""

from __future__ import annotations

from genevecap.decode.options.layout import Layout, exactly

LAYOUTS = (
    Layout(
        option_class=0x0129,
        option_type=0x00,
        owner="Oxide Computer Company",
        name="Oxide option 0x00 (no data)",
        data_bytes=exactly(0),
        fields=(),
        source="oxidecomputer/overwatch#14 (hex dump of a frame)",
        note="seen on the wire; its name is not in what was read",
    ),
)

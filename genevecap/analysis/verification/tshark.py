# SPDX-License-Identifier: Apache-2.0
"""tshark as a witness: how it is told to read a capture frame by frame, headers only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...decode.layers import Layer
from ..tshark import TsharkRun
from .reading import Reading, read_packet

if TYPE_CHECKING:
    from ...decode.settings import DecodeSettings

TSHARK_ICV_BYTES = 12

PREFERENCES = {
    # Each frame for itself: a tunnel belongs to the frame that holds its header.
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    # What follows costs time and says nothing about headers.
    "tcp.desegment_tcp_streams": "FALSE",
    "tcp.analyze_sequence_numbers": "FALSE",
    "tcp.calculate_timestamps": "FALSE",
}


def decode_as(settings: DecodeSettings, used_ports: Mapping[int, str]) -> dict[str, str]:
    """Return pyshark's decode-as rules for every port that we decode as a tunnel.

    used_ports: ports that held a tunnel in this capture, with its kind.
    """
    table = settings.udp_table()
    dissectors = {Layer.GENEVE: "geneve", Layer.VXLAN: "vxlan", Layer.VXLAN_GPE: "vxlan_gpe"}
    ports = {
        port: dissectors[Layer(layer)] for port, layer in enumerate(table) if layer in dissectors
    }
    names = {"geneve": "geneve", "vxlan": "vxlan", "vxlan-gpe": "vxlan_gpe"}
    for port, kind in used_ports.items():
        if kind in names:
            ports.setdefault(port, names[kind])
    return {f"udp.port=={port}": dissector for port, dissector in sorted(ports.items())}


def preferences(settings: DecodeSettings | None) -> dict[str, str]:
    """Return what tshark is told beyond ports.

    Of ESP that does not encrypt it knows only that with an ICV of 12 octets.
    """
    if settings is None or settings.esp_icv_bytes != TSHARK_ICV_BYTES:
        return PREFERENCES
    return {**PREFERENCES, "esp.enable_null_encryption_decode_heuristic": "TRUE"}


def witness(
    path: str,
    *,
    tshark: str,
    rules: Mapping[str, str],
    settings: DecodeSettings | None = None,
) -> TsharkRun[Reading]:
    """Return tshark's readings of one capture, in order; rules: as `decode_as` gives them."""
    return TsharkRun(
        path,
        tshark=tshark,
        read=read_packet,
        decode_as=rules,
        preferences=preferences(settings),
    )

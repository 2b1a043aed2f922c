# SPDX-License-Identifier: Apache-2.0
"""What shares ESP's UDP port: IKE (RFC 7296), and keep-alives of NAT mappings (RFC 3948)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocols.fields import Header, hexadecimal, show

if TYPE_CHECKING:
    from ..protocols.walk import Ports

IKE_PORT = 500
ESP_PORT = 4500
MARKER = b"\0\0\0\0"
"""RFC 3948 section 2.2: before IKE on ESP's port, where the SPI would be."""
KEEP_ALIVE = b"\xff"

IKE_BYTES = 28
EXCHANGES = {
    2: "identity protection (IKEv1)",
    4: "aggressive (IKEv1)",
    5: "informational (IKEv1)",
    32: "quick mode (IKEv1)",
    34: "IKE_SA_INIT",
    35: "IKE_AUTH",
    36: "CREATE_CHILD_SA",
    37: "INFORMATIONAL",
}


def is_ike(payload: bytes, transport: str, ports: Ports) -> bool:
    """Tell whether a payload is IKE: by its port, and on ESP's port by the marker before it."""
    if transport != "udp":
        return False
    if ESP_PORT in ports:
        return payload.startswith(MARKER) and len(payload) >= len(MARKER) + IKE_BYTES
    return IKE_PORT in ports and len(payload) >= IKE_BYTES


def describe_ike(header: Header, payload: bytes) -> None:
    """Describe the marker and the header; what follows is encrypted, or nearly all of it."""
    at = 0
    if payload.startswith(MARKER):
        header.octets("non_esp_marker", 0, len(MARKER), source="RFC 3948 section 2.2")
        at = len(MARKER)
    header.number("initiator_spi", at, 8, hexadecimal(16))
    header.number("responder_spi", at + 8, 8, hexadecimal(16))
    header.number("next_payload", at + 16, 1)
    major = header.bits("major_version", at + 17, 0, 4)
    header.bits("minor_version", at + 17, 4, 4)
    exchange = header.number("exchange_type", at + 18, 1, EXCHANGES)
    header.number("flags", at + 19, 1, hexadecimal(2))
    number = header.number("message_id", at + 20, 4)
    header.number("length", at + 24, 4)
    header.summary = f"IKEv{major}, {show(exchange, EXCHANGES)}, message {number}"


def is_keep_alive(payload: bytes, transport: str, ports: Ports) -> bool:
    """Tell whether a payload keeps a NAT's mapping alive (RFC 3948 section 2.3)."""
    return transport == "udp" and ESP_PORT in ports and payload == KEEP_ALIVE


def describe_keep_alive(header: Header, payload: bytes) -> None:
    """Describe the one octet that there is."""
    header.octets("keep_alive", 0, len(payload))
    header.summary = "keeps a NAT mapping alive"

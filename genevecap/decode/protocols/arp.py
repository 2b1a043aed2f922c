# SPDX-License-Identifier: Apache-2.0
r"""ARP: RFC 826, packet format.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |        Hardware type          |         Protocol type         |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  HW length    |  Proto length |           Operation           |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    |  Sender hardware, sender protocol, target hardware, target    |
    |  protocol address, each as long as its length says            |
    +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""

from __future__ import annotations

from ..layers import Layer
from .ethernet import type_text
from .fields import Header, show
from .protocol import Protocol
from .walk import Walk

HARDWARE_TYPE = 0
PROTOCOL_TYPE = 2
HARDWARE_LENGTH = 4
PROTOCOL_LENGTH = 5
OPERATION = 6
HEADER_BYTES = OPERATION + 2

OPERATIONS = {1: "request", 2: "reply", 8: "InARP request", 9: "InARP reply"}


class Arp(Protocol):
    """ARP request or reply."""

    layer = Layer.ARP
    HEADER_BYTES = HEADER_BYTES
    SOURCE = "RFC 826, packet format"

    @staticmethod
    def decode(walk: Walk, offset: int) -> int:
        """See that the four addresses fit."""
        data = walk.data
        pair = data[offset + HARDWARE_LENGTH] + data[offset + PROTOCOL_LENGTH]
        end = offset + HEADER_BYTES + 2 * pair
        return walk.cut(end) if end > walk.limit else 0

    @staticmethod
    def fields(header: Header) -> None:
        """Describe the message; addresses that are not Ethernet or IPv4 are left as octets."""
        hardware_type = header.number("hardware_type", HARDWARE_TYPE, 2, {1: "Ethernet"})
        protocol_type = header.number("protocol_type", PROTOCOL_TYPE, 2, type_text)
        hardware = header.number("hardware_length", HARDWARE_LENGTH, 1)
        protocol = header.number("protocol_length", PROTOCOL_LENGTH, 1)
        operation = header.number("operation", OPERATION, 2, OPERATIONS)
        header.summary = show(operation, OPERATIONS)
        at = HEADER_BYTES
        texts = []
        for who in ("sender", "target"):
            if (hardware_type, hardware) == (1, 6):
                texts.append(header.mac(f"{who}_hardware_address", at))
            else:
                texts.append(header.octets(f"{who}_hardware_address", at, hardware).hex(":"))
            at += hardware
            if (protocol_type, protocol) == (0x0800, 4):
                texts.append(header.ip(f"{who}_protocol_address", at, 4))
            else:
                texts.append(header.octets(f"{who}_protocol_address", at, protocol).hex())
            at += protocol
        sender_mac, sender, target_mac, target = texts
        header.summary += f": {sender} ({sender_mac}) > {target} ({target_mac})"

# SPDX-License-Identifier: Apache-2.0
"""What is read of cooked headers without decoding them agrees with the protocols' description."""

from __future__ import annotations

import pytest

from genevecap.capture.linktypes import ETHERNET, LINUX_SLL, LINUX_SLL2
from genevecap.columns import FrameBatch
from genevecap.decode.cooked import ARPHRD_LOOPBACK, SENT, cooked
from genevecap.decode.protocols import sll, sll2


def batch(octets: bytes) -> FrameBatch:
    frames = FrameBatch(1)
    frames.buffer = bytearray(b"\xff" * 3 + octets)
    frames.offset[0], frames.captured_bytes[0], frames.count = 3, len(octets), 1
    return frames


def header(module, packet_type: int, arphrd: int) -> bytes:
    octets = bytearray(module.HEADER_BYTES)
    size = 2 if module is sll else 1
    octets[module.PACKET_TYPE : module.PACKET_TYPE + size] = packet_type.to_bytes(size, "big")
    octets[module.ARPHRD_TYPE : module.ARPHRD_TYPE + 2] = arphrd.to_bytes(2, "big")
    return bytes(octets)


@pytest.mark.parametrize(("module", "link_type"), [(sll, LINUX_SLL), (sll2, LINUX_SLL2)])
@pytest.mark.parametrize("packet_type", sorted(sll.PACKET_TYPES))
@pytest.mark.parametrize("arphrd", [1, ARPHRD_LOOPBACK])
def test_packet_type_and_kind_of_interface(module, link_type, packet_type, arphrd):
    octets = header(module, packet_type, arphrd)
    found = cooked(batch(octets), 0, link_type)
    assert found is not None
    assert found.sent == (sll.PACKET_TYPES[packet_type] == "sent by us")
    assert found.loopback == (sll.ARPHRD_TYPES[arphrd] == "loopback")
    assert cooked(batch(octets[:-1]), 0, link_type) is None
    assert cooked(batch(octets), 0, ETHERNET) is None


def test_sent_is_outgoing():
    assert sll.PACKET_TYPES[SENT] == "sent by us"

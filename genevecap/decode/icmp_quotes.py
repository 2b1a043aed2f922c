# SPDX-License-Identifier: Apache-2.0
"""ICMP messages that say a packet was too big, and the packet that they quote.

RFC 792 and RFC 1191 section 4 (type 3, code 4), RFC 4443 section 3.2 (type 2).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache

from ..columns import DecodedBatch, FrameBatch
from . import make_decoder
from .layers import Layer
from .protocols import icmp
from .settings import DecodeSettings

_HEADER_BYTES = 8
_PACKET_TOO_BIG = 2
_LINK_TYPES = {4: 228, 6: 229}
"""LINKTYPE_IPV4, LINKTYPE_IPV6: a packet without a link layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooBig:
    """A message: the MTU it gives, and the quoted packet, decoded as its only row."""

    next_hop_mtu_bytes: int
    """0 where an old router gives none."""
    quoted: DecodedBatch
    """Valid until the next message is asked for."""
    quoted_bytes: int
    """Length that the quoted header gives for its packet."""


def too_big(frames: FrameBatch, d: DecodedBatch, i: int, settings: DecodeSettings) -> TooBig | None:
    """Return what decoded row i says, None where it is no such message."""
    last = d.layer_start[i] + d.layer_count[i] - 1
    if last < d.layer_start[i] or d.layers.code[last] not in (Layer.ICMP, Layer.ICMPV6):
        return None
    row = d.first + i
    begin = frames.offset[row] + d.layers.offset[last]
    end = frames.offset[row] + frames.captured_bytes[row]
    data = bytes(frames.buffer[begin:end])
    if len(data) < _HEADER_BYTES:
        return None
    if d.layers.code[last] == Layer.ICMP:
        if (data[0], data[1]) != (icmp.UNREACHABLE, icmp.TOO_BIG):
            return None
        mtu, version = int.from_bytes(data[6:8], "big"), 4
    else:
        if data[0] != _PACKET_TOO_BIG:
            return None
        mtu, version = int.from_bytes(data[4:8], "big"), 6
    quote = data[_HEADER_BYTES:]
    said = int.from_bytes(quote[2:4], "big") if version == 4 else (
        int.from_bytes(quote[4:6], "big") + 40
    )  # fmt: skip
    return TooBig(
        next_hop_mtu_bytes=mtu,
        quoted=_quotes(settings).decode(quote, said, _LINK_TYPES[version]),
        quoted_bytes=said,
    )


class _Quotes:
    """Decodes quoted packets in batches of one row that are used again: there may be many."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._decoder = make_decoder(settings)
        self._frames = FrameBatch(1)
        self._frames.count = 1
        self._decoded = DecodedBatch(1)

    def decode(self, quote: bytes, size: int, link_type: int) -> DecodedBatch:
        """Decode a packet, which is cut short as a rule; size: what its header says."""
        frames = self._frames
        frames.buffer = bytearray(quote)
        frames.captured_bytes[0] = len(quote)
        frames.wire_bytes[0] = max(size, len(quote))
        frames.link_types = array("i", (link_type,))
        self._decoder.decode(frames, 0, self._decoded)
        return self._decoded


_quotes = lru_cache(maxsize=1)(_Quotes)

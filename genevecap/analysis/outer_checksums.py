# SPDX-License-Identifier: Apache-2.0
"""G20 and V05: UDP checksums of Geneve and VXLAN that are there, and wrong.

Every octet has to be added up, so this is done only where it is asked for.  A checksum that is only
begun (left to the network card) is not wrong.  Neither is one over an inner packet whose own
checksum is only begun: Linux computes the outer one as if the inner were finished already (local
checksum offload), so that both come right together.  So a checksum is judged where its datagram was
captured whole and is no fragment, and where all checksums inside are right, those of other tunnels
too.
"""

from __future__ import annotations

from ..columns import DecodedBatch, FrameBatch, TunnelKind
from ..decode.checksums import is_partial, ones_sum, pseudo_sum
from ..decode.layers import Layer
from .findings.noted import Noted
from .services import TCP, UDP
from .tables import FIRST_FRAMES

_CODES = {
    int(TunnelKind.GENEVE): "G20",
    int(TunnelKind.VXLAN): "V05",
    int(TunnelKind.VXLAN_GPE): "V05",
}
_TRANSPORTS = {int(Layer.TCP): (TCP, 16), int(Layer.UDP): (UDP, 6)}
"""IP protocol, and where the checksum stands, by layer."""

_UDP_BYTES = 8
_UDP_LENGTH = 4
_UDP_CHECKSUM = 6
_ADDRESSES = {4: (12, 20), 6: (8, 40)}
"""Where both addresses stand in the IP header, by version."""
_FRAGMENT_BITS = 0x3FFF
"""More fragments, and the offset (RFC 791 section 3.1)."""


class OuterChecksums:
    """Counts frames with a wrong checksum, by finding."""

    def __init__(self) -> None:
        self._packets: dict[str, int] = {}
        self._frames: dict[str, list[tuple[int, int]]] = {}

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> None:
        """Look at the rows that `keep` and hold a tunnel."""
        for i in range(decoded.count):
            if not decoded.keep[i] or not decoded.tunnel_count[i]:
                continue
            row = decoded.first + i
            begin = frames.offset[row]
            data = frames.buffer[begin : begin + frames.captured_bytes[row]]
            for code in _wrong_ones(data, decoded, i):
                self._packets[code] = self._packets.get(code, 0) + 1
                first = self._frames.setdefault(code, [])
                if len(first) < FIRST_FRAMES:
                    first.append((capture, frames.frame[row]))

    def note(self, noted: Noted) -> None:
        """Note what was counted."""
        for code, packets in self._packets.items():
            noted.note(code, packets=packets, frames=self._frames[code])


def _wrong_ones(data: bytearray, d: DecodedBatch, i: int) -> set[str]:
    """Return the findings about a frame, judged from the innermost tunnel to the outermost."""
    found = set()
    start = d.tunnel_start[i]
    for t in reversed(range(start, start + d.tunnel_count[i])):
        if d.tunnels.destination_port[t] < 0:
            continue  # there is no UDP
        is_right = _is_outer_right(data, d, t)
        if is_right:
            continue
        code = _CODES.get(d.tunnels.kind[t])
        if code is not None and is_right is False and _is_inner_right(data, d, i):
            found.add(code)
        break  # what is around it may be right only when this one is
    return found


def _number(data: bytearray, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _is_outer_right(data: bytearray, d: DecodedBatch, t: int) -> bool | None:
    """Tell whether the UDP checksum around a tunnel header is right, or not there.

    None where that cannot be told: it is not finished, or not all of the datagram is here.
    """
    version, ip = d.tunnels.version[t], d.tunnels.ip_offset[t]
    udp = d.tunnels.header_offset[t] - _UDP_BYTES
    length, field = _number(data, udp + _UDP_LENGTH), _number(data, udp + _UDP_CHECKSUM)
    if not field:
        return True
    is_whole = length >= _UDP_BYTES and udp + length <= len(data)
    if not is_whole or not _is_plain(data, version, ip, udp):
        return None
    first, last = _ADDRESSES[version]
    pseudo = pseudo_sum(data[ip + first : ip + last], UDP, length)
    datagram = data[udp : udp + length]
    if is_partial(field, pseudo, datagram):
        return None
    return (pseudo + ones_sum(datagram)) % 0xFFFF == 0


def _is_plain(data: bytearray, version: int, ip: int, udp: int) -> bool:
    """Tell whether UDP follows the IP header directly, in a packet that is no fragment."""
    if version == 4:
        return not _number(data, ip + 6) & _FRAGMENT_BITS
    return ip + 40 == udp


def _is_inner_right(data: bytearray, d: DecodedBatch, i: int) -> bool:
    """Tell whether the innermost checksum is right, or there is none to finish."""
    layer = d.layer_start[i] + d.layer_count[i] - 1
    transport = _TRANSPORTS.get(d.layers.code[layer])
    if transport is None:
        return True
    protocol, place = transport
    ip, begin = d.inner_offset[i], d.layers.offset[layer]
    end = ip + d.inner_bytes[i]
    if end > len(data) or begin + place + 2 > end or d.inner_fragment[i] & _FRAGMENT_BITS:
        return False
    segment = data[begin:end]
    if protocol == UDP and not _number(segment, place):
        return True
    first, last = _ADDRESSES[d.inner_version[i]]
    pseudo = pseudo_sum(data[ip + first : ip + last], protocol, len(segment))
    return (pseudo + ones_sum(segment)) % 0xFFFF == 0

# SPDX-License-Identifier: Apache-2.0
"""One frame without its tunnels or with the other format: octets compared with built ones."""

from __future__ import annotations

import random
import struct
from ipaddress import ip_address

import pytest

from genevecap.columns import TunnelKind
from genevecap.decode.readable import ReadableDecoder
from genevecap.decode.rewrite import Kept, decapsulated, encapsulated
from tests.build import packets as p
from tests.decode.vectors import VECTORS
from tests.properties.decoders import (
    UDP_TABLE,
    batch_of,
    decode_all,
    mutated,
    prefixes,
    readable_decoder,
)

VXLAN, GENEVE = TunnelKind.VXLAN, TunnelKind.GENEVE
OVN = p.geneve_option(0x0102, 0x80, bytes.fromhex("00010002"))
INNER = p.ethernet(p.ipv4(p.tcp(b"hello, hello"), 6, "10.1.0.1", "10.1.0.2"))


def rewrite(function, frame, *arguments, captured=None, link=1):
    made = batch_of([(link, frame[:captured], len(frame))])
    (decoded,) = decode_all(readable_decoder(), made)
    return function(made, decoded, 0, *arguments)


def pseudo_header(source, destination, length):
    addresses = ip_address(source).packed + ip_address(destination).packed
    return addresses + struct.pack(">HH", 17, length)


def udp_with_checksum(payload, port, source="10.0.0.1", destination="10.0.0.2"):
    """A UDP datagram whose checksum is right (RFC 768)."""
    datagram = p.udp(payload, 50000, port)
    value = p.checksum(pseudo_header(source, destination, len(datagram)) + datagram)
    return p.udp(payload, 50000, port, check=value or 0xFFFF)


def outer4(payload, port, checked):
    udp = udp_with_checksum(payload, port) if checked else p.udp(payload, 50000, port)
    return p.ethernet(p.ipv4(udp, flags=2, identification=9))


def outer6(payload, port, checked=True):
    source, destination = "fd00::1", "fd00::2"
    udp = udp_with_checksum(payload, port, source, destination)
    return p.ethernet(p.ipv6(udp if checked else p.udp(payload, 50000, port)), 0x86DD)


@pytest.mark.parametrize("outer", [outer4, outer6])
@pytest.mark.parametrize("checked", [True, False])
def test_geneve_to_vxlan_and_back(outer, checked):
    geneve = outer(p.geneve(INNER, 7, options=OVN), 6081, checked)
    vxlan = outer(p.vxlan(INNER, 7), 4789, checked)
    bare = outer(p.geneve(INNER, 7), 6081, checked)
    there = rewrite(encapsulated, geneve, VXLAN)
    assert (there.data, there.wire_bytes, there.link_type) == (vxlan, len(vxlan), 1)
    back = rewrite(encapsulated, vxlan, GENEVE)
    assert (back.data, back.wire_bytes) == (bare, len(bare))


def test_another_vni():
    geneve = outer4(p.geneve(INNER, 7, options=OVN), 6081, True)
    again = rewrite(encapsulated, geneve, GENEVE, 70000)
    assert again.data == outer4(p.geneve(INNER, 70000, options=OVN), 6081, True)
    assert rewrite(encapsulated, geneve, VXLAN, 3).data == outer4(p.vxlan(INNER, 3), 4789, True)


def test_a_port_of_ones_own_stays_where_the_format_does():
    made = batch_of([(1, outer4(p.vxlan(INNER, 7), 8472, True), 200)])
    (decoded,) = decode_all(readable_decoder(), made)
    again = encapsulated(made, decoded, 0, VXLAN, 9)
    assert again.data == outer4(p.vxlan(INNER, 9), 8472, True)


def test_ip_without_ethernet_gets_one_in_vxlan():
    packet = INNER[14:]
    geneve = outer4(p.geneve(packet, 7, protocol=0x0800), 6081, True)
    assert rewrite(encapsulated, geneve, VXLAN).data == outer4(
        p.vxlan(p.ethernet(packet), 7), 4789, True
    )
    assert rewrite(decapsulated, geneve).data == p.ethernet(packet)


def test_gpe_to_geneve():
    gpe = outer4(p.vxlan_gpe(INNER[14:], 7, next_protocol=1), 4790, True)
    assert rewrite(encapsulated, gpe, GENEVE).data == outer4(
        p.geneve(INNER[14:], 7, protocol=0x0800), 6081, True
    )


def test_nested_tunnels():
    within = outer4(p.geneve(INNER, 7, options=OVN), 6081, True)
    nested = outer4(p.vxlan(within, 1), 4789, True)
    both = outer4(p.vxlan(outer4(p.vxlan(INNER, 7), 4789, True), 1), 4789, True)
    result = rewrite(encapsulated, nested, VXLAN)
    assert (result.data, result.wire_bytes) == (both, len(nested) - 8)
    assert rewrite(decapsulated, nested).data == INNER


def test_padding_behind_the_outer_packet_is_left_out():
    frame = outer4(p.vxlan(INNER, 7), 4789, False)
    assert rewrite(decapsulated, frame + bytes(10)).data == INNER


def test_what_holds_no_length_goes_to_the_end():
    """Super-packets of more than 64 KB have lengths of 0, which say nothing and stay."""
    datagram = p.udp(p.geneve(INNER, 7, options=OVN), 50000, 6081, length=0)
    frame = p.ethernet(p.ipv4(datagram, total_length=0))
    assert rewrite(decapsulated, frame).data == INNER
    changed = p.ethernet(p.ipv4(p.udp(p.vxlan(INNER, 7), 50000, 4789, length=0), total_length=0))
    assert rewrite(encapsulated, frame, VXLAN).data == changed


@pytest.mark.parametrize("captured", range(14 + 20 + 8 + 16, 130, 3))
def test_a_packet_that_was_cut_has_the_checksum_of_the_whole(captured):
    inner = p.ethernet(p.ipv4(p.tcp(random.Random(1).randbytes(60)), 6))
    geneve = outer4(p.geneve(inner, 7, options=OVN), 6081, True)
    vxlan = outer4(p.vxlan(inner, 7), 4789, True)
    there = rewrite(encapsulated, geneve, VXLAN, captured=captured)
    assert (there.data, there.wire_bytes) == (vxlan[: captured - 8], len(vxlan))
    inside = rewrite(decapsulated, geneve, captured=captured)
    assert (inside.data, inside.wire_bytes) == (inner[: captured - 58], len(inner))


def fragments(payload, size):
    return [
        p.ethernet(p.ipv4(payload[:size], flags=1)),
        p.ethernet(p.ipv4(payload[size:], fragment_offset=size)),
    ]


def test_fragments():
    payload = p.udp(p.vxlan(INNER, 7), 50000, 4789)
    first, second = fragments(payload, 80)
    # The header of the other format is as long: the fragments still fit together.
    assert (
        rewrite(encapsulated, first, GENEVE).data
        == (fragments(p.udp(p.geneve(INNER, 7), 50000, 6081), 80)[0])
    )
    with pytest.raises(Kept, match="no tunnel"):
        rewrite(encapsulated, second, GENEVE)
    with pytest.raises(Kept, match="fragment"):
        rewrite(decapsulated, first)
    with_options = fragments(p.udp(p.geneve(INNER, 7, options=OVN), 50000, 6081), 80)[0]
    with pytest.raises(Kept, match="fragment"):
        rewrite(encapsulated, with_options, VXLAN)


def test_what_is_left_alone():
    for function, arguments in ((decapsulated, ()), (encapsulated, (VXLAN,))):
        with pytest.raises(Kept, match="no tunnel"):
            rewrite(function, INNER, *arguments)
    with pytest.raises(Kept, match="nothing to change"):
        rewrite(encapsulated, outer4(p.vxlan(INNER, 7), 4789, True), VXLAN)
    gpe = outer4(p.vxlan_gpe(bytes(20), 7, next_protocol=0x77), 4790, True)
    with pytest.raises(Kept, match="unknown payload"):
        rewrite(encapsulated, gpe, GENEVE)
    with pytest.raises(Kept, match="unknown payload"):
        rewrite(decapsulated, gpe)
    large = outer4(p.geneve(bytes(65490), 7, protocol=0x0800), 6081, True)
    with pytest.raises(Kept, match="too large"):
        rewrite(encapsulated, large, VXLAN)


def greed(payload, protocol, **fields):
    return p.ethernet(p.ipv4(p.gre(payload, protocol, **fields), 47))


@pytest.mark.parametrize("protocol", [0x880B, 0x2001, 0x8240, 0])
def test_what_gre_holds_is_not_always_an_ethertype(protocol):
    """PPP of PPTP (RFC 2637), NHRP (RFC 2332), a vendor's own, Cisco's keep-alive."""
    with pytest.raises(Kept, match="unknown payload"):
        rewrite(decapsulated, greed(bytes(20), protocol))


@pytest.mark.parametrize("redirect", [b"", bytes((0, 1, 2, 3))])
def test_a_redirected_packet_is_ipv4(redirect):
    assert rewrite(decapsulated, greed(redirect + INNER[14:], 0x883E)).data == INNER


def test_what_erspan_holds():
    second, third = p.erspan_2(INNER), p.erspan_3(INNER)
    assert rewrite(decapsulated, greed(second, 0x88BE, sequence=1)).data == INNER
    assert rewrite(decapsulated, greed(third, 0x22EB, sequence=1)).data == INNER
    packet, other = bytearray(p.erspan_3(INNER[14:])), bytearray(third)
    packet[10], other[10] = 2 << 2, 7 << 2  # frame types: IP, and one that nothing describes
    assert rewrite(decapsulated, greed(packet, 0x22EB, sequence=1)).data == INNER
    with pytest.raises(Kept, match="unknown payload"):
        rewrite(decapsulated, greed(other, 0x22EB, sequence=1))


def test_the_trailer_of_esp_is_left_out():
    """Padding, its length, next header and an ICV of 12 octets (RFC 4303 section 2)."""
    carried = p.esp(INNER[14:] + bytes((1, 2, 2, 4)) + bytes(12))
    frame = p.ethernet(p.ipv4(carried, 50))
    made = batch_of([(1, frame, len(frame))])
    (decoded,) = decode_all(ReadableDecoder(UDP_TABLE, 12), made)
    result = decapsulated(made, decoded, 0)
    assert (result.data, result.wire_bytes) == (INNER, len(INNER))


def test_what_is_guarded_against_change_is_not_changed():
    """An integrity check value cannot be made right without the key."""
    udp = p.udp(p.geneve(INNER, 7, options=OVN), 50000, 6081)
    guarded = p.ethernet(p.ipv4(p.ah(udp), 51))
    with pytest.raises(Kept, match="integrity check"):
        rewrite(encapsulated, guarded, VXLAN)
    assert rewrite(decapsulated, guarded).data == INNER
    inside = p.ethernet(p.ipv4(p.ah(p.udp(b"x")), 51))
    changed = rewrite(encapsulated, outer4(p.geneve(inside, 7), 6081, True), VXLAN)
    assert changed.data == outer4(p.vxlan(inside, 7), 4789, True)


def test_raw_ip_and_cooked_captures():
    frame = outer4(p.vxlan(INNER, 7), 4789, False)[14:]
    result = rewrite(decapsulated, frame, link=101)
    assert (result.data, result.link_type) == (INNER, 1)
    assert rewrite(encapsulated, frame, GENEVE, link=101).link_type == 101
    packet = outer4(p.geneve(INNER[14:], 7, protocol=0x0800), 6081, False)[14:]
    assert rewrite(decapsulated, p.sll2(packet), link=276).data == bytes(12) + INNER[12:]


def test_whatever_the_octets_are():
    """Rewritten or kept, but no other error, and lengths that can be written."""
    frames = [(vector.link_type, vector.data, len(vector.data)) for vector in VECTORS]
    made = batch_of([*prefixes(frames), *mutated(frames, 20_000, 5)])
    rewritten = 0
    for decoded in decode_all(readable_decoder(), made):
        for i in range(decoded.count):
            for function, arguments in (
                (decapsulated, ()), (encapsulated, (VXLAN,)), (encapsulated, (GENEVE, 5)),
            ):  # fmt: skip
                try:
                    result = function(made, decoded, i, *arguments)
                except Kept:
                    continue
                rewritten += 1
                assert len(result.data) <= result.wire_bytes
    assert rewritten > 1000

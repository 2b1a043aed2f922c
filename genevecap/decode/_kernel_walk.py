# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
# mypy: ignore-errors
"""One frame from its outermost header to where decoding stops, compiled.

`HANDLERS` is the kernel's side of the registry: a layer that has a function there is decoded, any
other ends its frame as `unsupported`.  A tunnel has a line in `IS_TUNNEL` too: `run` sees to it
that there is room for its row.
"""

from __future__ import annotations

import cython
from cython.cimports.genevecap.decode._kernel_gre import erspan, gre
from cython.cimports.genevecap.decode._kernel_link import (
    arp,
    ethernet,
    llc,
    loop,
    mpls,
    null_family,
    raw,
    sll,
    sll2,
    vlan,
)
from cython.cimports.genevecap.decode._kernel_network import ipv4, ipv6
from cython.cimports.genevecap.decode._kernel_security import ah, esp, macsec, stt, wireguard
from cython.cimports.genevecap.decode._kernel_state import (
    AH,
    ARP,
    ENCODED_LAYERS,
    ERSPAN,
    ESP,
    ETHERNET,
    GENEVE,
    GRE,
    GTPU,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    LLC,
    LOOP,
    MACSEC,
    MAX_LAYERS,
    MAX_TUNNELS,
    MPLS,
    NSH,
    NULL_FAMILY,
    NVGRE,
    RAW,
    SCTP,
    SLL,
    SLL2,
    STT,
    TCP,
    TOO_DEEP,
    UDP,
    UNSUPPORTED,
    VLAN,
    VXLAN,
    VXLAN_GPE,
    WIREGUARD,
    Handler,
    begin,
    end_at,
)
from cython.cimports.genevecap.decode._kernel_transport import icmp, icmpv6, sctp, tcp, udp
from cython.cimports.genevecap.decode._kernel_tunnels import geneve, gtpu, nsh, vxlan, vxlan_gpe
from cython.cimports.libc.string import memset

HANDLERS = cython.declare(Handler[256])
memset(HANDLERS, 0, cython.sizeof(HANDLERS))
HANDLERS[ETHERNET] = ethernet
HANDLERS[VLAN] = vlan
HANDLERS[MPLS] = mpls
HANDLERS[LLC] = llc
HANDLERS[SLL] = sll
HANDLERS[SLL2] = sll2
HANDLERS[RAW] = raw
HANDLERS[NULL_FAMILY] = null_family
HANDLERS[LOOP] = loop
HANDLERS[ARP] = arp
HANDLERS[IPV4] = ipv4
HANDLERS[IPV6] = ipv6
HANDLERS[UDP] = udp
HANDLERS[TCP] = tcp
HANDLERS[SCTP] = sctp
HANDLERS[ICMP] = icmp
HANDLERS[ICMPV6] = icmpv6
HANDLERS[GENEVE] = geneve
HANDLERS[VXLAN] = vxlan
HANDLERS[VXLAN_GPE] = vxlan_gpe
HANDLERS[GRE] = gre
HANDLERS[NVGRE] = gre
HANDLERS[ERSPAN] = erspan
HANDLERS[NSH] = nsh
HANDLERS[GTPU] = gtpu
HANDLERS[ESP] = esp
HANDLERS[AH] = ah
HANDLERS[MACSEC] = macsec
HANDLERS[WIREGUARD] = wireguard
HANDLERS[STT] = stt

# Layers that add a row to the tunnel table: begun only while there is room for one.
IS_TUNNEL = cython.declare(cython.bint[256])
memset(IS_TUNNEL, 0, cython.sizeof(IS_TUNNEL))
IS_TUNNEL[GENEVE] = True
IS_TUNNEL[VXLAN] = True
IS_TUNNEL[VXLAN_GPE] = True
IS_TUNNEL[GRE] = True
IS_TUNNEL[NVGRE] = True
IS_TUNNEL[GTPU] = True


def is_handled(layer):
    """Tell whether a layer has a function here."""
    return HANDLERS[layer] != cython.NULL


def run(f):
    """Decode one frame, from `f.next` at its first octet to where it stops."""
    code: cython.uint
    handler: Handler
    while True:
        code = f.next
        handler = HANDLERS[code] if code < ENCODED_LAYERS else cython.NULL
        if f.layer_count == MAX_LAYERS or (
            f.tunnel_count == MAX_TUNNELS and code < ENCODED_LAYERS and IS_TUNNEL[code]
        ):
            end_at(f, TOO_DEEP, code, f.position)
            break
        if handler == cython.NULL:
            begin(f, code, f.position)
            end_at(f, UNSUPPORTED, code, f.position)
            break
        if not handler(f):
            break
    if f.ran_past:
        back_to_fragment(f)
    if f.payload_end:
        leave_out_trailer(f)


def back_to_fragment(f):
    """Describe the frame as the first fragment past whose end a header ran."""
    f.inner = f.fragment
    if f.fragment_ip_count == 1:
        f.outer = f.fragment
    f.tunnel_count = f.fragment_tunnels
    f.option_count = f.fragment_options
    memset(cython.address(f.tcp), 0, cython.sizeof(f.tcp))


def leave_out_trailer(f):
    """Count no octet of an ESP trailer as payload, and forget it."""
    if f.inner.payload_offset + f.inner.payload_bytes > f.payload_end:
        f.inner.payload_bytes = (
            f.payload_end - f.inner.payload_offset if f.payload_end > f.inner.payload_offset else 0
        )
    f.payload_end = 0

# SPDX-License-Identifier: Apache-2.0
"""The network that tunnels cross: protection, paths, and who sends what."""

from __future__ import annotations

from . import COUNTED, Rule


class PlainTunnel(Rule):
    """Anyone on the way can read what is inside."""

    code = "U01"
    severity = "warning"
    told_by = COUNTED
    message = "tunnel between hosts in the clear"
    explanation = (
        "Geneve and VXLAN encrypt nothing: whoever sees the underlay reads and changes what "
        "is inside, and can inject packets into the VNI. Details say what was readable, by "
        "port. Tunnels that carry only what is encrypted by itself (HBONE, TLS, QUIC, SSH, "
        "IPsec, WireGuard) are not counted, nor those whose hosts exchange at least as much "
        "IPsec or WireGuard: there the plain packet is what was decrypted. Istio's own "
        "tunnels to ztunnel never leave the node."
    )
    remedy = (
        "Encrypt between the nodes (IPsec, WireGuard, MACsec), or put all workloads into the mesh."
    )
    source = "RFC 7348 section 7, RFC 8926 section 6.1"
    display_filter = "geneve || vxlan"


class ProtectedHosts(Rule):
    """IPsec, WireGuard or MACsec was seen."""

    code = "U02"
    severity = "info"
    told_by = COUNTED
    message = "traffic between hosts is encrypted"
    explanation = "What is inside cannot be told, tunnels included."
    remedy = "None is needed. To look inside, capture before encryption: on the tunnel device."
    source = "RFC 4303, IEEE 802.1AE, https://www.wireguard.com/protocol/"
    display_filter = "esp || wg || macsec"


class ScatteredFlow(Rule):
    """One flow is spread over many source ports."""

    code = "U03"
    severity = "warning"
    told_by = COUNTED
    message = "one inner flow, many outer source ports"
    explanation = (
        "The source port stands for the flow: networks choose a path by it. A flow whose port "
        "keeps changing takes several paths and arrives out of order, which TCP takes for "
        "loss. Counted are flows of at least 32 packets in which every fourth packet or more "
        "has another port than the one before; a port that changes now and then is Linux "
        "choosing another path after a timeout. Of tunnels in tunnels the outermost is looked at."
    )
    remedy = "Check how the sender makes the source port: it should be a hash of the inner headers."
    source = "RFC 8926 section 3.3, RFC 7348 section 5"
    display_filter = "geneve || vxlan"


class NoEntropy(Rule):
    """Many flows share one source port."""

    code = "U04"
    severity = "warning"
    told_by = COUNTED
    message = "many inner flows, one outer source port"
    explanation = (
        "Networks choose one of several paths by the outer ports. With one source port all "
        "traffic of the tunnel takes one path and is handled by one receive queue, however "
        "many there are. Counted are tunnels with at least 16 inner flows."
    )
    remedy = (
        "Let the sender choose the source port by a hash of the inner headers; without a "
        "choice of paths or queues nothing is lost."
    )
    source = "RFC 8926 section 3.3, RFC 7348 section 5"
    display_filter = "geneve || vxlan"


class MovingFlow(Rule):
    """Two endpoints send the packets of one flow in turn."""

    code = "U05"
    severity = "warning"
    told_by = COUNTED
    message = "one flow from several tunnel endpoints"
    explanation = (
        "An address of a VNI lives behind one endpoint. Here packets of one flow came from "
        "one endpoint, then from another, then from the first again: an address that is used "
        "twice, a loop, or two endpoints that both believe to be responsible. A workload that "
        "moves does so once, and a packet that is passed on from endpoint to endpoint is not "
        "counted. Counted are packets from another endpoint than the packet before; of tunnels "
        "in tunnels the outermost is looked at."
    )
    remedy = (
        "Look at which of the two endpoints the address belongs to, and for the same address "
        "behind both."
    )
    source = "RFC 7348 section 4.1"
    display_filter = "geneve || vxlan"


class Replayed(Rule):
    """A packet number that was there before."""

    code = "U06"
    severity = "warning"
    told_by = COUNTED
    message = "encrypted packets with a number used before"
    explanation = (
        "ESP, WireGuard and MACsec number their packets, and no number is used twice with one key. "
        "A packet that comes again was replayed by somebody, duplicated on the way, or captured "
        "twice (by a mirror port that copies both directions). Receivers drop all but the first. "
        "Looked for are the last 1,024 numbers of each sender, receiver and key at each capture "
        "point. What has no such number (plain tunnels) is a matter of U07."
    )
    remedy = "Rule out that the capture shows each packet twice; then look for a loop or an attack."
    source = (
        "RFC 4303 section 3.4.3, IEEE 802.1AE section 10.6, https://www.wireguard.com/protocol/"
    )
    display_filter = "esp || wg || macsec"


class Repeated(Rule):
    """A packet of a plain tunnel that was there before."""

    code = "U07"
    severity = "warning"
    told_by = COUNTED
    message = "packets in tunnels that were there before"
    explanation = (
        "One capture point shows the same packet in the same tunnel twice within a second. "
        "Somebody replayed it, the network duplicated it (a loop, two routers that both forward "
        "it), or it was captured twice (by a mirror port that copies both directions, or two "
        "captures of one interface that were merged). Geneve and VXLAN have no number that "
        "would let a receiver drop it. Counted are packets that are equal in tunnel, flow, TTL, "
        "lengths, identifications and sequence number or checksum to one of the latest 4,096 in "
        "tunnels. A retransmission is a packet of its own, with identifications of its own, and "
        "so is a copy for another tunnel endpoint. An IPv4 identification has to tell: where "
        "the outer and the inner one are 0 or never change in the tunnel, or neither header is "
        "IPv4, nothing is said, nor of fragments inside, nor of captures of `any` in their "
        "first form (SLL), which show one packet many times."
    )
    remedy = "Rule out that the capture shows each packet twice; then look for a loop or an attack."
    source = "RFC 791 section 3.2, RFC 6864 section 4, RFC 7348 section 7"
    display_filter = "geneve || vxlan"

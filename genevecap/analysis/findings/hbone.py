# SPDX-License-Identifier: Apache-2.0
"""Protection and health of HBONE connections, from their handshakes and retransmissions.

`health.hbone` finds them.
"""

from __future__ import annotations

from . import OF_THE_MESH, Rule


class NotTls13(Rule):
    """An older version of TLS, or one that nobody should use."""

    code = "H01"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE with a version of TLS older than 1.3"
    explanation = (
        "Istio's HBONE is TLS 1.3; from 1.30 TLS 1.2 can be allowed. With TLS 1.2 certificates, "
        "and with them the identities of workloads, cross the network in plain."
    )
    remedy = "Take the opt-in back (TLS12_ENABLED), or update the peer that cannot do TLS 1.3."
    source = "RFC 8446 section 4.2.1; istio/ztunnel src/tls/lib.rs (TLS12_ENABLED)"
    display_filter = (
        "tcp.srcport == 15008 && tls.handshake.type == 2 && "
        "!(tls.handshake.extensions.supported_version == 0x0304)"
    )


class NotAsIstio(Rule):
    """A ClientHello that is not like Istio's."""

    code = "H02"
    severity = "info"
    told_by = OF_THE_MESH
    message = "ClientHello on port 15008 is not as Istio's"
    explanation = (
        "ztunnel, waypoints and gateways offer ALPN h2 and name no server. Another program may be "
        "speaking here, or a proxy between; a server's name in it is readable on the network."
    )
    remedy = "Look who opens these connections."
    source = "istio/ztunnel src/tls/workload.rs (1.24 to 1.31); RFC 7301; RFC 6066 section 3"
    display_filter = (
        "tcp.dstport == 15008 && tls.handshake.type == 1 && (tls.handshake.extensions_server_name "
        '|| !(tls.handshake.extensions_alpn_str == "h2"))'
    )


class NoClientCertificate(Rule):
    """TLS in one direction only."""

    code = "H03"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE without a client certificate"
    explanation = (
        "HBONE is authenticated by both sides. Without the client's certificate the server cannot "
        "know who calls. Keys show whether there was one; without keys that is inferred, and said "
        "to be: the client's answer to the handshake is too short to hold one."
    )
    remedy = "Look who opens these connections; ztunnel, waypoints and gateways send a certificate."
    source = "RFC 8446 section 4.4; istio/ztunnel src/tls/workload.rs"
    display_filter = "tcp.dstport == 15008 && tls.handshake.type == 1"


class ClassicKeyExchange(Rule):
    """Key exchange that a quantum computer could undo later."""

    code = "H04"
    severity = "info"
    told_by = OF_THE_MESH
    message = "HBONE's key exchange is not post-quantum"
    explanation = (
        "What is recorded today could be decrypted by a quantum computer one day. Istio uses the "
        "hybrid X25519MLKEM768 only where both sides offer it."
    )
    remedy = (
        "Where recordings must stay secret for decades, turn post-quantum key exchange on "
        "(COMPLIANCE_POLICY=pqc)."
    )
    source = "draft-ietf-tls-ecdhe-mlkem section 6; istio/ztunnel src/tls/lib.rs"
    display_filter = (
        "tcp.srcport == 15008 && tls.handshake.type == 2 && "
        "!(tls.handshake.extensions_key_share_group == 0x11ec)"
    )


class PostQuantum(Rule):
    """Hybrid key exchange."""

    code = "H05"
    severity = "info"
    told_by = OF_THE_MESH
    message = "HBONE's key exchange is post-quantum"
    explanation = (
        "The server chose a group with ML-KEM in it (X25519MLKEM768 as a rule), so that a "
        "recording stays secret if one of the two methods is broken."
    )
    remedy = "None is needed."
    source = "draft-ietf-tls-ecdhe-mlkem section 6"
    display_filter = (
        "tcp.srcport == 15008 && tls.handshake.type == 2 && "
        "tls.handshake.extensions_key_share_group == 0x11ec"
    )


class Retransmissions(Rule):
    """Segments of HBONE were sent again."""

    code = "H06"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "retransmissions inside HBONE hold up all sessions on the connection"
    explanation = (
        "All streams of an HBONE connection share one TCP connection: what comes behind a lost "
        "segment waits for it, whichever session it is of (head-of-line blocking). Counted are "
        "retransmissions at the point that saw most, where they are more than 1 in 1,000 packets "
        "of a direction; probes of idle connections, PINGs and repeated sightings of a packet are "
        "none."
    )
    remedy = "Look for loss, or for a full queue or policer, between the two nodes."
    source = "RFC 9113 section 5.2; RFC 9293 section 3.8.1"
    display_filter = (
        "tcp.port == 15008 && tcp.len > 0 && "
        "(tcp.analysis.retransmission || tcp.analysis.out_of_order)"
    )


class SynRepeated(Rule):
    """HBONE was slow to open."""

    code = "H07"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE's SYN had to be sent again before it was answered"
    explanation = (
        "The first SYN, or its answer, was lost. It is sent again after a second, and all sessions "
        "that wait for the connection wait as long."
    )
    remedy = "Look for loss between the two nodes, and for full connection tracking tables."
    source = "RFC 6298 section 2; istio/ztunnel src/proxy/pool.rs"
    display_filter = "tcp.dstport == 15008 && tcp.flags.syn == 1 && tcp.analysis.retransmission"


class NotTls(Rule):
    """Something else on HBONE's port."""

    code = "H08"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "port 15008 carries something that is not TLS"
    explanation = (
        "HBONE is HTTP/2 inside mutual TLS. The first octets from the client are no TLS record: "
        "they are readable, or of another protocol."
    )
    remedy = "Look which program connects to port 15008 of a pod, and what listens there."
    source = "istio/ztunnel src/proxy/inbound.rs; RFC 8446 section 5.1"
    display_filter = "tcp.dstport == 15008 && tcp.len > 0 && !tls"

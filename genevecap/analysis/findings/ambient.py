# SPDX-License-Identifier: Apache-2.0
"""Health of an Istio ambient mesh: whether traffic is intercepted, and whether HBONE gets through.

`analysis.health` finds them, from connections and sessions; absence is accused only where the
points that would show the contrary were captured.
"""

from __future__ import annotations

from . import COUNTED, OF_THE_MESH, Rule


class Bypassed(Rule):
    """Plain TCP between two pods of the mesh."""

    code = "A01"
    severity = "error"
    told_by = OF_THE_MESH
    message = "traffic between pods of the mesh goes around ztunnel"
    explanation = (
        "Both pods speak HBONE elsewhere in the capture, but this connection between them was in "
        "plain sight: nothing encrypts it but perhaps the application itself, nobody authenticated "
        "it, and no policy was applied to it."
    )
    remedy = (
        "Look at the redirection in the client's pod or node: the iptables rules and ip rules that "
        "istio-cni makes, and whether the pod was enrolled before the connection was opened."
    )
    source = "istio/istio cni/pkg/iptables/iptables.go (1.21 to 1.31)"
    display_filter = "tcp && !(tcp.port == 15008)"


class LostInZtunnel(Rule):
    """A client's SYN went to ztunnel and was never answered."""

    code = "A02"
    severity = "error"
    told_by = OF_THE_MESH
    message = "SYNs enter istioout, and nothing of them leaves ztunnel"
    explanation = (
        "The node sends the client's SYN to ztunnel through istioout, but past ztunnel's own link, "
        "which was captured, nothing comes back, or ztunnel takes the connection and opens none "
        "for it: neither HBONE nor a plain one. The client hangs until it gives up."
    )
    remedy = (
        "Look for ztunnel's pod: whether it runs and knows the destination, whether pistioout and "
        "pistioin exist in it with the same UDP port as the node's devices, and whether its TPROXY "
        "rules are there."
    )
    source = "istio/istio cni/pkg/ambient/net_linux.go (1.18 to 1.20)"
    display_filter = "geneve.vni == 1001 && tcp.flags.syn == 1"


class Unreachable(Rule):
    """SYNs to port 15008 without an answer."""

    code = "A03"
    severity = "error"
    told_by = ("inspect", *OF_THE_MESH, "diff captures")
    message = "HBONE's port 15008 cannot be reached"
    explanation = (
        "ztunnel's SYNs to port 15008 are dropped, or reset. It tries for ten seconds and then "
        "resets the client's connection; attempts for one destination wait for each other, so the "
        "next one fails after twenty seconds, and so on. `inspect` tells SYNs that are repeated "
        "while the client sends nothing else; `flows` tells resets and who waited, too."
    )
    remedy = (
        "Allow TCP port 15008 towards the pods of the mesh in NetworkPolicies and firewalls; where "
        "it is reset, look whether the server's pod is enrolled and its ztunnel runs."
    )
    source = "istio/ztunnel src/proxy.rs (1.24 to 1.31)"
    display_filter = "tcp.dstport == 15008 && tcp.flags.syn == 1"


class Refused(Rule):
    """The server's ztunnel could not connect to the server."""

    code = "A04"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE streams were refused: the server does not take connections"
    explanation = (
        "HBONE was opened, but the server's ztunnel could not connect to the server and answered "
        "503; the client's ztunnel then resets the client's connection."
    )
    remedy = "Look whether the server listens on that port, and on the pod's address."
    source = "istio/ztunnel src/proxy/inbound.rs (1.24 to 1.31)"
    display_filter = "tcp.flags.reset == 1 && !(tcp.port == 15008)"


class Denied(Rule):
    """A policy denies the connection."""

    code = "A05"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE streams were denied by a policy"
    explanation = (
        "The server's ztunnel answered 401: an AuthorizationPolicy (or PeerAuthentication) does "
        "not allow this client. Nothing reaches the server, and the client's connection is reset."
    )
    remedy = "If the client should be allowed, look at the AuthorizationPolicies of the server."
    source = "istio/ztunnel src/proxy/inbound.rs (1.24 to 1.31)"
    display_filter = "tcp.flags.reset == 1 && !(tcp.port == 15008)"


class RefusedOrDenied(Rule):
    """The one or the other; the capture does not say which."""

    code = "A06"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE streams were refused or denied"
    explanation = (
        "HBONE brought an answer as short as 503 or 401, and the client's connection was reset. "
        "Which of the two it was shows neither at these points nor in a log."
    )
    remedy = (
        "Capture the server pod's lo as well, or give keys (--keylog) or ztunnel's access log "
        "(--ztunnel-log); then look at the server and its AuthorizationPolicies."
    )
    source = "istio/ztunnel src/proxy/inbound.rs (1.24 to 1.31)"
    display_filter = "tcp.flags.reset == 1 && !(tcp.port == 15008)"


class NotReused(Rule):
    """Each client connection opens HBONE anew."""

    code = "A07"
    severity = "warning"
    told_by = OF_THE_MESH
    message = "HBONE connections are not reused"
    explanation = (
        "New HBONE connections were opened to the same server while others were open and carried "
        "a single stream each, far below the limit of 100. Every client connection then waits for "
        "a TCP and a TLS handshake of its own. Istio 1.18 always does so; later it pools."
    )
    remedy = "Update ztunnel from 1.18; else look for what keeps its pool from finding connections."
    source = "istio/ztunnel src/proxy/pool.rs (1.19 to 1.31)"
    display_filter = "tcp.dstport == 15008 && tcp.flags.syn == 1"


class SlowZtunnel(Rule):
    """Octets stay long in a proxy."""

    code = "A08"
    severity = "warning"
    told_by = ("latency",)
    message = "octets stay long in ztunnel"
    explanation = (
        "From the arrival of octets to their departure ztunnel takes 0.1 to 0.3 ms as a rule. "
        "Here half of the sessions had none that passed in less than the limit (10 ms, or what "
        "`latency --slow-proxy` says). What waits because the "
        "next connection takes no more meanwhile does not count, for others pass before it; and "
        "the first octets of a connection, which wait until HBONE is open, do not count either."
    )
    remedy = "Look at ztunnel's CPU limits, whether it is throttled, and the load of the node."
    source = "istio/ztunnel src/copy.rs (1.24 to 1.31)"
    display_filter = "tcp.port == 15008"


class NodeLocal(Rule):
    """Kubelet's probes and other callers of the node itself."""

    code = "A09"
    severity = "info"
    told_by = COUNTED
    message = "connections from the node itself (169.254.7.127): not intercepted, as they should"
    explanation = (
        "Istio translates every connection from a socket of the node to an enrolled pod to this "
        "address (or fd16:9254:7127:1337:ffff:ffff:ffff:ffff), so that kubelet's probes are told "
        "apart and reach the pod without HBONE. They are never counted as going around the mesh."
    )
    remedy = "None is needed."
    source = "istio/istio cni/pkg/iptables/iptables.go, ISTIO_POSTRT (1.21 to 1.31)"
    display_filter = (
        "ip.addr == 169.254.7.127 || ipv6.addr == fd16:9254:7127:1337:ffff:ffff:ffff:ffff"
    )


class PortMoved(Rule):
    """Istio's Geneve is on another port."""

    code = "A10"
    severity = "info"
    told_by = COUNTED
    message = "Istio's own Geneve is not on UDP port 6081"
    explanation = (
        "From 1.19 Istio takes the next free port where another user of Geneve (OVN, Antrea, "
        "Cilium) holds 6081. Tools that go by the port mistake the one for the other."
    )
    remedy = "None is needed; in Wireshark, decode that port as Geneve."
    source = "istio/istio cni/pkg/ambient/net_linux.go (1.19 to 1.20)"
    display_filter = "udp.dstport in {6082..6089}"


class MarksInherited(Rule):
    """What was inside the underlay's tunnel kept the tunnel's mark."""

    code = "A11"
    severity = "error"
    told_by = OF_THE_MESH
    message = "HBONE reaches the server's pod instead of its ztunnel, and is reset"
    explanation = (
        "Istio's rules mark all UDP to be left alone, and the packets of the underlay's tunnel "
        "(VXLAN, Geneve) are UDP. What the kernel takes out of the tunnel inherits the mark, so "
        "the SYN to port 15008 is not redirected to istioin but goes on to the pod, where nothing "
        "listens on that port."
    )
    remedy = (
        "Let the underlay's tunnel be exempt from the mark (a rule for its UDP port before "
        "Istio's), or use Istio 1.21 or later, which redirects inside the pod."
    )
    source = "istio/istio cni/pkg/ambient/net_linux.go, ztunnel-PREROUTING (1.18 to 1.20)"
    display_filter = "tcp.srcport == 15008 && tcp.flags.reset == 1"


class PlainIntoMesh(Rule):
    """A client's own connection was taken in by the server's ztunnel."""

    code = "A12"
    severity = "info"
    told_by = OF_THE_MESH
    message = "plain text enters the mesh"
    explanation = (
        "The server's ztunnel took these connections as their clients sent them, without HBONE. "
        "That is normal for clients outside the mesh. If the client's pod is meant to be in it, "
        "its own redirection is missing: on iptables and Geneve look for istioout and the ip rules "
        "of its node, in a pod for its iptables rules."
    )
    remedy = (
        "Enrol the client (label its namespace istio.io/dataplane-mode=ambient), or repair its "
        "redirection; to refuse plain text, set PeerAuthentication to STRICT."
    )
    source = "istio/ztunnel src/proxy/inbound_passthrough.rs (1.18 to 1.31)"
    display_filter = "tcp.flags.syn == 1 && !(tcp.port == 15008)"

# SPDX-License-Identifier: Apache-2.0
"""Sizes of packets and what paths take; told by `overhead`."""

from __future__ import annotations

from . import Rule


class BlackHole(Rule):
    """Large packets vanish without a word."""

    code = "M01"
    severity = "error"
    told_by = ("overhead",)
    message = "large packets vanish on the way, and no ICMP message says why"
    explanation = (
        "A full-sized segment was sent four times or more and never acknowledged, though smaller "
        "ones got through or the other end still answered, and nothing as large ever got through "
        "on that connection. Connections open and then hang as soon as they carry much."
    )
    remedy = (
        "Lower the MTU of the pods' interfaces by what the tunnels add (`genevecap overhead` says "
        "how much), let ICMP's type 3 code 4 and ICMPv6's type 2 pass, or clamp the MSS."
    )
    source = "RFC 2923 section 2.1, RFC 8899 section 1.2"
    display_filter = "tcp.analysis.retransmission"


class SegmentSize(Rule):
    """Hosts announce an MSS that does not fit the link with the tunnels around it."""

    code = "M02"
    severity = "warning"
    told_by = ("overhead",)
    message = "TCP's maximum segment size leaves no room for the tunnels"
    explanation = (
        "Full segments of these hosts are larger than the link takes once the tunnels are around "
        "them: they will be fragmented, complained of, or vanish."
    )
    remedy = (
        "Lower the MTU of the inner interfaces to what `genevecap overhead` calls the inner MTU, "
        "or raise that of the link."
    )
    source = "RFC 9293 section 3.7.1, RFC 4459 section 3"
    display_filter = "tcp.flags.syn == 1 && tcp.options.mss"


class TooBigIgnored(Rule):
    """A sender goes on with packets that were said to be too big."""

    code = "M03"
    severity = "warning"
    told_by = ("overhead",)
    message = "packets were said to be too big, and the sender did not obey"
    explanation = (
        "An ICMP message told the MTU of the next hop, and packets larger than that were sent "
        "afterwards: the message did not reach the sender, or names another one, as it does where "
        "a tunnel's outer packet was too big."
    )
    remedy = "Let the messages pass to the host that sends, or lower its MTU by what tunnels add."
    source = "RFC 1191 section 6.3, RFC 8201 section 4"
    display_filter = "(icmp.type == 3 && icmp.code == 4) || icmpv6.type == 2"


class TooBig(Rule):
    """Something was too big, and the sender heeded it, as far as can be seen."""

    code = "M04"
    severity = "info"
    told_by = ("overhead",)
    message = "packets were said to be too big for the next hop"
    explanation = (
        "That is how a host learns the MTU of a path: it costs a packet and a round trip for each "
        "destination, and again when what was learnt is forgotten."
    )
    remedy = "None is needed; an MTU lowered by what tunnels add saves the messages."
    source = "RFC 1191 section 4, RFC 8201 section 4"
    display_filter = "(icmp.type == 3 && icmp.code == 4) || icmpv6.type == 2"

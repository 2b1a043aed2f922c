# SPDX-License-Identifier: Apache-2.0
"""Geneve conformance (RFC 8926)."""

from __future__ import annotations

from . import Rule


class GeneveVersion(Rule):
    """The two version bits say something other than 0."""

    code = "G01"
    severity = "error"
    message = "Geneve version is not 0"
    explanation = (
        "Only version 0 is defined. An endpoint must drop such a packet, and what follows the "
        "first octet cannot be interpreted, so decoding stops there."
    )
    remedy = "Check that the port really carries Geneve; another protocol may be using it."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.version > 0"


class GeneveTooShort(Rule):
    """Header and options are longer than what UDP carries."""

    code = "G02"
    severity = "error"
    message = "Geneve header does not fit its UDP payload"
    explanation = (
        "The UDP payload is shorter than 8 octets plus the option length that the header claims."
    )
    remedy = "Look for a device that rewrites UDP lengths, or for another protocol on the port."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve && _ws.malformed"


class GeneveOptionSum(Rule):
    """Options leave a rest of the option area, or run past it."""

    code = "G03"
    severity = "error"
    message = "Geneve options do not add up to the option length"
    explanation = (
        "An endpoint must silently drop a packet whose options do not fill the option area "
        "exactly: the sender's traffic disappears without an error."
    )
    remedy = "Update or reconfigure the tunnel endpoint that sends them."
    source = "RFC 8926 section 3.5"
    display_filter = "geneve.option.length.invalid || _ws.malformed"


class GeneveCriticalUnannounced(Rule):
    """An option has its critical bit, the header does not say so."""

    code = "G05"
    severity = "error"
    message = "critical Geneve option in a header whose C bit is clear"
    explanation = (
        "The C bit must be set where any option is critical: hardware that looks at the header "
        "alone would skip an option that it must understand."
    )
    remedy = "Update the tunnel endpoint that sends them."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.flags.critical == 0 && geneve.option.type.critical == 1"


class GeneveCriticalMissing(Rule):
    """The header announces a critical option that is not there."""

    code = "G06"
    severity = "warning"
    message = "Geneve C bit is set, but no option is critical"
    explanation = "The C bit says that some option is critical; hardware may take its slow path."
    remedy = "Update the tunnel endpoint that sends them."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.flags.critical == 1 && !(geneve.option.type.critical == 1)"


class GeneveUnknownCritical(Rule):
    """An option that must be understood, and that no registry knows."""

    code = "G07"
    severity = "warning"
    message = "unknown Geneve option that is critical"
    explanation = (
        "An endpoint that does not know a critical option must drop the packet. Sender and "
        "receiver may well agree on this one; whatever stands between them and wants to look "
        "inside cannot."
    )
    remedy = (
        "Check that every endpoint and load balancer on the way knows the option. `inspect "
        "--table options` lists them."
    )
    source = "RFC 8926 section 3.5"
    display_filter = "geneve.option.type.critical == 1"


class GeneveReserved(Rule):
    """Bits that senders must clear are set."""

    code = "G08"
    severity = "warning"
    message = "reserved bits are set in a Geneve header or option"
    explanation = "Senders must clear them and receivers must ignore them; a later format may not."
    remedy = "Check that the port really carries Geneve, and the version of the sender."
    source = "RFC 8926 sections 3.4 and 3.5"
    display_filter = (
        "geneve.flags.reserved > 0 || geneve.reserved > 0 || geneve.option.flags.reserved > 0"
    )


class GeneveControl(Rule):
    """The packet is for the tunnel endpoint itself."""

    code = "G09"
    severity = "info"
    message = "Geneve control packets (O bit)"
    explanation = (
        "The packet is for the tunnel endpoint itself, not for a workload behind it: its inner "
        "addresses say nothing about workload traffic, and it is left out of latency and sessions."
    )
    remedy = "None is needed."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.flags.oam == 1"


class GeneveProtocolType(Rule):
    """Neither Ethernet nor IP is inside."""

    code = "G10"
    severity = "info"
    message = "Geneve without Ethernet or IP inside"
    explanation = (
        "The protocol type is an EtherType. Ethernet (0x6558) is usual, IPv4 and IPv6 are "
        "common with cloud providers; anything else is legal and rare."
    )
    remedy = "None is needed where the sender is meant to do that."
    source = "RFC 8926 section 3.4"
    display_filter = (
        "geneve.proto_type in {1..0x07ff, 0x0801..0x6557, 0x6559..0x86dc, 0x86de..0xffff}"
    )


class GeneveNoChecksum(Rule):
    """UDP has no checksum, over IPv4."""

    code = "G13"
    severity = "info"
    message = "Geneve over IPv4 without a UDP checksum"
    explanation = (
        "The checksum should be there; it may be left out, as Linux and Open vSwitch do by "
        "default. An error in VNI or options then goes unnoticed where the link does not "
        "catch it."
    )
    remedy = (
        "None is needed on a network that checks its frames; else `csum=true` in Open "
        "vSwitch, `udpcsum` in `ip link`."
    )
    source = "RFC 8926 section 4.3"
    display_filter = (
        '(frame.protocols matches "(?<!icmp):ip:udp:geneve" || '
        "(ip && udp.dstport in {6082..6089})) && udp.checksum == 0"
    )


class GeneveNoChecksumIpv6(Rule):
    """UDP has no checksum, over IPv6."""

    code = "G14"
    severity = "warning"
    message = "Geneve over IPv6 without a UDP checksum"
    explanation = (
        "IPv6 has no header checksum, so UDP must have one, but for tunnels whose endpoints "
        "were told to accept none (RFC 6935, RFC 6936). An endpoint that was not told drops "
        "the packet."
    )
    remedy = (
        "Switch the checksum on at the sender, or let the receiver accept packets without one "
        "(`udp6zerocsumrx`)."
    )
    source = "RFC 8926 section 4.3, RFC 6936 section 5"
    display_filter = (
        'frame.protocols matches "(?<!icmpv6):ipv6[^:]*:udp:geneve" && udp.checksum == 0'
    )


class GeneveFragmented(Rule):
    """The packet that carries the tunnel was cut by IP."""

    code = "G15"
    severity = "warning"
    message = "Geneve fragmented by the outer IP"
    explanation = (
        "Each such packet needs all of its fragments to arrive, and only the first has ports, "
        "so that load balancers and firewalls treat the others differently. Counted are first "
        "fragments."
    )
    remedy = (
        "Lower the inner MTU by the overhead of the tunnel, or raise that of the underlay: "
        "`genevecap overhead` shows both."
    )
    source = "RFC 8926 section 4.4.1"
    display_filter = (
        "(ip.flags.mf == 1 && ip.frag_offset == 0 && ip.proto == 17) || "
        "(ipv6.fraghdr.more == 1 && ipv6.fraghdr.offset == 0)"
    )


class GeneveExperimental(Rule):
    """An option of a class for experiments."""

    code = "G17"
    severity = "info"
    message = "Geneve options of an experimental class"
    explanation = (
        "Classes 0xff00 to 0xffff belong to nobody: two vendors may use one number for "
        "different options."
    )
    remedy = "None is needed as long as all endpoints belong together."
    source = "RFC 8926 section 7"
    display_filter = "geneve.option.class >= 0xff00"


class GeneveNoProtocol(Rule):
    """The protocol type is 0."""

    code = "G18"
    severity = "warning"
    message = "Geneve protocol type is 0"
    explanation = "It should be an EtherType; nothing has 0. What follows cannot be interpreted."
    remedy = "Check that the port really carries Geneve, and the version of the sender."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.proto_type == 0"


class GeneveIsVxlan(Rule):
    """A header that means nothing as Geneve and much as VXLAN."""

    code = "G19"
    severity = "warning"
    message = "header on a Geneve port looks like VXLAN"
    explanation = (
        "Its first word is VXLAN's: no protocol type and an option area of 32 octets, which "
        "holds the inner Ethernet header. Either the port carries both, and then no endpoint "
        "can tell them apart, or it carries VXLAN."
    )
    remedy = (
        "Give each encapsulation a port of its own. Where all of it is VXLAN, say so with "
        "--vxlan-port."
    )
    source = "RFC 8926 section 3.4, RFC 7348 section 5"
    display_filter = "geneve.proto_type == 0 && geneve.options"


class GeneveWrongChecksum(Rule):
    """A UDP checksum that is there, and does not fit."""

    code = "G20"
    severity = "error"
    told_by = ("inspect",)
    message = "Geneve with a wrong UDP checksum"
    explanation = (
        "A receiver drops such a packet without a word, unless its card is told not to look. "
        "Looked for with --checksums only. Not judged are checksums that are left to the "
        "network card, packets that were not captured whole, fragments, and packets with "
        "another checksum inside that is not right either. Wireshark looks where its preference "
        "`udp.check_checksum` is on."
    )
    remedy = (
        "Look at what changes packets on the way (a load balancer, a faulty card), and switch "
        "checksum offload off at the sender to compare."
    )
    source = "RFC 8926 section 4.3, RFC 768"
    display_filter = 'geneve && udp.checksum.status == "Bad"'

# SPDX-License-Identifier: Apache-2.0
"""VXLAN conformance (RFC 7348)."""

from __future__ import annotations

from . import Rule


class VxlanNoIdentifier(Rule):
    """The flag that makes the VNI valid is clear."""

    code = "V01"
    severity = "error"
    message = "VXLAN header without a valid VNI (I flag clear)"
    explanation = "The I flag must be set for a valid VNI; a receiver drops the packet."
    remedy = "Check that the port really carries VXLAN; another protocol may be using it."
    source = "RFC 7348 section 5"
    display_filter = "vxlan.flag_i == 0 || vxlan.i_bit == 0"


class VxlanReserved(Rule):
    """Bits that senders must clear are set, group policy apart."""

    code = "V02"
    severity = "warning"
    message = "reserved bits are set in a VXLAN header"
    explanation = (
        "Senders must clear them. Extensions use some of them: group policy (which is told apart "
        "here), VXLAN-GPE on its own port, and vendors' own."
    )
    remedy = "If it is VXLAN-GPE on another port, say so with --vxlan-gpe-port."
    source = "RFC 7348 section 5"
    display_filter = (
        "vxlan.flags_reserved > 0 || vxlan.reserved8 > 0 || vxlan.reserved_16 > 0 || "
        "(vxlan.gbp > 0 && vxlan.flag_g == 0)"
    )


class VxlanPort(Rule):
    """Another destination port than the assigned one."""

    code = "V03"
    severity = "info"
    message = "VXLAN on another port than 4789"
    explanation = (
        "4789 is the port that should be used; it may be configured. Linux takes 8472 where "
        "it is not told otherwise, as Flannel does."
    )
    remedy = "None is needed where both ends agree."
    source = "RFC 7348 section 5"
    display_filter = "udp.dstport == 8472 || (vxlan && !(udp.dstport == 4789))"


class VxlanSourcePort(Rule):
    """A source port outside the dynamic range."""

    code = "V04"
    severity = "info"
    message = "VXLAN source port is outside 49152-65535"
    explanation = (
        "That range is recommended; Linux takes the range for local ports, 32768-60999 by "
        "default. Nothing but a firewall that goes by the recommendation minds."
    )
    remedy = "None is needed."
    source = "RFC 7348 section 5"
    display_filter = "(vxlan || udp.dstport == 8472) && udp.srcport < 49152"


class VxlanWrongChecksum(Rule):
    """A UDP checksum that is there, and does not fit."""

    code = "V05"
    severity = "error"
    told_by = ("inspect",)
    message = "VXLAN with a wrong UDP checksum"
    explanation = (
        "The checksum should be 0; one that is not must be right over IP addresses, UDP, "
        "VXLAN and the whole inner frame, or the receiver drops the packet. Looked for with "
        "--checksums only. Not judged are checksums that are left to the network card, "
        "packets that were not captured whole, fragments, and packets with another checksum "
        "inside that is not right either. Wireshark looks where its preference "
        "`udp.check_checksum` is on."
    )
    remedy = "Send without checksum, or look at what changes packets on the way."
    source = "RFC 7348 section 5"
    display_filter = 'vxlan && udp.checksum.status == "Bad"'


class VxlanGroupPolicy(Rule):
    """The group policy extension is in use."""

    code = "V06"
    severity = "info"
    message = "VXLAN with a group policy id"
    explanation = (
        "Bits that are reserved in VXLAN carry a group here, which the receiver uses to "
        "decide who may talk to whom. An endpoint without the extension ignores it, and lets "
        "everything pass."
    )
    remedy = "None is needed where all endpoints know the extension."
    source = "draft-smith-vxlan-group-policy section 2.1"
    display_filter = "vxlan.flag_g == 1"


class VxlanIsGpe(Rule):
    """Reserved bits that make sense in VXLAN-GPE."""

    code = "V07"
    severity = "info"
    message = "VXLAN header looks like VXLAN-GPE"
    explanation = (
        "The bit that says in VXLAN-GPE that a next protocol is given is set, and so is a "
        "next protocol. It was decoded as VXLAN, with Ethernet inside, because of its port."
    )
    remedy = "If it is VXLAN-GPE, say so with --vxlan-gpe-port."
    source = "draft-ietf-nvo3-vxlan-gpe section 3.1"
    display_filter = "vxlan.flags_reserved > 0 && vxlan.gbp in {1..5} && vxlan.flag_g == 0"


class VxlanFragmented(Rule):
    """The packet that carries the tunnel was cut by IP."""

    code = "V08"
    severity = "error"
    message = "VXLAN fragmented by the outer IP"
    explanation = (
        "An endpoint must not fragment VXLAN packets, and the one that receives fragments may "
        "discard them without a word: large packets disappear, small ones arrive. A router on "
        "the way may have done it too. Counted are first fragments."
    )
    remedy = (
        "Lower the inner MTU by 50 octets (70 over IPv6), or raise that of the underlay: "
        "`genevecap overhead` shows both."
    )
    source = "RFC 7348 section 4.3"
    display_filter = (
        "(ip.flags.mf == 1 && ip.frag_offset == 0 && ip.proto == 17) || "
        "(ipv6.fraghdr.more == 1 && ipv6.fraghdr.offset == 0)"
    )


class VxlanInnerTag(Rule):
    """The inner frame has a VLAN tag."""

    code = "V09"
    severity = "warning"
    message = "VXLAN carries a frame with a VLAN tag"
    explanation = (
        "The VNI stands for the VLAN: the sender should strip the tag, and the receiver "
        "should discard such a frame unless it was told otherwise."
    )
    remedy = "Strip the tag before encapsulation, or have both endpoints carry tags on purpose."
    source = "RFC 7348 section 6.1"
    display_filter = (
        'frame.protocols contains "vxlan:eth:ethertype:vlan" || '
        'frame.protocols contains "vxlan:eth:ethertype:ieee8021ad"'
    )


class VxlanNoChecksumIpv6(Rule):
    """UDP has no checksum, over IPv6."""

    code = "V10"
    severity = "info"
    message = "VXLAN over IPv6 without a UDP checksum"
    explanation = (
        "VXLAN should have none, and a receiver must accept that; over IPv6 Linux drops such "
        "packets all the same, unless the device was made with `udp6zerocsumrx`."
    )
    remedy = "Check that the receiver accepts it where packets disappear."
    source = "RFC 7348 section 5, RFC 6936 section 5"
    display_filter = (
        '(frame.protocols matches "(?<!icmpv6):ipv6[^:]*:udp:vxlan" || '
        "(ipv6 && udp.dstport == 8472)) && udp.checksum == 0"
    )


class VxlanIsGeneve(Rule):
    """A header that means nothing as VXLAN and much as Geneve."""

    code = "V11"
    severity = "warning"
    message = "header on a VXLAN port looks like Geneve"
    explanation = (
        "The first word ends in a protocol type of Geneve, and what Geneve reserves is clear; the "
        "I flag, where it is set, is a bit of Geneve's option length. Either the port carries "
        "both, and then no endpoint can tell them apart, or it carries Geneve."
    )
    remedy = (
        "Give each encapsulation a port of its own. Where all of it is Geneve, say so with "
        "--geneve-port."
    )
    source = "RFC 7348 section 5, RFC 8926 section 3.4"
    display_filter = (
        "vxlan.flag_g == 0 && vxlan.gbp in {0x6558, 0x0800, 0x86dd} && vxlan.reserved8 == 0"
    )

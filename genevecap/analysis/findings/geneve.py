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
    display_filter = "geneve.version != 0"


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


class GeneveReserved(Rule):
    """Bits that senders must clear are set."""

    code = "G08"
    severity = "warning"
    message = "reserved bits are set in a Geneve header or option"
    explanation = "Senders must clear them and receivers must ignore them; a later format may not."
    remedy = "Check that the port really carries Geneve, and the version of the sender."
    source = "RFC 8926 sections 3.4 and 3.5"
    display_filter = (
        "geneve.flags.reserved != 0 || geneve.reserved != 0 || geneve.option.flags.reserved != 0"
    )


class GeneveControl(Rule):
    """The packet is for the tunnel endpoint itself."""

    code = "G09"
    severity = "info"
    message = "Geneve control packets (O bit)"
    explanation = (
        "The packet is for the tunnel endpoint itself, not for a workload behind it: its inner "
        "addresses say nothing about workload traffic."
    )
    remedy = "None is needed."
    source = "RFC 8926 section 3.4"
    display_filter = "geneve.flags.oam == 1"

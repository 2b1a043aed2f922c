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
    display_filter = "vxlan && vxlan.flag_i == 0"


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
        "vxlan.flags_reserved != 0 || vxlan.reserved8 != 0 || (vxlan.gbp != 0 && vxlan.flag_g == 0)"
    )

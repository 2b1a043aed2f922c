# SPDX-License-Identifier: Apache-2.0
"""eBPF redirection (Istio 1.18 pre-releases and 1.20): no tunnel, another destination MAC.

istio/istio cni/pkg/ebpf/app/ambient_redirect.bpf.c, tag 1.20.8: tc programs on the pods' veths
write ztunnel's MAC address over the destination and `bpf_redirect` the packet to ztunnel's veth.
Addresses stay, and since nothing is routed, so does the TTL.
"""

from __future__ import annotations

from . import RedirectMode, Signs, hbone_flows


class Ebpf(RedirectMode):
    """The same packet on two veths, with ztunnel's MAC on the second."""

    name = "ebpf"
    title = "eBPF redirection"
    versions = "1.18 pre-releases, 1.20"

    @classmethod
    def recognise(cls, signs: Signs) -> tuple[str, ...]:
        """See `RedirectMode`; asks for HBONE too, since a bridge may rewrite a MAC as well."""
        if not signs.redirects or not hbone_flows(signs):
            return ()
        first = signs.redirects[0]
        evidence = (
            f"{len(signs.redirects)} SYNs at two points with the same TTL and another destination "
            f"MAC, no tunnel between: {first.source} to {first.destination} at "
            f"{first.first_point} ({first.first_destination_mac}) and "
            f"{first.second_point} ({first.second_destination_mac})"
        )
        return (evidence,)

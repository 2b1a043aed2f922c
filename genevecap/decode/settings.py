# SPDX-License-Identifier: Apache-2.0
"""Which UDP ports mean which tunnel: one table that both decoders read."""

from __future__ import annotations

from dataclasses import dataclass

from .layers import Layer

TENTATIVE = 0x80
"""Bit of a port-table entry: take it for that layer only where the bytes fit."""

GENEVE_PORT = 6081
"""RFC 8926 section 3.3."""

GENEVE_TENTATIVE_PORTS = range(6082, 6090)
"""Where Istio 1.19 and later moved its Geneve when 6081 was taken (istio/istio#45831)."""

VXLAN_PORTS = (4789, 8472)
"""RFC 7348 section 5, and the Linux kernel's default."""

VXLAN_GPE_PORT = 4790

STT_PORT = 7471
"""TCP; draft-davie-stt-08 section 3.1."""

OTHER_PORTS = {
    2152: Layer.GTPU,
    4500: Layer.ESP,
    4754: Layer.GRE,  # RFC 8086 section 3
    51820: Layer.WIREGUARD,
    51821: Layer.WIREGUARD,  # Calico and Flannel, for IPv6
    51871: Layer.WIREGUARD,  # Cilium
}
"""Tunnels and protections that UDP carries besides; all tentative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeSettings:
    """What a user can change about decoding."""

    geneve_ports: tuple[int, ...] = ()
    """UDP destination ports that are Geneve besides 6081."""
    vxlan_ports: tuple[int, ...] = ()
    """UDP destination ports that are VXLAN besides 4789 and 8472."""
    vxlan_gpe_ports: tuple[int, ...] = ()
    """UDP destination ports that are VXLAN-GPE besides 4790."""

    wireguard_ports: tuple[int, ...] = ()
    """UDP ports that may be WireGuard besides 51820, 51821 and 51871."""
    esp_icv_bytes: int | None = None
    """Where ESP does not encrypt (NULL, RFC 2410): octets of its integrity check value.
    None: it does."""

    def udp_table(self) -> bytes:
        """Return 65,536 octets: by UDP destination port a `Layer`, perhaps `TENTATIVE`, or 0."""
        table = bytearray(65536)
        for port, layer in OTHER_PORTS.items():
            table[port] = layer | TENTATIVE
        for port in GENEVE_TENTATIVE_PORTS:
            table[port] = Layer.GENEVE | TENTATIVE
        table[GENEVE_PORT] = Layer.GENEVE
        for port in VXLAN_PORTS:
            table[port] = Layer.VXLAN
        table[VXLAN_GPE_PORT] = Layer.VXLAN_GPE
        for port in self.wireguard_ports:
            table[port] = Layer.WIREGUARD | TENTATIVE
        # What the user says comes last: it wins over every default.
        for ports, layer in (
            (self.geneve_ports, Layer.GENEVE),
            (self.vxlan_ports, Layer.VXLAN),
            (self.vxlan_gpe_ports, Layer.VXLAN_GPE),
        ):
            for port in ports:
                table[port] = layer
        return bytes(table)

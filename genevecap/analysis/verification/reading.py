# SPDX-License-Identifier: Apache-2.0
"""One frame as tshark reads it: a pyshark packet turned into a `Reading` in our words.

Reading ends where the payload of a transport header begins, unless that is a tunnel: a packet
quoted in an ICMP error is not a header of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...decode.layers import protocol_name

LAYER_NAMES = {
    "eth": "ethernet",
    "vlan": "vlan",
    "ieee8021ad": "vlan",
    "mpls": "mpls",
    "llc": "llc",
    "sll": "sll",
    "raw": "raw",
    "null": "null",
    "ip": "ipv4",
    "ipv6": "ipv6",
    "udp": "udp",
    "tcp": "tcp",
    "sctp": "sctp",
    "icmp": "icmp",
    "icmpv6": "icmpv6",
    "arp": "arp",
    "vxlan": "vxlan",
    "geneve": "geneve",
    "gre": "gre",
    "erspan": "erspan",
    "nsh": "nsh",
    "gtp": "gtpu",
    "esp": "esp",
    "ah": "ah",
    "macsec": "macsec",
    "wg": "wireguard",
}
"""tshark's protocol names in our words; a layer that is not here ends the reading."""

PASSED_OVER = frozenset(
    ("frame", "pkt_comment", "pwethcw", "pwethheuristic", "udpencap", "_ws.short")
)
"""Protocols of tshark that are part of a neighbour in our naming, or none."""

AFTER_UDP = frozenset(("vxlan", "geneve", "gre", "gtpu", "esp", "wireguard"))
LAST_LAYERS = frozenset(("tcp", "sctp", "icmp", "icmpv6", "arp"))

G_PDU = 255
"""GTP-U message type of what carries a user's packet."""

ERSPAN_TYPES = frozenset((0x88BE, 0x22EB))
"""GRE protocol types of ERSPAN."""

IPV6_EXTENSIONS = frozenset((0, 43, 44, 60))
"""Extension headers that are gone through on the way to the protocol (RFC 8200 section 4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpReading:
    """An IP header as tshark reads it; ports are those of the transport header after it."""

    source: str
    destination: str
    protocol: str | None
    offset: int
    fragment: bool
    zero_length: bool
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelReading:
    """A tunnel header as tshark reads it."""

    kind: str
    vni: int | None
    carrier: IpReading | None
    """The IP header that carries it, with the UDP ports."""
    options: tuple[tuple[int, int, str], ...]
    """Class, type and data in hex of each Geneve option."""
    flags: dict[str, int | bool]
    """By the names that a `TunnelRow` has; only those that tshark reports as we do."""
    overhead_bytes: int | None
    """None where no network-layer header follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A frame as tshark reads it."""

    frame: int
    time: str
    """Seconds as tshark prints them; empty where there are none."""
    wire_bytes: int | None
    captured_bytes: int | None
    layers: tuple[str, ...]
    ips: tuple[IpReading, ...]
    tunnels: tuple[TunnelReading, ...]
    zero_udp_length: bool
    is_packet: bool
    """False for a pcapng block that is numbered like a packet but holds none."""


# --- reading one frame -----------------------------------------------------------------------


class _Walk:
    """Goes through the layers of one frame, outermost first."""

    def __init__(self) -> None:
        self.layers: list[str] = []
        self.ips: list[IpReading] = []
        self.tunnels: list[TunnelReading] = []
        self.zero_udp_length = False

    def layer(self, layer: Any) -> bool:
        """Take one layer; tell whether the next one is of interest."""
        wire_name = layer.layer_name.lower()
        if wire_name in PASSED_OVER:
            return True
        name = LAYER_NAMES.get(wire_name)
        last = self.layers[-1] if self.layers else ""
        if name is None or last in LAST_LAYERS or (last == "udp" and name not in AFTER_UDP):
            return False
        if name == "vxlan" and _first(layer, "vxlan.next_proto") is not None:
            name = "vxlan-gpe"
        if name == "sll" and _first(layer, "sll.ifindex") is not None:
            name = "sll2"
        if name == "gre" and _is_nvgre(layer):
            name = "nvgre"
        self.layers.append(name)
        take = self._TAKE.get(name)
        if take is not None:
            take(self, name, layer)
        return True

    def _ip(self, name: str, layer: Any) -> None:
        prefix = "ip" if name == "ipv4" else "ipv6"
        offset = _position(layer, f"{prefix}.version")
        if self._is_ip_in_ip():
            self._add_tunnel("ipip", None)
        self._measure(offset)
        protocol = _number(layer, "ip.proto") if name == "ipv4" else _last_next_header(layer)
        if name == "ipv4":
            fragment = bool(_number(layer, "ip.frag_offset") or _number(layer, "ip.flags.mf"))
        else:
            fragment = bool(
                _number(layer, "ipv6.fraghdr.offset") or _number(layer, "ipv6.fraghdr.more")
            )
        if _values(layer, "ah.spi"):  # part of the IPv6 layer to tshark
            self.layers.append("ah")
        length = _number(layer, "ip.len" if name == "ipv4" else "ipv6.plen")
        self.ips.append(
            IpReading(
                source=_first(layer, f"{prefix}.src") or "",
                destination=_first(layer, f"{prefix}.dst") or "",
                protocol=None if protocol is None else protocol_name(protocol),
                offset=offset or 0,
                fragment=fragment,
                zero_length=length == 0,
            )
        )

    def _is_ip_in_ip(self) -> bool:
        """Tell whether the IP header just listed is carried by another, perhaps protected."""
        before = (name for name in self.layers[-2::-1] if name != "ah")
        return next(before, "") in {"ipv4", "ipv6", "esp"}

    def _transport(self, name: str, layer: Any) -> None:
        if name == "udp" and _number(layer, "udp.length") == 0:
            self.zero_udp_length = True
        if not self.ips:
            return
        self.ips[-1] = replace(
            self.ips[-1],
            source_port=_number(layer, f"{name}.srcport"),
            destination_port=_number(layer, f"{name}.dstport"),
        )

    def _tunnel(self, kind: str, layer: Any) -> None:
        flags: dict[str, int | bool] = {}
        options: tuple[tuple[int, int, str], ...] = ()
        if kind == "geneve":
            vni = _hex(layer, "geneve.vni")
            options = _geneve_options(layer)
            for flag, field in (("oam", "geneve.flags.oam"), ("critical", "geneve.flags.critical")):
                value = _number(layer, field)
                if value is not None:
                    flags[flag] = bool(value)
            protocol = _hex(layer, "geneve.proto_type")
            if protocol is not None:
                flags["protocol"] = protocol
        else:
            vni = _number(layer, "vxlan.vni")
        self._add_tunnel(kind, vni, options, flags)

    def _add_tunnel(
        self,
        kind: str,
        vni: int | None,
        options: tuple[tuple[int, int, str], ...] = (),
        flags: dict[str, int | bool] | None = None,
    ) -> None:
        self.tunnels.append(
            TunnelReading(
                kind=kind,
                vni=vni,
                carrier=self.ips[-1] if self.ips else None,
                options=options,
                flags=flags or {},
                overhead_bytes=None,
            )
        )

    def _arp(self, _: str, layer: Any) -> None:
        self._measure(_position(layer, "arp.hw.type"))

    def _gre(self, name: str, layer: Any) -> None:
        kind = "erspan" if _number(layer, "gre.proto") in ERSPAN_TYPES else name
        key = _hex(layer, "gre.key")
        flags: dict[str, int | bool] = {}
        if kind != "erspan" and key is not None:
            flags["key"] = key
        vni = key >> 8 if kind == "nvgre" and key is not None else None
        self._add_tunnel(kind, vni, flags=flags)

    def _erspan(self, _: str, layer: Any) -> None:
        session = _number(layer, "erspan.spanid")
        if self.tunnels and session is not None:
            self.tunnels[-1].flags["session_id"] = session

    def _gtpu(self, _: str, layer: Any) -> None:
        if _number(layer, "gtp.message") == G_PDU:
            teid = _hex(layer, "gtp.teid")
            self._add_tunnel("gtpu", None, flags={} if teid is None else {"teid": teid})

    def _measure(self, offset: int | None) -> None:
        """Fill in what the tunnel before cost, now that the next network-layer header is known."""
        if not self.tunnels or offset is None:
            return
        tunnel = self.tunnels[-1]
        if tunnel.overhead_bytes is None and tunnel.carrier is not None:
            cost = offset - tunnel.carrier.offset
            self.tunnels[-1] = replace(tunnel, overhead_bytes=cost)

    _TAKE: ClassVar = {
        "ipv4": _ip,
        "ipv6": _ip,
        "udp": _transport,
        "tcp": _transport,
        "sctp": _transport,
        "geneve": _tunnel,
        "vxlan": _tunnel,
        "vxlan-gpe": _tunnel,
        "gre": _gre,
        "nvgre": _gre,
        "erspan": _erspan,
        "gtpu": _gtpu,
        "arp": _arp,
    }


def read_packet(packet: Any) -> Reading:
    """Return what tshark says about a frame; `packet` is a pyshark packet of the XML mode."""
    walk = _Walk()
    for layer in packet.layers:
        if not walk.layer(layer):
            break
    info = _frame_info(packet)
    time = _first(info, "frame.time_epoch") or ""
    return Reading(
        frame=_number(info, "frame.number") or int(str(packet.number)),
        time=time,
        wire_bytes=_number(info, "frame.len"),
        captured_bytes=_number(info, "frame.cap_len"),
        layers=tuple(walk.layers),
        ips=tuple(walk.ips),
        tunnels=tuple(walk.tunnels),
        zero_udp_length=walk.zero_udp_length,
        is_packet=bool(time) or _first(info, "frame.encap_type") is not None,
    )


def _frame_info(packet: Any) -> Any:
    """Return the layer `frame`; a packet with comments has those where pyshark looks for it."""
    layers = (packet.frame_info, *packet.layers)
    return next((layer for layer in layers if layer.layer_name == "frame"), packet.frame_info)


def _values(layer: Any, name: str) -> list[Any]:
    """Return all fields of a layer that have exactly this name."""
    container = layer._all_fields.get(name)  # noqa: SLF001 - get_field() guesses
    return [] if container is None else list(container.all_fields)


def _is_nvgre(layer: Any) -> bool:
    """Tell GRE that is NVGRE: a key, no checksum, no sequence number, Ethernet (RFC 7637)."""
    flags = _hex(layer, "gre.flags_and_version")
    return flags is not None and flags & 0xF007 == 0x2000 and _number(layer, "gre.proto") == 0x6558


def _first(layer: Any, name: str) -> str | None:
    values = _values(layer, name)
    return None if not values or values[0].show is None else str(values[0].show)


def _number(layer: Any, name: str) -> int | None:
    text = _first(layer, name)
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return {"true": 1, "false": 0}.get((text or "").lower())


def _hex(layer: Any, name: str) -> int | None:
    values = _values(layer, name)
    try:
        return int(values[0].raw_value, 16) if values else None
    except (TypeError, ValueError):
        return None


def _position(layer: Any, name: str) -> int | None:
    values = _values(layer, name)
    try:
        return int(values[0].pos) if values else None
    except (TypeError, ValueError):
        return None


def _last_next_header(layer: Any) -> int | None:
    """Return what follows an IPv6 header and its extension headers, None where that is not there.

    tshark lists what comes after as part of the layer too, so the chain is followed by position.
    """
    chain = sorted(
        (int(field.pos or 0), int(field.show, 0))
        for name in layer._all_fields  # noqa: SLF001 - see _values
        if name.startswith("ipv6.") and name.endswith("nxt")
        for field in _values(layer, name)
        if field.show
    )
    return next((number for _, number in chain if number not in IPV6_EXTENSIONS), None)


def _geneve_options(layer: Any) -> tuple[tuple[int, int, str], ...]:
    options = []
    for field in _values(layer, "geneve.option"):
        raw = field.raw_value or ""
        if len(raw) >= 8:
            options.append((int(raw[0:4], 16), int(raw[4:6], 16), raw[8:]))
    return tuple(options)

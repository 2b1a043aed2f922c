# SPDX-License-Identifier: Apache-2.0
"""From the dissector's layers to tunnels and innermost header: one pass, outside in.

The record gives, per frame, `layers` (the layers with their fields, but only those that whoever
made the corpus asked for) and `protocols` (every name, but no fields).  `steps` merges the two, and
`Walk` goes through them and stops where genevecap is meant to stop:

* at a transport header: whatever is above it (HTTP, IKE, the packet quoted in an ICMP error) is
  payload and no encapsulation;
* at a later fragment: genevecap does not reassemble, the dissector does and shows the whole
  datagram in the fragment that completes it.  A *first* fragment is the other way round: the
  dissector shows nothing of its contents, so its transport header is taken from the frame that
  completes the datagram, where there is one (`completions`);
* at a layer that is not decoded (`NEVER_DECODED`), or that hides what is inside (`OPAQUE`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .readings import Inner, Option, Silent, Statement, Tunnel, address

NEVER_DECODED = frozenset(
    {"ppp", "pppoes", "wlan", "radiotap", "teredo", "lisp", "ipcomp", "sflow", "gtpprime"}
)
"""Layers of the truth below which genevecap never looks.

Besides these, every other name that has a network header somewhere below it is one, and so is
every link type that is not in LINK_LAYERS.
"""

LINK_LAYERS = frozenset({"eth", "sll", "null", "raw", "ip", "ipv6"})
"""First layers of the link types that genevecap reads, as the dissector calls them."""

TRANSPARENT = frozenset(
    {"eth", "vlan", "llc", "mpls", "sll", "null", "raw", "pwethheuristic", "pwethnocw", "pwethcw"}
)
"""Names between which and the next header nothing is decided."""

IP_PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "ip": 4,
    "tcp": 6,
    "udp": 17,
    "ipv6": 41,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "icmpv6": 58,
    "ospf": 89,
    "pim": 103,
    "ipcomp": 108,
    "sctp": 132,
}
"""IP protocol by the dissector's name of it: needed behind IPv6 extension headers only."""

LAYER_NAMES = {"eth": "ethernet", "ip": "ipv4"}
"""What CONTRACT calls a layer, where it is not the dissector's name of it."""

OPAQUE = {"esp": "esp", "wg": "wireguard"}
"""Layers that hide what is inside, by the dissector's names."""

IPV6_EXTENSIONS = frozenset({0, 43, 44, 60})
ROOM_FOR_HEADERS = 512
GTPU_PORT = 2152
GTPU_E = 0x04
GTPU_G_PDU = 0xFF

GRE_C, GRE_R, GRE_K, GRE_S, GRE_A = 0x8000, 0x4000, 0x2000, 0x1000, 0x0080
ERSPAN_TYPES = ("0x88be", "0x22eb")
ERSPAN_3 = "2"
WCCP = "0x883e"

UNMEASURED = {
    "erspan": "whether ERSPAN III has a subheader",
    "gtp extension headers": "length of GTP-U extension headers",
    "macsec": "length of the security tag inside the tunnel",
    "wccp": "whether there is a WCCP redirect header",
}
"""What may stand between a tunnel and the next network layer, and the record does not measure."""

Layer = Mapping[str, Any]


def steps(record: Mapping[str, Any]) -> list[Layer]:
    """Merge `protocols` and `layers` into one list, outermost first.

    A name that has no entry in `layers` becomes an entry without fields, so that nothing that lies
    between two headers (an authentication header, a VN tag) goes unseen.
    """
    layers: list[Layer] = list(record["layers"])
    merged: list[Layer] = []
    for name in record["protocols"].split(":"):
        if name in ("", "ethertype"):
            continue
        if layers and layers[0]["L"] == "vxlan" and name != "vxlan" and merged[-1]["L"] == "udp":
            merged.append(layers.pop(0))  # VXLAN-GPE is missing from `protocols`
        if not layers or layers[0]["L"] != name:
            merged.append({"L": name})
            continue
        merged.append(layers.pop(0))
        while name == "mpls" and layers and layers[0]["L"] == "mpls":
            merged.append(layers.pop(0))  # labels are named once
    return merged + layers


def _is_ip(step: Layer) -> bool:
    return step["L"] in ("ip", "ipv6")


def _is_readable_ip(step: Layer) -> bool:
    """Whether the dissector accepted the header: it gives no addresses of one it did not."""
    return "src" in step and "dst" in step


def _fragment_key(ip: Layer) -> tuple[str, ...]:
    """Return what the fragments of one datagram have in common."""
    ident = ip.get("id", ip.get("fraghdr.ident"))
    return (ip["L"], ip["src"], ip["dst"], str(ident), str(ip.get("proto")))


def _is_fragmented(ip: Layer) -> bool:
    return _is_later_fragment(ip) or "1" in (ip.get("flags.mf"), ip.get("fraghdr.more"))


def _is_later_fragment(ip: Layer) -> bool:
    return int(ip.get("frag_offset", ip.get("fraghdr.offset", "0"))) > 0


def completions(frames: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Layer]]:
    """Return, for each datagram that the dissector reassembled, the steps inside it."""
    found: dict[tuple[str, ...], list[Layer]] = {}
    for record in frames:
        merged = steps(record)
        for index, step in enumerate(merged):
            if not _is_ip(step) or not _is_readable_ip(step) or not _is_fragmented(step):
                continue
            inside = [s for s in merged[index + 1 :] if not s["L"].startswith("ipv6.")]
            if inside and inside[0]["L"] in IP_PROTOCOLS and _is_later_fragment(step):
                found[_fragment_key(step)] = inside
    return found


@dataclass(slots=True)
class Walk:
    """One pass over the steps of one frame; after `run` the other attributes are the answer."""

    datagrams: Mapping[tuple[str, ...], list[Layer]]
    tunnels: list[Tunnel] = field(default_factory=list)
    inner: Inner | None = None
    layers: list[str] = field(default_factory=list)
    """The headers that were read, by CONTRACT's names."""
    further_layers: int = 1
    """How many layers that are not decoded genevecap may list behind them."""
    skipped_at: str | None = None
    ip: Layer | None = None
    """The innermost IP header so far."""
    carried: bool = False
    """Whether a tunnel header has come since that IP header."""
    guarded: bool = False
    """Whether an authentication header has come since; the record does not say how long it is."""
    gre: Layer | None = None
    """The last GRE header."""

    def run(self, frame: list[Layer]) -> None:
        """Read the steps up to where genevecap is meant to stop."""
        if frame and frame[0]["L"] not in LINK_LAYERS:
            self.skipped_at = f"link type: {frame[0]['L']}"
            return
        self._read_on(frame)

    def _read_on(self, frame: list[Layer]) -> None:
        index = 0
        while index < len(frame) and self._take(frame[index], frame[index + 1 :]):
            index += 1

    def _take(self, step: Layer, rest: list[Layer]) -> bool:
        """Read one step; return whether the next one is to be read."""
        name = step["L"]
        if name in TRANSPARENT or name.startswith("ipv6."):
            # A name without fields did not fit, or is no header of its own; RAW has no octets.
            if len(step) > 1 or (name == "raw" and rest):
                self._list("sll2" if name == "sll" and "ifindex" in step else name)
            return True
        if _is_ip(step):
            return self._ip(step, rest)
        if name in ("udp", "tcp", "sctp"):
            self._ports(step)
            return name == "udp" and self._above_udp(rest)
        if name in ("icmp", "icmpv6", "arp"):
            if len(step) > 1:
                self._list(name)
            return False
        if name in ("geneve", "vxlan"):
            if "vni" not in step:  # the header was cut before it
                return False
            self._udp_tunnel(step, rest)
            return True
        return self._other(name, step, rest)

    def _list(self, name: str) -> None:
        self.layers.append(LAYER_NAMES.get(name, name))

    def _skip(self, name: str) -> bool:
        self.skipped_at = name
        return False

    def _ip(self, step: Layer, rest: list[Layer]) -> bool:
        nested = self.ip is not None and not self.carried
        if nested:
            self._add_tunnel("ipip", None, [step, *rest], 0, {"L": "ipip"})
        if not _is_readable_ip(step):
            return False
        self.ip, self.carried, self.guarded = step, False, False
        self._list(step["L"])
        inside = [s for s in rest if not s["L"].startswith("ipv6.")]
        dissected = bool(inside) and inside[0]["L"] in IP_PROTOCOLS
        if _is_fragmented(step) and not dissected:
            inside = self.datagrams.get(_fragment_key(step), [])
        self.inner = Inner(
            source=address(step["src"]),
            destination=address(step["dst"]),
            protocol=_protocol(step, inside),
            source_port=None,
            destination_port=None,
        )
        if _is_later_fragment(step):
            return False
        if _is_fragmented(step) and not dissected:
            self._first_fragment(step, inside)
            return False
        return True

    def _first_fragment(self, ip: Layer, inside: list[Layer]) -> None:
        """Fill in what a first fragment holds from the frame that completes the datagram."""
        assert self.inner is not None
        protocol = self.inner.protocol
        if isinstance(protocol, Statement) or protocol in (6, 17, 132):
            if not inside or "srcport" not in inside[0]:
                unknown = Silent("first fragment of a datagram that is never completed")
                self._set_ports(unknown, unknown)
                self.further_layers = 2  # a transport header, and what it carries
                self._skip("datagram never completed")
                return
            if _fragment_payload(ip) >= _transport_header_bytes(inside[0]):
                self._ports(inside[0])
        if inside and inside[0]["L"] == "udp":
            if self._above_udp(inside[1:]):
                self._in_fragment(ip, inside[1:])
        elif inside and inside[0]["L"] not in ("tcp", "sctp", "icmp", "icmpv6"):
            self._in_fragment(ip, inside)

    def _in_fragment(self, ip: Layer, inside: list[Layer]) -> None:
        """Read on in a first fragment, where it is surely long enough for all headers."""
        if _fragment_payload(ip) >= ROOM_FOR_HEADERS:
            self._read_on(inside)
        else:
            self._skip("headers in a short first fragment")

    def _ports(self, step: Layer) -> None:
        if "srcport" in step and "dstport" in step:
            self._set_ports(int(step["srcport"]), int(step["dstport"]))
            if step["L"] != "udp" or "length" in step:  # else only the ports were there
                self._list(step["L"])

    def _set_ports(self, source: int | Silent, destination: int | Silent) -> None:
        assert self.inner is not None
        self.inner = replace(self.inner, source_port=source, destination_port=destination)

    def _above_udp(self, rest: list[Layer]) -> bool:
        """Decide what a UDP payload is; return whether it is a tunnel that is read on."""
        assert self.inner is not None
        name = rest[0]["L"] if rest else ""
        if name == "udpencap":
            # RFC 3948: IKE and keep-alives share the port; only ESP is a layer of its own.
            name = "esp" if any(s["L"] == "esp" for s in rest) else ""
        if name == "gtp" and (
            self.inner.destination_port != GTPU_PORT
            or int(rest[0].get("message", "0"), 16) != GTPU_G_PDU
        ):
            name = ""  # the control plane: payload, not a tunnel
        if name in OPAQUE:
            self._list(OPAQUE[name])
            return False
        if name in NEVER_DECODED:
            return self._skip(name)
        return name in ("geneve", "vxlan", "gtp", "gre")  # GRE in UDP: RFC 8086

    def _udp_tunnel(self, step: Layer, rest: list[Layer]) -> None:
        if step["L"] == "geneve":
            if step["version"] != "0":
                self.carried = True
                return
            self._add_tunnel(
                "geneve", int(step["vni"], 16), rest, 8 + int(step["option.length"]), step
            )
        else:
            kind = "vxlan-gpe" if "next_proto" in step else "vxlan"
            self._add_tunnel(kind, int(step["vni"]), rest, 8, step)

    def _add_tunnel(
        self, kind: str, vni: int | None, rest: list[Layer], header_bytes: int, step: Layer
    ) -> None:
        assert self.inner is not None
        assert self.ip is not None
        source_port, destination_port = self.inner.source_port, self.inner.destination_port
        assert not isinstance(source_port, Statement)
        assert not isinstance(destination_port, Statement)
        if kind != "ipip":
            self._list({"erspan": "gre"}.get(kind, kind))
        self.tunnels.append(
            Tunnel(
                kind=kind,
                vni=vni,
                source=self.inner.source,
                destination=self.inner.destination,
                source_port=source_port,
                destination_port=destination_port,
                overhead_bytes=Silent("length of the authentication header")
                if self.guarded
                else _overhead(self.ip, header_bytes, source_port is not None, rest),
                options=_options(step),
                flags=_flags(kind, step),
            )
        )
        self.carried = True

    def _other(self, name: str, step: Layer, rest: list[Layer]) -> bool:
        """Read a layer that is neither link, IP nor transport."""
        if name in NEVER_DECODED:
            return self._skip(name)
        if name in OPAQUE:
            self._list(OPAQUE[name])
            return False
        if name in ("gre", "gtp"):
            if len(step) == 1:  # the header was cut
                return False
            if name == "gre" and _gre_flags(step) & 7 > 1:  # unsupported, and no tunnel
                self._list(name)
                return False
            self._tunnel_by_name(name, step, rest)
            return True
        if name in ("erspan", "ah", "nsh", "macsec"):
            # ERSPAN is part of its GRE's row; the others are layers, not tunnels.
            self.guarded = self.guarded or name == "ah"
            if len(step) > 1 or name == "ah" or self._is_erspan_1():
                self._list(name)
            return True
        if any(_is_ip(s) or s["L"] == "eth" for s in rest):
            return self._skip(name)
        return False

    def _is_erspan_1(self) -> bool:
        """Whether ERSPAN is that of a GRE header without sequence number: it has no header."""
        gre = self.gre
        return gre is not None and gre["proto"] == "0x88be" and not _gre_flags(gre) & GRE_S

    def _tunnel_by_name(self, name: str, step: Layer, rest: list[Layer]) -> None:
        if name == "gtp":
            flags = int(step["flags"], 16)
            if flags & GTPU_E:
                rest = [{"L": "gtp extension headers"}]
            self._add_tunnel("gtpu", None, rest, 12 if flags & 7 else 8, step)
            return
        self.gre = step
        flags = _gre_flags(step)
        words = sum(bool(flags & bit) for bit in (GRE_C | GRE_R, GRE_K, GRE_S))
        words += flags & 7 == 1 and bool(flags & GRE_A)
        kind, vni, source = "gre", None, step
        if step["proto"] in ERSPAN_TYPES:
            kind = "erspan"
            source = next((s for s in rest[:1] if s["L"] == "erspan"), {"L": "erspan"})
        elif flags & ~0x0FF8 == GRE_K and step["proto"] == "0x6558" and "key" in step:
            kind, vni = "nvgre", int(step["key"], 16) >> 8  # RFC 7637 section 3.2
        if step["proto"] == WCCP:
            rest = [{"L": "wccp"}, *rest]
        self._add_tunnel(kind, vni, rest, 4 + 4 * words, source)


def _protocol(ip: Layer, inside: list[Layer]) -> int | Silent:
    """Return the protocol that an IP header announces, IPv6 extension headers passed over."""
    first = int(ip.get("proto", ip.get("nxt", "0")))
    if ip["L"] == "ip" or first not in IPV6_EXTENSIONS:
        return first
    if inside and inside[0]["L"] in IP_PROTOCOLS:
        return IP_PROTOCOLS[inside[0]["L"]]
    return Silent("protocol behind IPv6 extension headers")


def _fragment_payload(ip: Layer) -> int:
    """Return the octets that a fragment carries."""
    if ip["L"] == "ip":
        return int(ip["len"]) - int(ip["hdr_len"])
    return int(ip["plen"]) - 8


def _transport_header_bytes(step: Layer) -> int:
    return {"udp": 8, "sctp": 12}.get(step["L"], int(step.get("hdr_len", "20")))


def _options(step: Layer) -> tuple[Option, ...]:
    return tuple(
        Option(int(option["class"], 16), int(option["type"], 16), option["data"].lower())
        for option in step.get("options", ())
    )


def _flags(kind: str, step: Layer) -> dict[str, Any]:
    """Return the flags that a tunnel row shows besides, as far as the truth states them."""
    if kind == "geneve":
        return {
            "version": int(step["version"]),
            "oam": int(step["flags.oam"]),
            "critical": int(step["flags.critical"]),
            "protocol": int(step["proto_type"], 16),
        }
    if kind == "vxlan" and "flag_g" in step:
        if step["flag_g"] == "0":
            return {"group_id": None}  # the dissector prints those 16 bits whatever G says
        return {
            "group_id": int(step["gbp"]),
            "policy_applied": int(step["flag_a"]),
            "dont_learn": int(step["flag_d"]),
        }
    if kind == "vxlan-gpe":
        return {"next_protocol": int(step["next_proto"])}
    if kind in ("gre", "nvgre"):
        return {"key": int(step["key"], 16) if "key" in step else None}
    if kind == "erspan":
        return {"session_id": int(step["spanid"]) if "spanid" in step else None}
    if kind == "gtpu":
        return {"teid": int(step["teid"], 16)}
    return {}


def _overhead(ip: Layer, header_bytes: int, over_udp: bool, rest: list[Layer]) -> int | Silent:
    """Return a tunnel's overhead: IP, UDP and tunnel header, and the link headers inside."""
    if ip["L"] == "ip":
        total = int(ip["hdr_len"])
    elif int(ip["nxt"]) in IPV6_EXTENSIONS:
        return Silent("length of IPv6 extension headers")
    else:
        total = 40
    total += header_bytes + (8 if over_udp else 0)
    for step in rest:
        size = _link_bytes(step)
        if isinstance(size, Silent):
            return size
        if size is None:
            break
        total += size
    return total


def _link_bytes(step: Layer) -> int | Silent | None:
    """Return the octets of a header between a tunnel and the next network layer; None for others.

    One that did not fit has a name but no fields, and so has ERSPAN I, which is none.
    """
    name = step["L"]
    if name in ("eth", "vlan", "mpls"):
        return (14 if name == "eth" else 4) if len(step) > 1 else 0
    if name == "nsh":
        return 4 * int(step.get("length", "0"))
    if name == "erspan" and step.get("version") != ERSPAN_3:
        return 8 if len(step) > 1 else 0
    if name in TRANSPARENT or name in UNMEASURED:
        return Silent(UNMEASURED.get(name, "length of the link headers inside the tunnel"))
    return None


def _gre_flags(gre: Layer) -> int:
    return int(gre["flags_and_version"], 16)

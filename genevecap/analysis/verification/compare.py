# SPDX-License-Identifier: Apache-2.0
"""One frame read by us beside the same frame read by tshark: what agrees, and why what does not.

A frame that we stopped at is compared down to there: the layers that both have, the tunnels and
the IP header that we reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...addresses import endpoint_text

if TYPE_CHECKING:
    from ..results import InnerRow, PacketRow, TunnelRow
    from .reading import IpReading, Reading, TunnelReading

_NS = 10**9
_INT64 = 2**63

FIELDS = (
    "frame",
    "time",
    "captured_bytes",
    "wire_bytes",
    "layers",
    "tunnels",
    "vni",
    "endpoints",
    "flags",
    "options",
    "overhead_bytes",
    "inner_addresses",
    "inner_protocol",
    "inner_ports",
)
"""What is compared, in the order of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One field of one frame in both readings."""

    field: str
    ours: str
    theirs: str
    explanation: str | None = None
    """Why they differ although we are right; None where they agree or nothing explains it."""

    @property
    def agrees(self) -> bool:
        """Whether both readings are the same."""
        return self.ours == self.theirs


# --- explanations ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A known limit of tshark's dissectors: where it applies, and what it is."""

    fields: frozenset[str]
    applies: Callable[[PacketRow, Reading], bool]
    reason: str


_TIME = frozenset(("time",))
_HEADERS = frozenset(FIELDS[4:])


def _zero_length(row: PacketRow, reading: Reading) -> bool:
    """Tell whether tshark met a length of 0 and went less deep than we did."""
    zero = reading.zero_udp_length or any(ip.zero_length for ip in reading.ips)
    return zero and len(reading.layers) < len(row.layers)


def _source_port(row: PacketRow, reading: Reading) -> bool:
    """Tell whether tshark went on where we saw no tunnel at the destination port."""
    depth = len(row.layers)
    return (
        row.stop == "complete"
        and bool(row.layers)
        and row.layers[-1] == "udp"
        and reading.layers[:depth] == row.layers
        and len(reading.layers) > depth
    )


def _wireguard(row: PacketRow, reading: Reading) -> bool:
    """Tell whether tshark found WireGuard on a port of something else."""
    depth = len(row.layers)
    return reading.layers == (*row.layers, "wireguard") and row.layers[depth - 1 :] == ("udp",)


def _erspan_of_ip(row: PacketRow, reading: Reading) -> bool:
    """Tell whether tshark stopped at ERSPAN III that mirrors IP packets."""
    depth = len(reading.layers)
    following = row.layers[depth : depth + 1]
    return reading.layers[-1:] == ("erspan",) and following in {("ipv4",), ("ipv6",)}


def _pseudowire(row: PacketRow, reading: Reading) -> bool:
    """Tell whether tshark stopped at an MPLS label under which we read Ethernet."""
    depth = len(reading.layers)
    return (
        reading.layers[-1:] == ("mpls",)
        and row.layers[:depth] == reading.layers
        and row.layers[depth : depth + 1] == ("ethernet",)
    )


def _overflowing_fraction(row: PacketRow, reading: Reading) -> bool:
    theirs = time_ns(reading.time)
    if row.time_ns is None or theirs is None:
        return False
    return row.time_ns > theirs and (row.time_ns - theirs) % 2**32 == 0


EXPLANATIONS = (
    Explanation(
        fields=_HEADERS,
        applies=_zero_length,
        reason="an IP or UDP length of 0 means the rest of the packet (BIG TCP, segmentation "
        "offload); tshark's dissector stops there",
    ),
    Explanation(
        fields=_HEADERS,
        applies=_erspan_of_ip,
        reason="ERSPAN III of frame type 2 mirrors IP packets (draft-foschiano-erspan); tshark "
        "reads Ethernet only",
    ),
    Explanation(
        fields=_HEADERS,
        applies=_wireguard,
        reason="tshark looks for WireGuard in any UDP packet; here its port says so "
        "(--wireguard-port)",
    ),
    Explanation(
        fields=_HEADERS,
        applies=_source_port,
        reason="tshark also looks at the UDP source port; a tunnel is known by its destination "
        "port (RFC 8926 section 3.3, RFC 7348 section 5)",
    ),
    Explanation(
        fields=_HEADERS,
        applies=_pseudowire,
        reason="an MPLS label does not say what it carries: after a control word we read Ethernet "
        "(RFC 4385, RFC 4448), tshark reads it only when told so",
    ),
    Explanation(
        fields=frozenset(("time", "captured_bytes", "wire_bytes")),
        applies=lambda row, _reading: row.layers[:1] == (row.stop_layer,),
        reason="tshark takes a pseudo-header of this link type off the frame, and its time from it",
    ),
    Explanation(
        fields=frozenset(("wire_bytes",)),
        applies=lambda row, reading: reading.wire_bytes == 2**31 - 1 < row.wire_bytes,
        reason="tshark cuts an original length above 2,147,483,647",
    ),
    Explanation(
        fields=_TIME,
        applies=_overflowing_fraction,
        reason="the record's fraction of a second does not fit 32 bits in nanoseconds; tshark "
        "lets it overflow",
    ),
    Explanation(
        fields=_TIME,
        applies=lambda row, reading: row.time_ns is None and reading.time != "",
        reason="the record has no time (Simple Packet Block), or one beyond 64-bit nanoseconds; "
        "tshark prints a number all the same",
    ),
    Explanation(
        fields=_TIME,
        applies=lambda _row, reading: _odd_time(reading.time),
        reason="the record's fraction of a second is a second or more, or its time is before "
        "1970; tshark prints seconds and fraction as they stand",
    ),
)


def _explain(field: str, row: PacketRow, reading: Reading) -> str | None:
    for explanation in EXPLANATIONS:
        if field in explanation.fields and explanation.applies(row, reading):
            return explanation.reason
    return None


# --- comparing -------------------------------------------------------------------------------


def compare(row: PacketRow, reading: Reading) -> Iterator[Comparison]:
    """Yield every field of a frame that both readings speak about."""
    for field, ours, theirs in _pairs(row, reading):
        explanation = None if ours == theirs else _explain(field, row, reading)
        yield Comparison(field=field, ours=ours, theirs=theirs, explanation=explanation)


Pair = tuple[str, str, str]


def _pairs(row: PacketRow, reading: Reading) -> Iterator[Pair]:
    yield "frame", "a packet", "a packet"
    theirs_ns = time_ns(reading.time)
    yield "time", _word(row.time_ns), _word(theirs_ns)
    yield "captured_bytes", str(row.captured_bytes), _word(reading.captured_bytes)
    yield "wire_bytes", str(row.wire_bytes), _word(reading.wire_bytes)
    yield _layers(row, reading)
    yield from _tunnels(row, reading)
    if row.inner is not None:
        yield from _inner(row, row.inner, reading)


def _layers(row: PacketRow, reading: Reading) -> Pair:
    """Return the layers to compare: all where we got to the end, else those down to the stop."""
    ours, theirs = row.layers, reading.layers
    if row.stop == "unsupported":
        # The layer that is not decoded is named by its number where tshark may have a name.
        ours = ours[:-1] if ours and ours[-1] == row.stop_layer else ours
        theirs = theirs[: len(ours)]
    elif row.stop != "complete":
        # tshark lists most headers that do not fit, and goes on where it can.
        if len(theirs) < len(ours) and ours[-1] == row.stop_layer:
            ours = ours[:-1]
        theirs = theirs[: len(ours)]
    return "layers", " ".join(ours), " ".join(theirs)


def _is_unseen_ip_in_ip(row: PacketRow) -> bool:
    """Tell whether the last tunnel is IP in IP whose inner header did not fit: it has no other."""
    return row.tunnels[-1].kind == "ipip" and row.stop_layer in {"ipv4", "ipv6"}


def _tunnels(row: PacketRow, reading: Reading) -> Iterator[Pair]:
    mine, theirs = row.tunnels, reading.tunnels
    if row.stop != "complete":
        if len(theirs) < len(mine) and _is_unseen_ip_in_ip(row):
            mine = mine[:-1]
        theirs = theirs[: len(mine)]
    yield "tunnels", _kinds(mine), _kinds(theirs)
    if not mine or _kinds(mine) != _kinds(theirs):
        return
    both = list(zip(mine, theirs, strict=True))
    yield (
        "vni",
        " ".join(_word(ours.vni) for ours, _ in both),
        " ".join(_word(their.vni) for _, their in both),
    )
    yield (
        "endpoints",
        " ".join(_endpoints(ours) for ours, _ in both),
        " ".join("-" if their.carrier is None else _endpoints(their.carrier) for _, their in both),
    )
    # Where ERSPAN's header did not fit, tshark shows what there is of it.
    flags = [_flags(o, t) for o, t in (both[:-1] if row.stop_layer == "erspan" else both)]
    yield "flags", " ".join(ours for ours, _ in flags), " ".join(their for _, their in flags)
    # Options that run past what was captured are cut by tshark, and not listed by us.
    whole = [(o, t) for o, t in both if o.kind == "geneve" and row.stop == "complete"]
    if whole:
        yield (
            "options",
            " ".join(_our_options(ours) for ours, _ in whole),
            " ".join(_their_options(their) for _, their in whole),
        )
    # What the innermost tunnel cost is known where we reached what it carries.
    last = len(both) if row.stop == "complete" else len(both) - 1
    measured = [(o, t) for o, t in both[:last] if t.overhead_bytes is not None]
    if measured:
        yield (
            "overhead_bytes",
            " ".join(str(ours.overhead_bytes) for ours, _ in measured),
            " ".join(_word(their.overhead_bytes) for _, their in measured),
        )


def _inner(row: PacketRow, inner: InnerRow, reading: Reading) -> Iterator[Pair]:
    theirs = _inner_reading(row, reading)
    if row.stop != "complete" and (theirs is None or not theirs.source):
        return  # tshark gave the header up, as we gave up what it carries
    if theirs is None:
        yield "inner_addresses", f"{inner.source} > {inner.destination}", "-"
        return
    yield (
        "inner_addresses",
        f"{inner.source} > {inner.destination}",
        f"{theirs.source} > {theirs.destination}",
    )
    # Where the extension headers of IPv6 break off, either may have got further.
    if theirs.protocol is not None and row.stop_layer != "ipv6":
        yield "inner_protocol", inner.protocol, theirs.protocol
    if row.stop == "complete":
        yield (
            "inner_ports",
            f"{_word(inner.source_port)} > {_word(inner.destination_port)}",
            f"{_word(theirs.source_port)} > {_word(theirs.destination_port)}",
        )


def _inner_reading(row: PacketRow, reading: Reading) -> IpReading | None:
    """Return tshark's reading of the IP header that is our innermost one."""
    decoded = row.layers
    if row.stop == "unsupported" and decoded[-1:] == (row.stop_layer,):
        decoded = decoded[:-1]
    depth = sum(name in {"ipv4", "ipv6"} for name in decoded)
    reached = reading.ips[:depth]
    if row.stop == "fragment":
        # The fragment's own header speaks for the frame, whatever it had begun to carry.
        return next((ip for ip in reversed(reached) if ip.fragment), None)
    return reached[-1] if len(reached) == depth and reached else None


def time_ns(text: str) -> int | None:
    """Return tshark's epoch time as nanoseconds, None where it prints none."""
    if not text:
        return None
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("-").partition(".")
    try:
        number = int(whole) * _NS + int((fraction or "0").ljust(9, "0"))
    except ValueError:
        return None
    number = -number if negative else number
    return number if -_INT64 < number < _INT64 else None


def _odd_time(text: str) -> bool:
    return text.startswith("-") or "-" in text or len(text.partition(".")[2]) > 9


# --- both readings in the same words -----------------------------------------------------------


def _word(value: object) -> str:
    return "-" if value is None else str(value)


def _kinds(tunnels: tuple[TunnelRow, ...] | tuple[TunnelReading, ...]) -> str:
    return " ".join(tunnel.kind for tunnel in tunnels)


def _endpoints(header: TunnelRow | IpReading) -> str:
    source = endpoint_text(header.source, header.source_port)
    return f"{source} > {endpoint_text(header.destination, header.destination_port)}"


def _flags(ours: TunnelRow, theirs: TunnelReading) -> tuple[str, str]:
    """Return the flags that tshark reports too, in the same order from both."""
    known = dict(ours.flags)
    names = [name for name in theirs.flags if name in known]
    return (
        ",".join(f"{name}={int(known[name] or 0)}" for name in names) or "-",
        ",".join(f"{name}={int(theirs.flags[name])}" for name in names) or "-",
    )


def _our_options(tunnel: TunnelRow) -> str:
    options = (f"{o.option_class}/{o.option_type}/{o.data.hex()}" for o in tunnel.options)
    return ",".join(options) or "-"


def _their_options(tunnel: TunnelReading) -> str:
    return ",".join(f"{a}/{b}/{data}" for a, b, data in tunnel.options) or "-"

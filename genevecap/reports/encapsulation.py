# SPDX-License-Identifier: Apache-2.0
"""`diff vxlan-vs-geneve` as text and as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .layout import Column, Style, table
from .machine import Row, fields
from .text import count, duration, plural, printable, shorten, size

if TYPE_CHECKING:
    from ..analysis.comparison.encapsulation_results import Encapsulation, EncapsulationDiff

SCHEMA = "genevecap/diff-encapsulation/1"

TABLES = ("encapsulations", "observed", "latency", "features")
"""Lists that `--table` offers; csv and ndjson give the first one."""

CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "encapsulations": (
        "kind",
        "outer",
        "option_bytes",
        "outer_mtu_bytes",
        "packet_bytes",
        "name",
        "packets",
        "inner_bytes",
        "header_bytes",
        "overhead_bytes",
        "wire_bytes",
        "overhead_share",
        "inner_mtu",
        "packets_over_mtu",
        "extra_segments",
        "extra_bytes",
        "goodput_share",
        "is_observed",
    ),
    "observed": (
        "kind",
        "packets",
        "inner_bytes",
        "overhead_bytes",
        "option_bytes",
        "wire_bytes",
        "overhead_share",
    ),
    "latency": (
        "kind",
        "step",
        "from",
        "to",
        "packets",
        "measured",
        "p50_ns",
        "p99_ns",
        "uncertainty_ns",
    ),
    "features": ("feature", "vxlan", "geneve", "source"),
}


def document(result: EncapsulationDiff, only: str | None = None) -> Row:
    """Return the answer as `genevecap/diff-encapsulation/1`, or with one list of it only."""
    if only is not None:
        return {"schema": SCHEMA, only: rows(result, only)}
    return {
        "schema": SCHEMA,
        "traffic": fields(result.traffic),
        "encapsulations": rows(result, "encapsulations"),
        "observed": rows(result, "observed"),
        "latency": rows(result, "latency"),
        "features": rows(result, "features"),
        "interrupted": result.interrupted,
    }


def rows(result: EncapsulationDiff, name: str) -> list[Row]:
    """Return one list of the answer as rows with the keys of the JSON document."""
    values: Sequence[Any] = getattr(result, name)
    made = [fields(value) for value in values]
    if name == "latency":
        return [{"kind": row["kind"], "step": row["step"], "from": row.pop("origin"), **row}
                for row in made]  # fmt: skip
    return made


def csv_rows(result: EncapsulationDiff, name: str) -> list[Row]:
    """Return one list as rows without nested values: as they are."""
    return rows(result, name)


def lines(result: EncapsulationDiff, style: Style, only: str | None = None) -> Iterator[str]:
    """Yield the answer, or one list of it, for people."""
    if only is not None:
        yield from (
            table(*_BUILDERS[only](result), style)
            if rows(result, only)
            else [style.paint(f"no {only}", "dim")]
        )
        return
    yield from _heading(result, style)
    yield from table(*_encapsulations(result), style)
    yield from _explanation(result, style)
    if result.observed:
        yield ""
        yield style.heading("As captured")
        yield from table(*_observed(result), style)
    yield from _latency_lines(result, style)
    yield ""
    yield style.heading("Features", "how the formats differ besides octets")
    yield from _features_in_full(result, style)


def _heading(result: EncapsulationDiff, style: Style) -> Iterator[str]:
    traffic = result.traffic
    if not result.paths:
        yield style.heading("VXLAN and Geneve", "standard packets, TCP over IPv4 inside")
        return
    name = (
        printable(result.paths[0])
        if len(result.paths) == 1
        else plural(len(result.paths), "capture")
    )
    note = f"{plural(traffic.packets, 'packet')}, {size(traffic.inner_bytes)} inside"
    yield style.heading(shorten(name, max(style.width - len(note) - 2, 16), middle=True), note)
    what = {
        "none": "no VXLAN or Geneve here: all packets are taken as if a tunnel were to carry them",
        "both": "the packets of both formats, each once, taken out of their tunnels",
    }.get(traffic.observed, f"the packets inside {traffic.observed}, each once")
    yield from style.prose(what)
    if traffic.super_packets:
        yield from style.prose(
            f"{plural(traffic.super_packets, 'super-packet')} counted as segments: an estimate"
        )
    if result.interrupted:
        yield style.paint(
            shorten("interrupted: counts what was read so far", style.width), "warning"
        )


def _explanation(result: EncapsulationDiff, style: Style) -> Iterator[str]:
    if not result.encapsulations:
        return
    mtu = result.encapsulations[0].outer_mtu_bytes
    for outer, octets in (("ipv4", 20), ("ipv6", 40)):
        found = [row for row in result.encapsulations if row.outer == outer]
        if not found:
            continue
        rest = {row.kind: row for row in found if not row.option_bytes}
        bare = rest["geneve"]
        line = f"{mtu} − {octets} ({_title(outer)}) − 8 (UDP) − 8 (VXLAN or Geneve) − 14 (Ethernet)"
        yield from style.prose(f"{line} = {bare.inner_mtu}")
        with_options = next((row for row in found if row.option_bytes), None)
        if with_options is not None:
            most = bare.inner_mtu - with_options.inner_mtu
            yield from style.prose(
                f"{line} − {most} (options) = {with_options.inner_mtu}".replace("VXLAN or ", "")
            )


def _title(outer: str) -> str:
    return {"ipv4": "IPv4", "ipv6": "IPv6"}[outer]


def _encapsulations(result: EncapsulationDiff) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="inner packet", right=True),
        Column(title="format"),
        Column(title="outer"),
        Column(title="options", right=True),
        Column(title="headers", right=True),
        Column(title="overhead", right=True, drop=2),
        Column(title="share", right=True),
        Column(title="wire bytes", right=True, drop=3),
        Column(title="inner MTU", right=True),
        Column(title="too large", right=True),
        Column(title="more packets", right=True, drop=1),
        Column(title="goodput", right=True),
    )
    return columns, [
        [
            _packet(row),
            row.kind,
            _title(row.outer),
            str(row.option_bytes),
            str(row.header_bytes),
            count(row.overhead_bytes),
            percent(row.overhead_share),
            count(row.wire_bytes),
            str(row.inner_mtu),
            count(row.packets_over_mtu),
            count(row.extra_segments),
            percent(row.goodput_share),
        ]
        for row in result.encapsulations
    ]


def _packet(row: Encapsulation) -> str:
    if row.name is None or row.packet_bytes is None:
        return ""
    return row.name if row.name == str(row.packet_bytes) else f"{row.name} {row.packet_bytes}"


def percent(share: float) -> str:
    """Return a share in per cent with one decimal: `4.2 %`."""
    return f"{100 * share:.1f} %"


def _observed(result: EncapsulationDiff) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="format"),
        Column(title="packets", right=True),
        Column(title="inside", right=True),
        Column(title="overhead", right=True),
        Column(title="of it options", right=True),
        Column(title="wire bytes", right=True),
        Column(title="share", right=True),
    )
    return columns, [
        [
            row.kind,
            count(row.packets),
            count(row.inner_bytes),
            count(row.overhead_bytes),
            count(row.option_bytes),
            count(row.wire_bytes),
            percent(row.overhead_share),
        ]
        for row in result.observed
    ]


def _latency_lines(result: EncapsulationDiff, style: Style) -> Iterator[str]:
    if result.latency:
        yield ""
        yield style.heading("Time", "into tunnels and out of them, as captured")
        yield from table(*_latency(result), style)
    elif result.no_latency is not None:
        yield from style.prose(f"no times: {printable(result.no_latency)}")


def _latency(result: EncapsulationDiff) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="format"),
        Column(title="step"),
        Column(title="from", floor=12, middle=True),
        Column(title="to", floor=12, middle=True),
        Column(title="packets", right=True),
        Column(title="p50", right=True),
        Column(title="± p50", right=True, drop=2),
        Column(title="p99", right=True, drop=1),
    )
    return columns, [
        [
            hop.kind,
            hop.step if hop.measured else f"{hop.step}, not measured",
            printable(hop.origin),
            printable(hop.to),
            count(hop.packets),
            *("-" if ns is None else duration(ns) for ns in (
                hop.p50_ns, hop.uncertainty_ns, hop.p99_ns,
            )),
        ]
        for hop in result.latency
    ]  # fmt: skip


def _features(result: EncapsulationDiff) -> tuple[Sequence[Column], list[list[str]]]:
    columns = (
        Column(title="feature"),
        Column(title="VXLAN", floor=20),
        Column(title="Geneve", floor=20),
        Column(title="source", floor=14, drop=1),
    )
    return columns, [[f.feature, f.vxlan, f.geneve, f.source] for f in result.features]


def _features_in_full(result: EncapsulationDiff, style: Style) -> Iterator[str]:
    """Yield every feature with all its words: a table would cut them."""
    for feature in result.features:
        yield style.paint(feature.feature, "title")
        yield from style.prose(feature.vxlan, "  VXLAN   ")
        yield from style.prose(feature.geneve, "  Geneve  ")
        yield from (style.paint(line, "dim") for line in style.prose(feature.source, "  source  "))


_BUILDERS = {
    "encapsulations": _encapsulations,
    "observed": _observed,
    "latency": _latency,
    "features": _features,
}

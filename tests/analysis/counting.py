# SPDX-License-Identifier: Apache-2.0
"""Decoded batches filled by hand, and everything that tables can be asked, in one order."""

from __future__ import annotations

from dataclasses import dataclass, field

from genevecap.analysis.readable_tables import ReadableTables
from genevecap.columns import NO_TIME, DecodedBatch, FrameBatch
from genevecap.kernels import load

EVERYTHING = 1 << 30


@dataclass(frozen=True)
class Tunnel:
    """A row of the tunnel table."""

    kind: int = 1
    vni: int = 5
    version: int = 4
    source: int = 1
    destination: int = 2
    port: int = 6081
    source_port: int = 1
    overhead: int = 50
    options: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Row:
    """A frame; `inner` is (version, source, destination, protocol, two ports)."""

    inner: tuple[int, int, int, int, int, int] | None = (4, 1, 2, 17, 1000, 2000)
    tunnels: tuple[Tunnel, ...] = ()
    wire_bytes: int = 100
    time_ns: int = NO_TIME
    stop: int = 0
    stop_layer: int = 0
    findings: int = 0
    keep: int = 1
    tcp_flags: int = 0
    frame: int = field(default=0)
    point: int = 0


def kernel_tables():
    """New compiled tables, or None where they were not built."""
    module = load("genevecap.analysis._kernel_tables")
    return None if module is None else module.KernelTables()


def implementations():
    """New tables of every implementation that is here."""
    kernel = kernel_tables()
    return [ReadableTables()] if kernel is None else [ReadableTables(), kernel]


def halves(address):
    return address >> 64, address & (1 << 64) - 1


def batch(rows, first=0, frame=1):
    """Return (frames, decoded) with these rows, behind `first` rows of frames that do not count."""
    options = sum(len(tunnel.options) for row in rows for tunnel in row.tunnels)
    room = max(len(rows), sum(len(row.tunnels) for row in rows), options, 1)
    frames, d = FrameBatch(first + len(rows)), DecodedBatch(room)
    frames.count, d.first, d.count = first + len(rows), first, len(rows)
    for i, row in enumerate(rows):
        frames.frame[first + i] = row.frame or frame + i
        frames.time_ns[first + i] = row.time_ns
        frames.wire_bytes[first + i] = row.wire_bytes
        frames.point[first + i] = row.point
        d.keep[i], d.stop[i], d.stop_layer[i] = row.keep, row.stop, row.stop_layer
        d.findings[i], d.tcp_flags[i] = row.findings, row.tcp_flags
        if row.inner is not None:
            version, source, destination, protocol, source_port, destination_port = row.inner
            d.inner_version[i], d.inner_protocol[i] = version, protocol
            d.inner_source_hi[i], d.inner_source_lo[i] = halves(source)
            d.inner_destination_hi[i], d.inner_destination_lo[i] = halves(destination)
            d.inner_source_port[i], d.inner_destination_port[i] = source_port, destination_port
        d.tunnel_start[i], d.tunnel_count[i] = d.tunnels.count, len(row.tunnels)
        for depth, tunnel in enumerate(row.tunnels):
            _add_tunnel(d, i, depth, tunnel)
    return frames, d


def _add_tunnel(d, row, depth, tunnel):
    table, t = d.tunnels, d.tunnels.count
    table.row[t], table.depth[t], table.kind[t] = row, depth, tunnel.kind
    table.vni[t], table.version[t] = tunnel.vni, tunnel.version
    table.source_hi[t], table.source_lo[t] = halves(tunnel.source)
    table.destination_hi[t], table.destination_lo[t] = halves(tunnel.destination)
    table.source_port[t] = tunnel.source_port
    table.destination_port[t], table.overhead_bytes[t] = tunnel.port, tunnel.overhead
    table.option_start[t], table.option_count[t] = d.options.count, len(tunnel.options)
    for option_class, option_type, data_bytes in tunnel.options:
        o = d.options.count
        d.options.option_class[o], d.options.option_type[o] = option_class, option_type
        d.options.data_bytes[o] = data_bytes
        d.options.count += 1
    table.count += 1


def answers(tables):
    """Everything that tables say, comparable."""
    flows = tables.top_flows(EVERYTHING)
    ports = sorted({port for flow in flows for port in flow[7:9] if port >= 0})[:50]
    ends = sorted({(f[1], *f[2:4]) for f in flows} | {(f[1], *f[4:6]) for f in flows})[:50]
    return {
        "selected": tables.selected(),
        "flow_count": tables.flow_count(),
        "tunnels": tables.tunnels(),
        "top_flows": flows,
        "top_three": tables.top_flows(3),
        "ports": {port: tables.flows_with_port(port, 5) for port in (*ports, 65535)},
        "addresses": {end: tables.flows_with_address(end, 5) for end in ends},
        "options": sorted(tables.options()),
        "stops": sorted(tables.stops()),
        "findings": tables.findings(),
        "protocols": {number: tables.flows_of(number, 5) for number in (0, 6, 17, 255)},
        "directions": tables.directions(),
        "scattered": tables.scattered(3),
        "moves": sorted(tables.moves()),
        "repeats": sorted(tables.repeats()),
    }


def assert_same(one, other):
    """Compare answers list by list, so that a failure names the first difference."""
    for name, value in one.items():
        assert value == other[name], name


def counted(rows, capture=0, tables=None):
    """Return the answers of every implementation about these rows, after comparing them."""
    frames, decoded = batch(rows)
    results = []
    for each in implementations() if tables is None else tables:
        syns = each.update(frames, decoded, capture)
        results.append((list(syns), answers(each)))
    for syns, answer in results[1:]:
        assert syns == results[0][0]
        assert_same(results[0][1], answer)
    return results[0][1]

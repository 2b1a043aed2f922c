# SPDX-License-Identifier: Apache-2.0
"""How a vector is written, and what of a decoded row it is compared with.

A vector is annotated hexadecimal, and what the RFCs make of it, written by hand.  What it does not
mention must be as if it was not there (0; -1 for ports; `complete` for the stop), so that every
column of every vector is compared.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from genevecap.columns import (
    TUNNEL_NAMES,
    DecodedBatch,
    Finding,
    FrameBatch,
    OptionTable,
    Stop,
    TunnelTable,
)
from genevecap.decode.layers import (
    ETHERTYPE_SPACE,
    IP_PROTOCOL_SPACE,
    LINK_TYPE_SPACE,
    NAMES,
    NEXT_PROTOCOL_SPACE,
    Layer,
)

ETHERNET = 1
RAW = 101
PLACES = {"layer_start", "tunnel_start", "row", "option_start"}
"""Columns that say where in a batch something is; checked by `as_found`, not by vectors."""

_DEFAULTS = {name: 0 for name, _, _ in DecodedBatch.SCHEMA if name not in PLACES} | {
    "outer_source_port": -1,
    "outer_destination_port": -1,
    "inner_source_port": -1,
    "inner_destination_port": -1,
    "keep": 1,
}
_SPACES = {
    "ethertype-0x": (ETHERTYPE_SPACE, 16),
    "ip-proto-": (IP_PROTOCOL_SPACE, 10),
    "linktype-": (LINK_TYPE_SPACE, 10),
    "next-protocol-": (NEXT_PROTOCOL_SPACE, 10),
}
_CODES = {name: code for code, name in NAMES.items() if code != Layer.LOOP} | {"loop": Layer.LOOP}


class Vector(NamedTuple):
    """A frame and what decoding it must give."""

    name: str
    link_type: int
    data: bytes
    original_length: int
    expected: dict
    """`columns` by name, `layers` as (code, offset), `tunnels` and `options` as columns by name."""


def octets(text):
    """Return the octets of annotated hexadecimal: what follows `#` is for people."""
    return bytes.fromhex("".join(line.partition("#")[0] for line in text.splitlines()))


def vector(name, text, *, link_type=ETHERNET, missing=0, **expected):
    """Return a vector whose octets are `text`, `missing` octets short of the original length.

    layers: (name, offset), outermost first.  stop, stop_layer, stop_offset: as in the rows.
    findings: codes.  link: source and destination MAC.  ip: what `outer` and `inner` share where
    there is one IP header; outer, inner: each.  payload: offset and octets.  tcp: its columns
    without the prefix.  tunnels: columns, with `options` as (class, type, data offset, octets).
    """
    data = octets(text) if isinstance(text, str) else text
    columns = dict(_DEFAULTS)
    columns["stop"] = Stop[expected.pop("stop", "complete").upper()]
    columns["stop_layer"] = _code(expected.pop("stop_layer", "none"))
    columns["stop_offset"] = expected.pop("stop_offset")
    columns["findings"] = sum(Finding[code] for code in expected.pop("findings", ()))
    layers = [(_code(layer), offset) for layer, offset in expected.pop("layers")]
    columns["layer_count"] = len(layers)
    source, destination = expected.pop("link", ("0", "0"))
    columns["link_source"] = int(source.replace(":", ""), 16)
    columns["link_destination"] = int(destination.replace(":", ""), 16)
    columns["payload_offset"], columns["payload_bytes"] = expected.pop("payload", (0, 0))
    shared = expected.pop("ip", {})
    inner = {**shared, **expected.pop("inner", {})}
    outer = {**shared, **expected.pop("outer", {})}
    columns |= {f"inner_{key}": value for key, value in _addresses(inner).items()}
    columns |= {
        f"outer_{key}": value
        for key, value in _addresses(outer).items()
        if f"outer_{key}" in _DEFAULTS
    }
    columns |= {f"tcp_{key}": value for key, value in expected.pop("tcp", {}).items()}
    tunnels, options = _tunnels(expected.pop("tunnels", []))
    columns["tunnel_count"] = len(tunnels)
    assert not expected, f"{name}: {expected}"
    assert columns.keys() == _DEFAULTS.keys(), f"{name}: {columns.keys() ^ _DEFAULTS.keys()}"
    found = {"columns": columns, "layers": layers, "tunnels": tunnels, "options": options}
    return Vector(name, link_type, data, len(data) + missing, found)


def _code(name):
    for prefix, (space, base) in _SPACES.items():
        if name.startswith(prefix):
            return space | int(name.removeprefix(prefix), base)
    return int(_CODES[name])


def _addresses(columns):
    """Return columns in which the text of `source` and `destination` became two halves."""
    found = dict(columns)
    for key in ("source", "destination"):
        if key in found:
            number = int(ip_address(found.pop(key)))
            found[f"{key}_hi"], found[f"{key}_lo"] = number >> 64, number & (1 << 64) - 1
    return found


def _tunnels(rows):
    tunnels, options = [], []
    for depth, given in enumerate(rows):
        row = {"depth": depth, "vni": -1, "identifier": 0, **_addresses(given)}
        listed = row.pop("options", [])
        row["kind"] = {name: kind for kind, name in TUNNEL_NAMES.items()}[row["kind"]]
        row["option_count"] = len(listed)
        names = {name for name, _, _ in TunnelTable.SCHEMA} - PLACES
        assert row.keys() == names, row.keys() ^ names
        tunnels.append(row)
        options += [
            dict(zip([name for name, _, _ in OptionTable.SCHEMA], option, strict=True))
            for option in listed
        ]
    return tunnels, options


# --- the other side: rows of a decoder ---------------------------------------------------------


def frame_batch(frames):
    """Return a batch of (link type, captured octets, original length)."""
    batch = FrameBatch(max(1, len(frames)))
    link_types = sorted({link_type for link_type, _, _ in frames})
    batch.link_types.extend(link_types)
    for row, (link_type, data, original_length) in enumerate(frames):
        batch.frame[row] = row + 1
        batch.offset[row] = len(batch.buffer)
        batch.captured_bytes[row] = len(data)
        batch.wire_bytes[row] = original_length
        batch.point[row] = link_types.index(link_type)
        batch.options_offset[row] = -1
        batch.buffer += data
    batch.count = len(frames)
    return batch


def as_found(decoded, row):
    """Return row `row` of a decoded batch in the shape of `Vector.expected`."""
    columns = {name: getattr(decoded, name)[row] for name in _DEFAULTS}
    layers = _rows(decoded.layers, decoded.layer_start[row], decoded.layer_count[row])
    tunnels = _rows(decoded.tunnels, decoded.tunnel_start[row], decoded.tunnel_count[row])
    options = []
    for tunnel in tunnels:
        assert tunnel.pop("row") == row
        options += _rows(decoded.options, tunnel.pop("option_start"), tunnel["option_count"])
    layers = [(layer["code"], layer["offset"]) for layer in layers]
    return {"columns": columns, "layers": layers, "tunnels": tunnels, "options": options}


def decode_all(decoder, frames):
    """Return what `decoder` finds in (link type, captured octets, original length), in order."""
    found = []
    decoded = DecodedBatch()
    for start in range(0, len(frames), 4096):
        batch = frame_batch(frames[start : start + 4096])
        first = 0
        while first < batch.count:
            following = decoder.decode(batch, first, decoded)
            assert following > first
            assert (decoded.first, decoded.count) == (first, following - first)
            found += [as_found(decoded, row) for row in range(decoded.count)]
            first = following
    return found


def _rows(table, start, count):
    assert 0 <= start <= start + count <= table.count <= table.capacity
    return [
        {name: getattr(table, name)[row] for name, _, _ in table.SCHEMA}
        for row in range(start, start + count)
    ]

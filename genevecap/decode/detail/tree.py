# SPDX-License-Identifier: Apache-2.0
"""Walks a frame as the readable decoder does, and lets each protocol describe its header."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ...columns import Finding, FrameBatch, Stop
from ..layers import layer_name, link_layer
from ..protocols import PROTOCOLS, Walk
from ..protocols.esp import Esp, describe_trailer
from ..protocols.fields import Field, Header, HeaderCut, LayerDetail, printable
from ..readable import follow
from ..settings import DecodeSettings
from .application import describe_application

MAX_QUOTES = 2
"""A quoted packet may quote one more: an ICMP error about an ICMP message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDetail:
    """One frame, header by header."""

    layers: tuple[LayerDetail, ...]
    """As the `layers` column, then the header that stopped the decoding as far as it is there,
    then what follows the last header."""
    stop: Stop
    stop_layer: str | None
    """Name of the layer that stopped the decoding; None where it is complete."""
    stop_offset: int
    findings: tuple[str, ...]
    """Codes of the rules that the packet path checks, in order."""


def detail(frames: FrameBatch, row: int, settings: DecodeSettings | None = None) -> FrameDetail:
    """Return the field tree of row `row` of `frames`. No frame raises."""
    start = frames.offset[row]
    data = bytes(frames.buffer[start : start + frames.captured_bytes[row]])
    settings = settings or DecodeSettings()
    walk = Walk(settings.udp_table(), settings.esp_icv_bytes)
    walk.begin(data, frames.wire_bytes[row], 0)
    follow(walk, link_layer(frames.link_types[frames.point[row]]), 0)
    layers = _describe(walk, 0)
    layers += _describe_payload(walk, layers)
    return FrameDetail(
        layers=tuple(layers),
        stop=Stop(walk.stop),
        stop_layer=layer_name(walk.stop_layer) if walk.stop != Stop.COMPLETE else None,
        stop_offset=walk.stop_offset,
        findings=tuple(rule.name or "" for rule in Finding if walk.findings & rule),
    )


def _describe(walk: Walk, depth: int) -> list[LayerDetail]:
    """Describe every header of a walk that has ended, and the one that did not fit."""
    codes = list(walk.layer_code[: walk.layer_end])
    offsets = list(walk.layer_offset[: walk.layer_end])
    if walk.stop in (Stop.TRUNCATED, Stop.MALFORMED, Stop.FRAGMENT) and (
        not codes or (walk.stop_layer, walk.stop_offset) != (codes[-1], offsets[-1])
    ):
        codes.append(walk.stop_layer)
        offsets.append(walk.stop_offset)
    layers = []
    for index, (code, offset) in enumerate(zip(codes, offsets, strict=True)):
        # What a header may reach into: the next header, which lies behind it, or the end of the
        # last window.  Earlier windows were wider, but what lies in them has been decoded.
        limit = walk.limit if index + 1 == len(codes) else offsets[index + 1]
        layers.append(_describe_header(walk, code, offset, limit, depth))
    return layers


def _describe_header(walk: Walk, code: int, offset: int, limit: int, depth: int) -> LayerDetail:
    """Describe one header, as far as it is there."""
    name = layer_name(code)
    protocol = PROTOCOLS.get(code)
    if protocol is None:
        return LayerDetail(name, offset, 0, "not decoded", ())

    def quote(code: int, start: int, end: int) -> tuple[Field, ...]:
        return _quote(walk, code, start, end, depth + 1)

    header = Header(
        bytes(walk.data), offset, limit, protocol.SOURCE, quote if depth < MAX_QUOTES else None
    )
    with suppress(HeaderCut):
        protocol.fields(header)
    summary = printable(header.summary or "cut short")
    return LayerDetail(name, offset, header.end - offset, summary, header.finish())


def _quote(walk: Walk, code: int, start: int, end: int, depth: int) -> tuple[Field, ...]:
    """Return the headers of a packet quoted at `start`, each as a field with its own as children.

    It has tunnels and IP headers of its own; those of the frame are not touched.
    """
    quoted = Walk(walk.udp_table, walk.esp_icv_bytes)
    quoted.begin(bytes(walk.data[:end]), end, 0)
    follow(quoted, code, start)
    return tuple(
        Field(
            layer.name,
            None,
            layer.summary,
            layer.offset,
            layer.length,
            layer.fields[0].source if layer.fields else PROTOCOLS[code].SOURCE,
            children=layer.fields,
        )
        for layer in _describe(quoted, depth)
    )


def _describe_payload(walk: Walk, layers: list[LayerDetail]) -> list[LayerDetail]:
    """Describe what follows the last header: the application's header, else only its size."""
    start = max((layer.offset + layer.length for layer in layers), default=0)
    found = []
    if walk.stop == Stop.COMPLETE and walk.payload_offset and walk.inner is not None:
        end = min(walk.payload_offset + walk.payload_bytes, walk.captured)
        if start == walk.payload_offset and end > start:
            transport = layers[-1].name
            application = describe_application(bytes(walk.data), start, end, transport, walk.ports)
            found.append(application or _octets("payload", start, end))
            start = end
    if walk.esp_trailer is not None and start <= walk.esp_trailer[0] and walk.stop == Stop.COMPLETE:
        found += _describe_esp_trailer(walk, start, *walk.esp_trailer)
        start = walk.esp_trailer[1]
    if start < walk.captured:
        name = "trailer" if walk.stop == Stop.COMPLETE else "undecoded"
        found.append(_octets(name, start, walk.captured))
    return found


def _describe_esp_trailer(walk: Walk, start: int, begin: int, end: int) -> list[LayerDetail]:
    """Describe the trailer from `begin` to `end`, and what lies before it from `start` on."""
    found = [_octets("undecoded", start, begin)] if start < begin else []
    header = Header(bytes(walk.data), begin, end, Esp.SOURCE)
    with suppress(HeaderCut):
        describe_trailer(header, walk.esp_icv_bytes)
    trailer = LayerDetail("esp-trailer", begin, header.end - begin, header.summary, header.finish())
    return [*found, trailer]


def _octets(name: str, start: int, end: int) -> LayerDetail:
    return LayerDetail(name, start, end - start, f"{end - start} octets", ())

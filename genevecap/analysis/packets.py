# SPDX-License-Identifier: Apache-2.0
"""`inspect --packets` and `--frame`: one row a frame, and one frame in full."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..addresses import address_text
from ..capture.points import PointTable
from ..capture.reader import Capture
from ..capture.spec import CaptureSpec
from ..columns import NO_TIME, TUNNEL_NAMES, DecodedBatch, FrameBatch, Stop, TunnelKind
from ..decode import DecodeSettings, make_decoder
from ..decode.detail import FrameDetail, detail
from ..decode.layers import layer_name, protocol_name
from ..errors import DamagedCapture, UsageError
from .findings import codes
from .inputs import Inputs
from .progress import Progress
from .results import InnerRow, OptionRow, PacketRow, Problem, TunnelRow
from .select import Selector

if TYPE_CHECKING:
    from ..capture.manifest import Manifest


def packets(
    specs: Sequence[CaptureSpec],
    *,
    settings: DecodeSettings | None = None,
    selector: Selector | None = None,
    on_problem: Callable[[Problem], None],
    progress: Progress | None = None,
    manifest: Manifest | None = None,
) -> Iterator[PacketRow]:
    """Yield a row for every selected frame, in file order.

    What goes wrong with an input is told to `on_problem`; see `inputs.Inputs`.
    Raises UsageError where the selector cannot be understood.
    """
    inputs = Inputs(
        specs,
        settings or DecodeSettings(),
        selector or Selector(),
        on_problem,
        progress,
        points=PointTable(manifest),
    )
    for batch in inputs.batches():
        names = inputs.points.names
        path = specs[batch.capture].path
        for i in range(batch.decoded.count):
            if batch.decoded.keep[i]:
                yield packet_row(batch.frames, batch.decoded, i, path, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAnswer:
    """One frame in full."""

    row: PacketRow
    detail: FrameDetail
    data: bytes
    """The octets that were captured."""
    comments: tuple[str, ...]
    """Packet comments (pcapng), raw text."""


def frame(
    spec: CaptureSpec,
    number: int,
    *,
    settings: DecodeSettings | None = None,
    manifest: Manifest | None = None,
) -> FrameAnswer:
    """Return frame `number` (Wireshark's) of a capture with its field tree.

    Raises UsageError where the capture has no such frame, CaptureError where it cannot be read.
    """
    settings = settings or DecodeSettings()
    points = PointTable(manifest)
    capture = Capture(spec, points, 0)
    last = 0
    damage: DamagedCapture | None = None
    try:
        for frames in capture.batches():
            last = frames.frame[frames.count - 1]
            if last >= number:
                return _answer(capture, frames, number, settings)
    except DamagedCapture as error:
        damage = error
    finally:
        capture.close()
    if damage is not None:
        raise damage
    raise UsageError(
        f"{spec.path} has no frame {number}: it has {capture.packets} packets, the "
        f"last is frame {last}"
    )


def _answer(
    capture: Capture, frames: FrameBatch, number: int, settings: DecodeSettings
) -> FrameAnswer:
    row = next((i for i in range(frames.count) if frames.frame[i] == number), None)
    if row is None:
        raise UsageError(f"{capture.spec.path}: frame {number} is a block without a packet")
    decoded = DecodedBatch(1)
    make_decoder(settings).decode(frames, row, decoded)
    begin = frames.offset[row]
    return FrameAnswer(
        row=packet_row(frames, decoded, 0, capture.spec.path, capture.points.names),
        detail=detail(frames, row, settings),
        data=bytes(frames.buffer[begin : begin + frames.captured_bytes[row]]),
        comments=capture.frame_comments(row),
    )


def packet_row(
    frames: FrameBatch, d: DecodedBatch, i: int, path: str, point_names: list[str]
) -> PacketRow:
    """Return decoded row i as a `PacketRow`; `point_names` by point index."""
    row = d.first + i
    time_ns = frames.time_ns[row]
    layers, tunnels = d.layer_start[i], d.tunnel_start[i]
    return PacketRow(
        capture=path,
        frame=frames.frame[row],
        point=point_names[frames.point[row]],
        time_ns=None if time_ns == NO_TIME else time_ns,
        captured_bytes=frames.captured_bytes[row],
        wire_bytes=frames.wire_bytes[row],
        layers=tuple(
            layer_name(code) for code in d.layers.code[layers : layers + d.layer_count[i]]
        ),
        tunnels=tuple(
            _tunnel_row(frames, d, row, t) for t in range(tunnels, tunnels + d.tunnel_count[i])
        ),
        inner=_inner_row(d, i),
        stop=Stop(d.stop[i]).name.lower(),
        stop_layer=layer_name(d.stop_layer[i]) if d.stop[i] != Stop.COMPLETE else None,
        findings=codes(d.findings[i]),
    )


def _optional(number: int) -> int | None:
    return None if number < 0 else number


def _inner_row(d: DecodedBatch, i: int) -> InnerRow | None:
    version = d.inner_version[i]
    if not version:
        return None
    return InnerRow(
        source=address_text(version, d.inner_source_hi[i], d.inner_source_lo[i]),
        destination=address_text(version, d.inner_destination_hi[i], d.inner_destination_lo[i]),
        protocol=protocol_name(d.inner_protocol[i]),
        source_port=_optional(d.inner_source_port[i]),
        destination_port=_optional(d.inner_destination_port[i]),
    )


def _tunnel_row(frames: FrameBatch, d: DecodedBatch, row: int, t: int) -> TunnelRow:
    table = d.tunnels
    kind = TunnelKind(table.kind[t])
    version = table.version[t]
    first = table.option_start[t]
    return TunnelRow(
        kind=TUNNEL_NAMES[kind],
        vni=_optional(table.vni[t]),
        source=address_text(version, table.source_hi[t], table.source_lo[t]),
        destination=address_text(version, table.destination_hi[t], table.destination_lo[t]),
        source_port=_optional(table.source_port[t]),
        destination_port=_optional(table.destination_port[t]),
        overhead_bytes=table.overhead_bytes[t],
        options=tuple(
            _option_row(frames, d, row, o) for o in range(first, first + table.option_count[t])
        ),
        flags=_FLAGS[kind](table.flags[t], table.identifier[t]) if kind in _FLAGS else (),
    )


def _option_row(frames: FrameBatch, d: DecodedBatch, row: int, o: int) -> OptionRow:
    options = d.options
    begin = frames.offset[row] + options.data_offset[o]
    return OptionRow(
        option_class=options.option_class[o],
        option_type=options.option_type[o],
        critical=bool(options.option_type[o] & 0x80),
        data=bytes(frames.buffer[begin : begin + options.data_bytes[o]]),
    )


_Flags = tuple[tuple[str, int | bool | None], ...]


def _geneve_flags(word: int, _: int) -> _Flags:
    """RFC 8926 section 3.4."""
    return (
        ("version", word >> 30),
        ("oam", bool(word & 0x0080_0000)),
        ("critical", bool(word & 0x0040_0000)),
        ("protocol", word & 0xFFFF),
    )


def _vxlan_flags(word: int, _: int) -> _Flags:
    """RFC 7348 section 5; the policy means something only where its G bit is set."""
    policy = bool(word & 0x8000_0000)
    return (
        ("group_id", word & 0xFFFF if policy else None),
        ("policy_applied", policy and bool(word & 0x0008_0000)),
        ("dont_learn", policy and bool(word & 0x0040_0000)),
    )


def _gpe_flags(word: int, _: int) -> _Flags:
    """draft-ietf-nvo3-vxlan-gpe section 3.1; no P flag means Ethernet."""
    return (("next_protocol", word & 0xFF if word & 0x0400_0000 else None),)


def _gre_flags(word: int, key: int) -> _Flags:
    """RFC 2890 section 2; what PPTP has in its place (version 1) is no key of a tunnel."""
    return (("key", key if word & 0x2000_0000 and not word & 0x0007_0000 else None),)


def _erspan_flags(_: int, first: int) -> _Flags:
    """draft-foschiano-erspan section 4; type I has no header of its own, and so no session."""
    return (("session_id", first & 0x3FF if first else None),)


def _gtpu_flags(_: int, teid: int) -> _Flags:
    """3GPP TS 29.281 section 5.1."""
    return (("teid", teid),)


_FLAGS: dict[TunnelKind, Callable[[int, int], _Flags]] = {
    TunnelKind.GENEVE: _geneve_flags,
    TunnelKind.VXLAN: _vxlan_flags,
    TunnelKind.VXLAN_GPE: _gpe_flags,
    TunnelKind.GRE: _gre_flags,
    TunnelKind.NVGRE: _gre_flags,
    TunnelKind.ERSPAN: _erspan_flags,
    TunnelKind.GTPU: _gtpu_flags,
}

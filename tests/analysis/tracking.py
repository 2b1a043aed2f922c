# SPDX-License-Identifier: Apache-2.0
"""TCP segments laid out as decoded batches by hand, and everything that halves say.

What is asked of halves is asked of both implementations, which must say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from genevecap.analysis.connections import MAX_HALVES, ReadableTracker
from genevecap.columns import DecodedBatch, FrameBatch
from genevecap.kernels import load

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
SYN_ACK = SYN | ACK
CLIENT = (4, 0, 0x0A000001, 40000)
SERVER = (4, 0, 0x0A000002, 80)
HBONE = (4, 0, 0x0A000002, 15008)
MODULUS = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One segment at one point; `captured` octets of the payload are there, all by default."""

    time_ns: int = 0
    point: int = 0
    source: tuple[int, int, int, int] = CLIENT
    destination: tuple[int, int, int, int] = SERVER
    sequence: int = 0
    acknowledgment: int = 0
    flags: int = ACK
    payload: bytes = b""
    captured: int | None = None
    vni: int = -1
    mss: int = 0
    ttl: int = 64
    keep: int = 1
    protocol: int = 6

    def back(self, **changes):
        """The same in the other direction."""
        return replace(self, source=self.destination, destination=self.source, **changes)


def batch(sightings, first=0, frame=1):
    """Return (frames, decoded) with these, behind `first` rows of frames that do not count."""
    frames = FrameBatch(first + len(sightings))
    d = DecodedBatch(max(len(sightings), 1))
    frames.count, d.first, d.count = first + len(sightings), first, len(sightings)
    for i, s in enumerate(sightings):
        row, payload = first + i, s.payload[: s.captured]
        header = 54 + 50 * (s.vni >= 0)
        frames.frame[row], frames.time_ns[row] = frame + i, s.time_ns
        frames.point[row], frames.offset[row] = s.point, len(frames.buffer)
        frames.captured_bytes[row] = header + len(payload)
        frames.wire_bytes[row] = header + len(s.payload)
        frames.buffer += bytes(header) + payload + b"\xa5" * 7
        d.keep[i], d.inner_version[i], d.inner_protocol[i] = s.keep, s.source[0], s.protocol
        d.inner_source_hi[i], d.inner_source_lo[i], d.inner_source_port[i] = s.source[1:]
        (
            d.inner_destination_hi[i],
            d.inner_destination_lo[i],
            d.inner_destination_port[i],
        ) = s.destination[1:]
        d.tcp_flags[i], d.tcp_mss[i], d.inner_ttl[i] = s.flags, s.mss, s.ttl
        d.tcp_sequence[i] = s.sequence % MODULUS
        d.tcp_acknowledgment[i] = s.acknowledgment % MODULUS
        d.payload_offset[i], d.payload_bytes[i] = header, len(s.payload)
        d.tunnel_start[i] = d.tunnels.count
        if s.vni >= 0:
            d.tunnel_count[i] = 1
            d.tunnels.vni[d.tunnels.count] = s.vni
            d.tunnels.count += 1
    return frames, d


def feed(tracker, sightings, size=1000, *, kept=False, capture=0):
    """Give sightings to a tracker, in batches of `size`."""
    for begin in range(0, len(sightings), size):
        frames, d = batch(sightings[begin : begin + size], frame=begin + 1)
        tracker.update(frames, d, capture, kept=kept)
    return tracker


def kernel_tracker(most=MAX_HALVES):
    """A new compiled tracker, or None where it was not built."""
    module = load("genevecap.analysis._kernel_connections")
    return None if module is None else module.KernelTracker(most)


def halves_of(sightings, *, most=MAX_HALVES, **options):
    """Return the halves that these make."""
    readable = feed(ReadableTracker(most), sightings, **options)
    halves = readable.halves()
    kernel = kernel_tracker(most)
    if kernel is not None:
        feed(kernel, sightings, **options)
        assert [said(half) for half in kernel.halves()] == [said(half) for half in halves]
        assert kernel.passed_over == readable.passed_over
    return halves


def half_of(sightings, **options):
    """Return the only half."""
    (half,) = halves_of(sightings, **options)
    return half


def stream(data, isn=1000, cuts=None, *, size=1000, destination=SERVER, syn=True, fin=True):
    """Return one direction of a connection from the client: SYN, `data` cut in segments, FIN.

    cuts: pairs of (begin, end) offsets; by default `size` octets each, in order.
    """
    if cuts is None:
        cuts = [(i, min(i + size, len(data))) for i in range(0, len(data), size)]
    segments = [Sighting(destination=destination, sequence=isn, flags=SYN)] if syn else []
    segments += [
        Sighting(
            destination=destination, sequence=isn + 1 + begin, acknowledgment=1,
            payload=data[begin:end],
        )
        for begin, end in cuts
    ]  # fmt: skip
    if fin:
        end = Sighting(destination=destination, sequence=isn + 1 + len(data), flags=ACK | FIN)
        segments.append(end)
    return [replace(s, time_ns=1_000 * (i + 1)) for i, s in enumerate(segments)]


def said(half):
    """Everything that a half says, comparable."""
    plain = {
        name: getattr(half, name)
        for name in sorted(half.__slots__)
        if not name.startswith("_") and name != "records"
    }
    reader = half.records
    return plain | {
        "events": list(half.events),
        "prefix": half.prefix,
        "records": reader
        and {
            name: getattr(reader, name)
            for name in ("rows", "lost", "dropped", "opening", "repeat_rows", "repeat_count")
        },
    }

# SPDX-License-Identifier: Apache-2.0
"""The wire between the nodes: a program that delays, loses and reorders Ethernet frames.

`python wire.py CONFIG.json` runs in the namespace of the wire's two ends. Each end is a packet
socket with a virtio-net header before every frame, so super-packets and unfinished checksums pass
whole, as they do between two veth ends. A frame's delay counts from its kernel time stamp.

CONFIG.json: {"ends": [name, name], "forward": SETTINGS, "reverse": SETTINGS, "seed": n,
"log": path}; SETTINGS as the fields of `Direction`. The log (ndjson) has one `drop` or `hold`
event a frame concerned, and a `summary` for each direction at the end (SIGTERM).
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import signal
import socket
import struct
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_BUFFER_BYTES = 32 << 20
_FRAME_BYTES = 1 << 17
_TIMESTAMP = struct.Struct("=qq")
# struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
_VNET = struct.Struct("=BBHHHH")
_ETHERNET_BYTES = 14
_TCP, _UDP = 6, 17
_VXLAN, _GENEVE = "vxlan", "geneve"
_TUNNELS = {4789: _VXLAN, 8472: _VXLAN, 6081: _GENEVE}
"""The underlays' UDP ports; both headers have 8 octets, Geneve's options not counted."""
_IPV4, _IPV6 = 0x0800, 0x86DD
_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """What happens to frames that go one way."""

    delay_ms: float = 0.0
    loss: float = 0.0
    """Share of TCP frames that are dropped."""
    reorder: float = 0.0
    """Share of TCP frames that are held back for `hold_ms` more, so that later ones pass them."""
    hold_ms: float = 2.0
    largest_packet_bytes: int = 0
    """IP packets above this size vanish without a word (a PMTU black hole); 0: none do."""
    blocked_port: int = 0
    """TCP segments to this port vanish (a firewall); 0: none do."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the wire understands of a frame."""

    is_tcp: bool
    flow: str
    """`src:port > dst:port` for TCP, else empty."""
    sequence: int
    payload_bytes: int
    packet_bytes: int
    """Size of the IP packet, or of the largest packet a super-packet will be cut into."""


@dataclass(slots=True)
class Counters:
    """What happened in one direction."""

    frames: int = 0
    super_packets: int = 0
    dropped: int = 0
    held: int = 0
    send_errors: int = 0
    delays_ns: list[int] = field(default_factory=list)


def parse(data: bytes) -> Frame:
    """Read what is needed of a frame with its virtio-net header; never fails.

    A TCP segment inside VXLAN or Geneve is described as it is inside, but for the packet's size.
    """
    gso_bytes = _VNET.unpack_from(data)[3]
    frame = _parse_ethernet(data[_VNET.size :])
    if not gso_bytes or not frame.is_tcp:
        return frame
    headers_bytes = frame.packet_bytes - frame.payload_bytes
    return replace(frame, packet_bytes=min(frame.packet_bytes, headers_bytes + gso_bytes))


def _parse_ethernet(frame: bytes, *, wrapped: bool = False) -> Frame:
    packet = frame[_ETHERNET_BYTES:]
    other = Frame(False, "", 0, 0, len(packet))
    ip = _parse_ip(int.from_bytes(frame[12:14], "big"), packet)
    if ip is None:
        return other
    source, target, protocol, start, size_bytes = ip
    if protocol == _UDP and not wrapped and len(packet) >= start + 16:
        tunnel = _TUNNELS.get(int.from_bytes(packet[start + 2 : start + 4], "big"))
        if tunnel is None:
            return other
        # RFC 8926 section 3.4: the option length in units of four octets.
        options_bytes = (packet[start + 8] & 0x3F) * 4 if tunnel == _GENEVE else 0
        inner = _parse_ethernet(packet[start + 16 + options_bytes :], wrapped=True)
        return replace(inner, packet_bytes=size_bytes)
    if protocol != _TCP or len(packet) < start + 20:
        return other
    source_port, target_port, sequence = struct.unpack_from("!HHI", packet, start)
    header_bytes = start + (packet[start + 12] >> 4) * 4
    return Frame(
        is_tcp=True,
        flow=f"{source}:{source_port} > {target}:{target_port}",
        sequence=sequence,
        payload_bytes=max(0, size_bytes - header_bytes),
        packet_bytes=size_bytes,
    )


def _parse_ip(ether_type: int, packet: bytes) -> tuple[str, str, int, int, int] | None:
    """Return (source, target, protocol, header's and packet's size in bytes), None if not IP."""
    if ether_type == _IPV4 and len(packet) >= 20:
        size_bytes = int.from_bytes(packet[2:4], "big") or len(packet)
        source, target = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
        return source, target, packet[9], (packet[0] & 0xF) * 4, size_bytes
    if ether_type == _IPV6 and len(packet) >= 40:
        payload_bytes = int.from_bytes(packet[4:6], "big")
        source, target = (
            f"[{socket.inet_ntop(socket.AF_INET6, packet[at : at + 16])}]" for at in (8, 24)
        )
        return source, target, packet[6], 40, payload_bytes + 40 if payload_bytes else len(packet)
    return None


def fate(settings: Direction, frame: Frame, chance: random.Random) -> tuple[str, float]:
    """Return (`pass`, `hold` or `drop`, delay in ms) of one frame; draws the same for all."""
    lost, late = chance.random(), chance.random()
    if settings.largest_packet_bytes and frame.packet_bytes > settings.largest_packet_bytes:
        return "drop", 0.0
    if settings.blocked_port and frame.flow.endswith(f":{settings.blocked_port}"):
        return "drop", 0.0
    if frame.is_tcp and lost < settings.loss:
        return "drop", 0.0
    if frame.is_tcp and late < settings.reorder:
        return "hold", settings.delay_ms + settings.hold_ms
    return "pass", settings.delay_ms


class Wire:
    """Two ends, and the frames that are under way between them."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._names: list[str] = config["ends"]
        self._settings = [Direction(**config[key]) for key in ("forward", "reverse")]
        # A generator a direction: what one side sends does not change the other's fate.
        self._chances = [random.Random(f"{config['seed']} {side}") for side in (0, 1)]
        self._ends = [_open_end(name) for name in self._names]
        self._counters = [Counters(), Counters()]
        self._under_way: list[tuple[int, int, int, int, bytes]] = []
        self._order = 0
        self._log = Path(config["log"]).open("w", buffering=1)  # noqa: SIM115  closed by run
        self._stopped = False

    def run(self) -> None:
        """Pass frames until SIGTERM or SIGINT, then write the summaries."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with selectors.DefaultSelector() as selector:
            for side, end in enumerate(self._ends):
                selector.register(end, selectors.EVENT_READ, side)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while not self._stopped:
                for key, _ in selector.select(self._wait_s()):
                    self._receive(key.data)
                self._send_due()
        self._summarise()

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _wait_s(self) -> float:
        if not self._under_way:
            return 0.2
        return max(0.0, (self._under_way[0][0] - time.time_ns()) / 1e9)

    def _receive(self, side: int) -> None:
        """Take what has arrived at one end and decide about it."""
        for _ in range(64):
            try:
                data, ancillary, _, _ = self._ends[side].recvmsg(_FRAME_BYTES, 64)
            except BlockingIOError:
                return
            arrived_ns = time.time_ns()
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, nanoseconds = _TIMESTAMP.unpack(value)
                    arrived_ns = seconds * 1_000_000_000 + nanoseconds
            self._judge(side, arrived_ns, data)

    def _judge(self, side: int, arrived_ns: int, data: bytes) -> None:
        counters, frame = self._counters[side], parse(data)
        counters.frames += 1
        counters.super_packets += data[1] != 0
        what, delay_ms = fate(self._settings[side], frame, self._chances[side])
        if what != "pass":
            self._tell(arrived_ns, what, side, asdict(frame))
        if what == "drop":
            counters.dropped += 1
            return
        counters.held += what == "hold"
        self._order += 1
        due_ns = arrived_ns + round(delay_ms * _MS)
        heapq.heappush(self._under_way, (due_ns, self._order, side, arrived_ns, data))

    def _send_due(self) -> None:
        while self._under_way and self._under_way[0][0] <= time.time_ns():
            _, _, side, arrived_ns, data = heapq.heappop(self._under_way)
            try:
                self._ends[1 - side].send(data)
            except OSError as error:
                self._counters[side].send_errors += 1
                self._tell(time.time_ns(), "send-error", side, {"error": str(error)})
                continue
            self._counters[side].delays_ns.append(time.time_ns() - arrived_ns)

    def _tell(self, t_ns: int, event: str, side: int, rest: dict[str, object]) -> None:
        line = {"t_ns": t_ns, "event": event, "direction": self._direction(side), **rest}
        self._log.write(json.dumps(line) + "\n")

    def _direction(self, side: int) -> str:
        return f"{self._names[side]}->{self._names[1 - side]}"

    def _summarise(self) -> None:
        for side, counters in enumerate(self._counters):
            counts = asdict(counters)
            delays_ns = sorted(counts.pop("delays_ns"))
            counts["actual_ms"] = {
                name: round(delays_ns[round(share * (len(delays_ns) - 1))] / _MS, 3)
                for name, share in (("min", 0.0), ("p50", 0.5), ("p95", 0.95), ("max", 1.0))
                if delays_ns
            }
            self._tell(time.time_ns(), "summary", side, counts)
        self._log.close()


def _open_end(name: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    end.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER_BYTES)
    end.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    end.bind((name, _ETH_P_ALL))
    end.setblocking(False)
    return end


if __name__ == "__main__":
    Wire(json.loads(Path(sys.argv[1]).read_text())).run()

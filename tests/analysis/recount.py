# SPDX-License-Identifier: Apache-2.0
"""The summary counted again from what tshark prints; shares no code with genevecap."""

from __future__ import annotations

import subprocess
from collections import defaultdict, deque
from contextlib import suppress
from decimal import Decimal

FIELDS = (
    "frame.protocols", "frame.len", "frame.time_epoch", "ip.src", "ip.dst", "ip.proto",
    "ip.hdr_len", "ip.frag_offset", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport",
    "tcp.srcport", "tcp.dstport", "geneve.vni", "geneve.options", "geneve.option.class",
    "geneve.option.type", "vxlan.vni",
)  # fmt: skip
PROTOCOLS = {"tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmpv6": "icmpv6"}
NUMBERS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
SEPARATOR = "\x1f"


class Frame:
    """One line of tshark: a queue of values for each field."""

    def __init__(self, line):
        values = line.split("\t")
        assert len(values) == len(FIELDS), line
        self._queues = {
            name: deque(value.split(SEPARATOR) if value else ())
            for name, value in zip(FIELDS, values, strict=True)
        }

    def next(self, name):
        return self._queues[name].popleft()

    def rest(self, name):
        return list(self._queues[name])


class Recount:
    """tunnels, options, flows and fragments of one capture."""

    def __init__(self, path):
        self.tunnels = {}
        self.options = defaultdict(lambda: [0, 0])
        self.flows = defaultdict(lambda: [0, 0])
        self.packets = self.fragments = 0
        command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a"]
        command += ["-E", f"aggregator={SEPARATOR}"]
        command += ["-d", "udp.port==8472,vxlan"]
        for preference in ("ip.defragment:FALSE", "ipv6.defragment:FALSE"):
            command += ["-o", preference]
        for name in FIELDS:
            command += ["-e", name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for line in text.splitlines():
            self._count(Frame(line))

    def _count(self, frame):
        self.packets += 1
        wire_bytes = int(frame.next("frame.len"))
        time_ns = int(Decimal(frame.next("frame.time_epoch")) * 10**9)
        path, tunnels = [], []
        with suppress(IndexError):  # cut in a header: its fields are missing, its name is there
            self._walk(frame, path, tunnels)
        self._add(path[-1] if path else None, tunnels, wire_bytes, time_ns)

    def _walk(self, frame, path, tunnels):
        """Append the IP headers and tunnels of a frame to `path` and `tunnels`."""
        for name in frame.next("frame.protocols").split(":"):
            if name in {"ip", "ipv6"}:
                around = tunnels[-1]["key"][1] if tunnels else None
                path.append({**_ip(frame, name), "vni": around})
                if path[-1]["fragment"]:
                    self.fragments += 1
                    break
            elif name in {"udp", "tcp"}:
                path[-1]["protocol"] = PROTOCOLS[name]
                ports = tuple(int(frame.next(f"{name}.{end}port")) for end in ("src", "dst"))
                path[-1]["ports"] = ports
            elif name in {"icmp", "icmpv6"}:
                path[-1]["protocol"] = PROTOCOLS[name]
                break
            elif name in {"geneve", "vxlan"}:
                tunnels.append(self._tunnel(frame, name, path[-1]))
            elif name in {"eth", "vlan"} and tunnels:
                tunnels[-1]["overhead"] += 14 if name == "eth" else 4

    def _tunnel(self, frame, name, ip):
        """Tunnel header and what carries it; the inner Ethernet header is added when it comes."""
        options = frame.rest("geneve.options") if name == "geneve" else []
        seen = set()
        if options:
            for key in _options(bytes.fromhex(options[0])):
                self.options[key][0] += key not in seen
                self.options[key][1] += 1
                seen.add(key)
            classes = [int(value, 16) for value in frame.rest("geneve.option.class")]
            assert classes == [key[0] for key in _options(bytes.fromhex(options[0]))]
        return {
            "key": (name, int(frame.next(f"{name}.vni"), 16 if name == "geneve" else 10),
                    ip["source"], ip["destination"], ip["ports"][1]),
            "overhead": ip["bytes"] + 8 + 8 + len("".join(options)) // 2,
        }  # fmt: skip

    def _add(self, ip, tunnels, wire_bytes, time_ns):
        flow = None
        if ip is not None:
            ends = ip["source"], ip["destination"], ip["protocol"], *ip["ports"]
            flow = (ip["vni"], *ends)
            self.flows[flow][0] += 1
            self.flows[flow][1] += wire_bytes
        for depth, tunnel in enumerate(tunnels):
            counts = self.tunnels.setdefault(
                (*tunnel["key"], depth),
                {"packets": 0, "wire_bytes": 0, "overhead_bytes": 0, "flows": set(), "times": []},
            )
            counts["packets"] += 1
            counts["wire_bytes"] += wire_bytes
            counts["overhead_bytes"] += tunnel["overhead"]
            counts["flows"].add(flow)
            counts["times"].append(time_ns)


def _ip(frame, name):
    if name == "ipv6":
        return {
            "source": frame.next("ipv6.src"), "destination": frame.next("ipv6.dst"), "bytes": 40,
            "protocol": None, "fragment": False, "ports": (None, None),
        }  # fmt: skip
    protocol = int(frame.next("ip.proto"))
    return {
        "source": frame.next("ip.src"),
        "destination": frame.next("ip.dst"),
        "bytes": int(frame.next("ip.hdr_len")),
        "protocol": NUMBERS.get(protocol, str(protocol)),
        "fragment": int(frame.next("ip.frag_offset")) > 0,
        "ports": (None, None),
    }


def _options(area):
    """Class, type and data length of the options in an option area (RFC 8926 section 3.5)."""
    while area:
        size = 4 * (area[3] & 0x1F)
        yield int.from_bytes(area[:2], "big"), area[2], size
        area = area[4 + size :]

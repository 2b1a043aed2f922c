# SPDX-License-Identifier: Apache-2.0
"""Where SYNs are seen in a run's captures, asked of tshark: the independent side of the tests."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FIELDS = (
    "frame.interface_name", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport",
    "tcp.dstport", "geneve.vni", "ip.ttl", "eth.dst",
)  # fmt: skip
_PORTS = (6081, 6082)
"""Of Geneve in the lab."""
_LIMIT_S = 120


@dataclass(frozen=True, slots=True, order=True)
class Sighting:
    """One packet at one interface."""

    namespace: str
    interface: str
    vni: int | None = None
    """Of the Geneve tunnel it was in."""


@dataclass(frozen=True, slots=True)
class Details:
    """What else was seen of the (inner) packet."""

    ttl: int | None
    destination_mac: str


Flow = tuple[str, str]
"""`src:port`, `dst:port`."""


def rows(
    path: Path, display_filter: str, *fields: str, keylog: Path | None = None
) -> list[list[str]]:
    """Return the fields of the packets that match; values met several times joined by commas.

    keylog: TLS secrets; with them HBONE is opened.
    """
    named = [word for field in fields for word in ("-e", field)]
    if keylog is not None:
        named += ["-d", "tcp.port==15008,tls", "-o", f"tls.keylog_file:{keylog}"]
    for port in (*_PORTS, *_geneve_sources(path)):
        named += ["-d", f"udp.port=={port},geneve"]
    return _tshark(path, display_filter, *named)


@cache
def _geneve_sources(path: Path) -> frozenset[str]:
    """Return the outer source ports of Geneve in a capture.

    tshark goes by the lower port first. A source port may be any (RFC 8926 section 3.3), and where
    it is that of DTLS or the like, the packet is taken for that unless told otherwise.
    """
    only = " || ".join(f"udp.dstport == {port}" for port in _PORTS)
    return frozenset(row[0].split(",")[0] for row in _tshark(path, only, "-e", "udp.srcport"))


def _tshark(path: Path, display_filter: str, *options: str) -> list[list[str]]:
    done = subprocess.run(
        ["tshark", "-n", "-d", "udp.port==8472,vxlan", "-r", str(path), "-Y", display_filter,
         "-T", "fields", *options],
        capture_output=True, text=True, check=True, timeout=_LIMIT_S,
    )  # fmt: skip
    return [line.split("\t") for line in done.stdout.splitlines()]


def syns(folder: Path) -> dict[Flow, dict[Sighting, Details]]:
    """Return where the SYN of each (innermost) flow was seen, in all pcapng files of a run."""
    found: defaultdict[Flow, dict[Sighting, Details]] = defaultdict(dict)
    for path in sorted(folder.glob("*.pcapng")):
        for row in rows(path, "tcp.flags.syn==1 && tcp.flags.ack==0", *_FIELDS):
            interface, *values = (value.split(",")[-1] for value in row)
            source, target, source6, target6, source_port, target_port, vni, ttl, mac = values
            flow = (
                f"{source}:{source_port}" if source else f"[{source6}]:{source_port}",
                f"{target}:{target_port}" if target else f"[{target6}]:{target_port}",
            )
            sighting = Sighting(path.stem, interface, int(vni, 16) if vni else None)
            found[flow][sighting] = Details(int(ttl) if ttl else None, mac)
    return dict(found)

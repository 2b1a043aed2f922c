# SPDX-License-Identifier: Apache-2.0
"""Captures at every point of the mesh, all at once.

Of each namespace one pcapng with all its interfaces (dumpcap, whole packets); of the nodes'
interfaces that matter most one classic pcap each (tcpdump, short snap length); of each node
everything as `-i any` sees it, in LINUX_SLL2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab import captures
from tests.lab.mesh import modes, underlays
from tests.lab.mesh import topology as net

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.captures import Recording
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.namespaces import Lab

TOOLS = ("dumpcap", "tcpdump")
SHORT_SNAPLEN_BYTES = 160
_CLASSIC = (
    ("node-a", net.CLIENT.veth),
    ("node-a", net.NODE_INTERFACE),
    ("node-b", net.NODE_INTERFACE),
    ("node-b", net.SERVER.veth),
)


def interfaces(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return every interface that packets pass, by namespace."""
    found = scenario.mesh.interfaces()
    for more in (
        underlays.interfaces(scenario.underlay),
        modes.BY_NAME[scenario.mode].interfaces(scenario),
    ):
        for namespace, names in more.items():
            found[namespace] += names
    return found


def files(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the files that a run records."""
    return (
        *(f"{namespace}.pcapng" for namespace in interfaces(scenario)),
        *(f"{namespace}.{interface}.pcap" for namespace, interface in _CLASSIC),
        *(f"{node}.any-sll2.pcap" for node in net.NODES),
    )


def start(lab: Lab, scenario: Scenario, folder: Path) -> list[Recording]:
    """Start all recorders and return once each of them records."""
    launched = [
        captures.launch_dumpcap(lab, namespace, names, folder / f"{namespace}.pcapng")
        for namespace, names in interfaces(scenario).items()
    ]
    for namespace, interface in _CLASSIC:
        path = folder / f"{namespace}.{interface}.pcap"
        launched.append(_launch_short(lab, namespace, path, "-i", interface))
    for node in net.NODES:
        path = folder / f"{node}.any-sll2.pcap"
        launched.append(_launch_short(lab, node, path, "-i", "any", "-y", "LINUX_SLL2"))
    return [captures.await_recording(recording) for recording in launched]


def _launch_short(lab: Lab, namespace: str, path: Path, *options: str) -> Recording:
    return captures.launch_tcpdump(
        lab, namespace, path, *options, snaplen_bytes=SHORT_SNAPLEN_BYTES
    )

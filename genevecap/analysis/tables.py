# SPDX-License-Identifier: Apache-2.0
"""Counters of the summary: what they count, and what they can be asked.

There are two implementations: `readable_tables` and `_kernel_tables`, which is compiled.

All of them merge in any order, bit for bit, but for what compares a packet with those before it:
the order of times, where the packets of a flow came from, and which packets came again (what each
one noted is added up).  Memory grows with tunnels,
options and one-way flows (about 100 octets each when compiled), never with the number of frames.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple, Protocol, Self

from ..columns import DecodedBatch, FrameBatch
from ..decode.settings import VXLAN_PORTS
from ..kernels import load

FIRST_FRAMES = 5
"""Frames that a finding names."""

SCATTERED_PACKETS = 32
"""A flow with fewer packets is too short to say that its source port keeps changing."""

MOST_CHANGES = (1 << 24) - 1
"""Changes of the source port that are counted for a flow."""

MOST_MOVES = 4096
"""Pairs of tunnels between which moves are remembered."""

MOST_CHANGED = 4096
"""Flows of which the first change of the source port is remembered."""

CLOCK_STEP_NS = 1_000_000_000
"""A time this much before the one before is a step of the clock, less is disorder."""

LARGEST_FRAME_BYTES = 9216 + 14 + 4
"""Jumbo frames: no usual network carries a larger one."""

DYNAMIC_PORTS = 49152
"""The first of the dynamic ports (RFC 6335 section 6)."""

VXLAN_PORT = VXLAN_PORTS[0]
REDIRECT_PORTS = (15001, 15006)
"""ztunnel's listeners for redirected connections (see `genevecap.ambient`)."""


class TunnelCount(NamedTuple):
    """One tunnel direction at one depth."""

    kind: int
    vni: int
    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    port: int
    depth: int
    packets: int
    wire_bytes: int
    overhead_bytes: int
    inner_flows: int
    option_packets: int
    """Packets with at least one Geneve option."""
    first_ns: int
    last_ns: int
    least_source_port: int
    most_source_port: int
    """Of the carrying UDP headers; -1 where there are none."""
    services: int
    """`services.Service` bits of the flows inside."""
    capture: int
    frame: int
    """Where it was seen first."""


class FlowCount(NamedTuple):
    """One one-way 5-tuple, with the VNI of the innermost tunnel around it (-1 for none).

    Where a tunnel holds no IP header, the 5-tuple is that of the header that carries it.
    """

    vni: int
    version: int
    source_hi: int
    source_lo: int
    destination_hi: int
    destination_lo: int
    protocol: int
    source_port: int
    destination_port: int
    packets: int
    wire_bytes: int


class OptionCount(NamedTuple):
    """One Geneve option class, type and size."""

    option_class: int
    option_type: int
    data_bytes: int
    packets: int
    occurrences: int


class StopCount(NamedTuple):
    """Frames that ended one way at one layer code."""

    stop: int
    layer: int
    packets: int


class FindingCount(NamedTuple):
    """One finding bit: how many frames, and the first of them as (capture, frame)."""

    bit: int
    packets: int
    frames: tuple[tuple[int, int], ...]


class Scattered(NamedTuple):
    """Flows whose outer source port changes again and again."""

    flows: int
    packets: int
    largest: list[FlowCount]
    frames: list[tuple[int, int]]
    """Where the port changed first in some of them, as (capture, frame): the first ones."""


class Move(NamedTuple):
    """Packets of one flow came from one tunnel endpoint, then from another, then from the first."""

    one: TunnelCount
    other: TunnelCount
    times: int
    """How often the sender changed, both ways."""
    capture: int
    frame: int
    """The first frame after such a change."""


class Repeat(NamedTuple):
    """Packets of one tunnel that were there before: see `repeats`."""

    tunnel: TunnelCount
    packets: int
    frames: list[tuple[int, int]]
    """The first ones, as (capture, frame)."""


class Directions(NamedTuple):
    """TCP connections by whether both directions were seen."""

    both: int
    one: int
    redirected: int
    """Of those with one: to ztunnel's listeners, where redirection gives the answer other ends."""


class SummaryTables(Protocol):
    """What both implementations offer."""

    def update(self, frames: FrameBatch, decoded: DecodedBatch, capture: int) -> array[int]:
        """Count the rows that `keep`; return the decoded rows that are TCP SYNs without ACK."""

    def hidden(self) -> array[int]:
        """Return the rows of the last update whose inside is hidden: ESP, MACsec, WireGuard."""

    def merge(self, other: Self) -> None:
        """Add what another one counted."""

    def selected(self) -> int:
        """Return how many frames were counted."""

    def flow_count(self) -> int:
        """Return how many one-way flows there are."""

    def tunnels(self) -> list[TunnelCount]:
        """Return all tunnels, largest first: by packets; ties by octets, then by key."""

    def top_flows(self, most: int) -> list[FlowCount]:
        """Return the flows with most packets, largest first; ties by octets, then by key."""

    def flows_with_port(self, port: int, most: int) -> list[FlowCount]:
        """Return up to `most` TCP flows with this source or destination port, as `top_flows`."""

    def flows_with_address(self, address: tuple[int, int, int], most: int) -> list[FlowCount]:
        """Return up to `most` flows with this source or destination (version, hi, lo)."""

    def flows_of(self, protocol: int, most: int) -> list[FlowCount]:
        """Return up to `most` flows of this IP protocol, as `top_flows`."""

    def scattered(self, most: int) -> Scattered:
        """Return flows (up to `most` of them) whose outer source port is not one.

        A port may change: Linux takes another one for a TCP connection after a timeout.  Here are
        flows of at least SCATTERED_PACKETS packets of which a quarter came from another port than
        the one before, in the same tunnel.
        """

    def moves(self) -> list[Move]:
        """Return where flows went to and fro between two senders of one VNI, in no order.

        One flow that goes and another one that comes are two workloads that moved once.

        A packet that is passed on, decapsulated and encapsulated again, is not meant: there the
        destination of one tunnel is the source of the other.
        """

    def repeats(self) -> list[Repeat]:
        """Return the tunnels with packets that came again, in no order."""

    def directions(self) -> Directions:
        """Count TCP connections by whether both directions were seen, whatever tunnel is around."""

    def options(self) -> list[OptionCount]:
        """Return all options, in no order."""

    def stops(self) -> list[StopCount]:
        """Return all ways of ending, in no order."""

    def findings(self) -> list[FindingCount]:
        """Return the findings that were met, by bit."""


def summary_tables() -> SummaryTables:
    """Return compiled tables where they were built, else readable ones."""
    kernel = load("genevecap.analysis._kernel_tables")
    if kernel is not None:
        tables: SummaryTables = kernel.KernelTables()
        return tables
    from .readable_tables import ReadableTables

    return ReadableTables()


def flow_order(flow: FlowCount) -> tuple[int, ...]:
    """Return the sorting key of `top_flows`."""
    return (-flow.packets, -flow.wire_bytes, *flow[:9])

# SPDX-License-Identifier: Apache-2.0
"""Samples for the clocks of several hosts, from connections that both saw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clock import UNKNOWN_NS, HostClock, PairSamples
from ..connections import Half
from ..grouping import Connection
from ..linking.events import Array

Points = Sequence[str]
"""Host of each capture point, by its index."""


def samples(connections: Sequence[Connection], host_of: Points) -> list[PairSamples]:
    """Return what pairs of hosts saw of the same packets: handshakes, and new octets.

    A packet travels from the point nearer to its sender.  Which of two points is nearer to the
    client no clock need tell: there more time passes from SYN to SYN-ACK.
    """
    gathered: dict[tuple[str, str], tuple[list[Array], list[Array]]] = {}
    for connection in connections:
        points = [
            p for p in connection.points if p in connection.forward and p in connection.reverse
        ]
        for i, one in enumerate(points):
            for other in points[i + 1 :]:
                if host_of[one] == host_of[other]:
                    continue
                near, far = _by_distance(connection, one, other)
                if near is None:
                    continue
                pair = gathered.setdefault((host_of[near], host_of[far]), ([], []))
                pair[0].append(_common(connection.forward[near], connection.forward[far]))
                pair[1].append(_common(connection.reverse[far], connection.reverse[near]))
    result = []
    for (first, second), (forward, reverse) in gathered.items():
        sent, back = np.concatenate(forward), np.concatenate(reverse)
        result.append(
            PairSamples(
                first=first,
                second=second,
                forward_sent_ns=sent[:, 0],
                forward_received_ns=sent[:, 1],
                reverse_sent_ns=back[:, 0],
                reverse_received_ns=back[:, 1],
            )
        )
    return result


def _by_distance(connection: Connection, one: int, other: int) -> tuple[int | None, int]:
    """Return the two points, the one nearer to the client first; None where nothing tells."""
    gaps = [_answer_ns(connection, point) for point in (one, other)]
    if gaps[0] is None or gaps[1] is None or gaps[0] == gaps[1]:
        return None, other
    return (one, other) if gaps[0] > gaps[1] else (other, one)


def _answer_ns(connection: Connection, point: int) -> int | None:
    syn, answer = connection.forward[point].syn_ns, connection.reverse[point].syn_ns
    return None if syn is None or answer is None else answer - syn


def _common(sender: Half, receiver: Half) -> Array:
    """Return rows of (sent, received) of the packets that both points saw once."""
    rows = []
    # A SYN that was repeated may be another one at the other point.
    once = sender.syn_count == 1 == receiver.syn_count
    if once and sender.syn_ns is not None and receiver.syn_ns is not None:
        rows.append((sender.syn_ns, receiver.syn_ns))
    sent = np.array(sender.events, np.int64).reshape(-1, 4)
    received = np.array(receiver.events, np.int64).reshape(-1, 4)
    clean = not sender.duplicates and not receiver.duplicates
    if clean and len(sent) and len(received):
        _, a, b = np.intersect1d(
            sent[:, 0] << 17 | (sent[:, 1] - sent[:, 0]),
            received[:, 0] << 17 | (received[:, 1] - received[:, 0]),
            return_indices=True,
        )
        rows.extend(zip(sent[a, 2].tolist(), received[b, 2].tolist(), strict=True))
    return np.array(rows, np.int64).reshape(-1, 2)


class CommonClock:
    """Puts the times of all points on the reference's clock."""

    def __init__(self, clocks: Sequence[HostClock], host_of: Points) -> None:
        self.clocks = tuple(clocks)
        by_host = {clock.host: clock for clock in clocks}
        self._of_point = [by_host.get(host) for host in host_of]

    def correct(self, point: int, times_ns: Array) -> Array:
        """Return times of a point on the reference's clock."""
        clock = self._of_point[point] if point < len(self._of_point) else None
        if clock is None or not clock.segments:
            return times_ns
        return clock.to_reference(times_ns)

    def uncertainty_ns(self, one: int, other: int) -> int:
        """Return by how much times of two points may be wrong against each other."""
        clocks = self._of_point[one], self._of_point[other]
        if clocks[0] is clocks[1]:
            return 0
        return min(sum(_worst(clock) for clock in clocks if clock is not None), UNKNOWN_NS)

    @property
    def slack_ns(self) -> int:
        """Return the largest uncertainty of any host that is known at all."""
        known = [_worst(clock) for clock in self.clocks if clock.segments]
        return max(known, default=0)


def _worst(clock: HostClock) -> int:
    if not clock.segments:
        return UNKNOWN_NS
    return max(segment.uncertainty_ns for segment in clock.segments)

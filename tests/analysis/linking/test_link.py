# SPDX-License-Identifier: Apache-2.0
"""Linking of made-up legs whose partners are known: `linking.link` and `linking.ways`."""

from __future__ import annotations

import numpy as np
import pytest

from genevecap.analysis.linking.events import (
    HboneRecords,
    Kind,
    LegEvents,
    Message,
    RecordColumns,
    event_table,
)
from genevecap.analysis.linking.link import link

MS = 1_000_000
WIRE_NS = 5 * MS
SIZE = 100


class Mesh:
    """Sessions through proxies that take 0.15 ms with an exponential tail, over some HBONE."""

    def __init__(self, count, *, seed=1, gap_ns=2 * MS, connections=1):
        self.rng = np.random.default_rng(seed)
        self.up = [[] for _ in range(connections)]
        self.down = [[] for _ in range(connections)]
        self.outbound, self.inbound, self.carrier = [], [], []
        begin = 0
        for _ in range(count):
            begin += int(self.rng.exponential(gap_ns)) + 1
            self.session(begin, int(self.rng.integers(connections)))

    def proxy(self):
        return 50_000 + int(self.rng.exponential(100_000))

    def wire(self):
        return WIRE_NS + int(self.rng.exponential(400_000))

    def session(self, begin, h):
        self.carrier.append(h)
        opened = self.carry(self.up[h], begin, 91)
        accepted = opened + 50_000
        ready = self.carry(self.down[h], accepted, 28)
        asked = self.carry(self.up[h], ready, SIZE + 26)
        answered = asked + int(self.rng.integers(1, 8)) * MS
        response = self.carry(self.down[h], answered, SIZE + 26)
        closed = self.carry(self.down[h], answered + 100_000, 26)
        ended = self.carry(self.up[h], closed + 100_000, 26)
        self.outbound.append(leg(begin, begin + 60_000, response, closed + 100_000, closed))
        self.inbound.append(leg(opened, asked, answered, ended, answered + 100_000, accepted))

    def carry(self, records, moment, length):
        """Let a record pass both proxies; return when the other side sees its event."""
        sent = moment + self.proxy()
        received = sent + self.wire()
        records.append((length, sent, received))
        return received + self.proxy()

    def hbone(self):
        return [
            HboneRecords(
                address=0, source=0, open_ns=0, up=columns(u), down=columns(d, turned=True)
            )
            for u, d in zip(self.up, self.down, strict=True)
        ]


def columns(records, *, turned=False):
    table = np.array(records, np.int64).reshape(-1, 3)
    client, server = (table[:, 2], table[:, 1]) if turned else (table[:, 1], table[:, 2])
    return RecordColumns(
        length=table[:, 0],
        client_first_ns=client,
        client_last_ns=client,
        server_first_ns=server,
        server_last_ns=server,
    )


def leg(opened, asked, answered, close_up, close_down, accepted=None):
    def message(moment):
        return [Message(offset=0, time_ns=moment, first_bytes=SIZE, bytes=SIZE)]

    return LegEvents(
        address=0,
        source=0,
        pools=frozenset({0}),
        partners=frozenset({0}),
        open_ns=opened,
        accept_ns=accepted,
        up=message(asked),
        down=message(answered),
        up_bytes=SIZE,
        down_bytes=SIZE,
        close_up_ns=close_up,
        close_down_ns=close_down,
        last_ns=max(close_up, close_down),
    )


def right(links, count, order=None):
    order = range(count) if order is None else order
    return sum(
        bool(links.partners.get(i)) and links.partners[i][0].index == j for i, j in enumerate(order)
    )


def test_sessions_that_overlap_are_told_apart_by_learnt_delays():
    mesh = Mesh(150)
    links = link(mesh.outbound, mesh.hbone(), mesh.inbound)
    assert right(links, 150) >= 145


def test_the_order_of_the_legs_does_not_matter():
    mesh = Mesh(60)
    order = np.random.default_rng(5).permutation(60)
    links = link(mesh.outbound, mesh.hbone(), [mesh.inbound[i] for i in order])
    assert right(links, 60, np.argsort(order)) >= 57


def test_the_connection_that_carried_a_leg_is_found():
    mesh = Mesh(200, connections=3)
    links = link(mesh.outbound, mesh.hbone(), mesh.inbound)
    found = [links.ways[i][0][0] for i in range(200)]
    assert sum(a == b for a, b in zip(found, mesh.carrier, strict=True)) >= 196


@pytest.mark.parametrize("gone", [7, 30])
def test_a_leg_whose_partner_was_not_captured_is_not_given_another(gone):
    mesh = Mesh(60, gap_ns=20 * MS)
    inbound = [item for i, item in enumerate(mesh.inbound) if i != gone]
    links = link(mesh.outbound, mesh.hbone(), inbound)
    best = links.partners.get(gone)
    assert not best or best[0].probability < 0.5


def test_without_records_legs_are_matched_with_each_other():
    mesh = Mesh(80, gap_ns=8 * MS)
    links = link(mesh.outbound, [], mesh.inbound)
    assert right(links, 80) >= 70


def test_gates_hold_whatever_else_speaks_for_a_pair():
    mesh = Mesh(20)
    for item in mesh.inbound:
        item.up_bytes = SIZE + 1
    assert link(mesh.outbound, mesh.hbone(), mesh.inbound).partners == {}


def test_a_clock_that_is_uncertain_opens_the_gates():
    mesh = Mesh(1)
    mesh.inbound[0].open_ns = mesh.outbound[0].open_ns - MS
    assert not link(mesh.outbound, [], mesh.inbound).partners
    assert link(mesh.outbound, [], mesh.inbound, slack_ns=20 * MS).partners


def test_nothing_at_all_is_no_error():
    links = link([], [], [])
    assert (links.partners, links.ways, links.backs) == ({}, {}, {})


def test_events_of_a_kind_are_in_columns():
    table = event_table(Mesh(3).outbound, Kind.RESPONSE)
    assert table.leg.tolist() == [0, 1, 2]
    assert table.sizes.tolist() == [[SIZE, SIZE]] * 3
    assert len(event_table(Mesh(3).outbound, Kind.ACCEPT).leg) == 0


def test_moments_of_a_linked_pair_are_those_of_its_records():
    mesh = Mesh(30, gap_ns=20 * MS)
    links = link(mesh.outbound, mesh.hbone(), mesh.inbound)
    moments = links.moments(4, 4, 0)
    client, server = moments.at_client(Kind.OPEN), moments.at_server(Kind.OPEN)
    assert mesh.outbound[4].open_ns < client < server < mesh.inbound[4].open_ns
    assert WIRE_NS <= server - client < WIRE_NS + 5 * MS

# SPDX-License-Identifier: Apache-2.0
"""Which halves are one connection: by initial sequence numbers, whatever NAT did to addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.analysis.grouping import group, points_of

from .tracking import ACK, CLIENT, FIN, SERVER, SYN, SYN_ACK, Sighting, halves_of

SERVICE = (4, 0, 0x0A600001, 80)
ZTUNNEL = (4, 0, 0x7F000001, 15001)
OTHER_CLIENT = (4, 0, 0x0A000001, 40001)
SECOND_NS = 1_000_000_000


def connection(
    client_isn=1000, server_isn=9000, *, client=CLIENT, server=SERVER, point=0, start=0,
    called=None, answered=None, syns=True,
):  # fmt: skip
    """Both directions; called: where the client's segments go; answered: where answers come to."""
    up = Sighting(source=client, destination=called or server, point=point)
    down = Sighting(source=server, destination=answered or client, point=point)
    c, s = client_isn + 1, server_isn + 1
    rows = [
        replace(up, sequence=client_isn, flags=SYN),
        replace(down, sequence=server_isn, acknowledgment=c, flags=SYN_ACK),
        replace(up, sequence=c, acknowledgment=s),
        replace(up, sequence=c, acknowledgment=s, payload=b"request"),
        replace(down, sequence=s, acknowledgment=c + 7, payload=b"answer"),
        replace(up, sequence=c + 7, acknowledgment=s + 6, flags=ACK | FIN),
        replace(down, sequence=s + 6, acknowledgment=c + 8, flags=ACK | FIN),
    ]
    rows = [replace(row, time_ns=start + 1_000 * i) for i, row in enumerate(rows)]
    return rows if syns else rows[2:]


def groups(*parts):
    """The connections of these sightings: per connection the points of both sides."""
    rows = [row for part in parts for row in part]
    return [(set(c.forward), set(c.reverse)) for c in group(halves_of(rows))]


def test_both_directions_at_several_points():
    found = group(halves_of(connection() + connection(point=4) + connection(point=2, start=-50)))
    (one,) = found
    assert (set(one.forward), set(one.reverse)) == ({0, 2, 4}, {0, 2, 4})
    assert one.points == [2, 0, 4]
    assert (one.client.port, one.server.port) == (40000, 80)
    assert (one.first_ns, one.last_ns) == (-50, 6_000)
    assert points_of(found) == {0, 2, 4}


def test_a_services_address_becomes_a_pods():
    assert groups(connection(server=SERVICE), connection(point=1)) == [({0, 1}, {0, 1})]


def test_redirected_halves_have_different_endpoints():
    """In a pod: `C:p > 127.0.0.1:15001` and `D:port > C:p`."""
    (one,) = group(halves_of(connection(server=SERVICE, called=ZTUNNEL)))
    assert (one.client.port, one.server.lo) == (40000, SERVICE[2])
    assert next(iter(one.forward.values())).destination.port == 15001


@pytest.mark.parametrize("lost", [(0,), (1,), (0, 1)], ids=["SYN", "SYN-ACK", "both"])
def test_redirected_halves_of_which_a_syn_is_missing(lost):
    rows = connection(called=ZTUNNEL)
    kept = [row for i, row in enumerate(rows) if i not in lost]
    (one,) = group(halves_of(kept))
    assert (set(one.forward), set(one.reverse)) == ({0}, {0})
    assert (one.client, one.server) == (CLIENT, SERVER)
    assert [half.is_client for half in one.halves()] == [True, False]
    ipv6 = {CLIENT: (6, 1, 2, 40000), SERVER: (6, 1, 3, 80), ZTUNNEL: (6, 0, 1, 15001)}
    kept = [replace(r, source=ipv6[r.source], destination=ipv6[r.destination]) for r in kept]
    assert len(group(halves_of(kept))) == 1


def test_redirected_halves_that_are_none_of_one_connection():
    forward = [row for row in connection(called=ZTUNNEL) if row.destination == ZTUNNEL]
    answers = [row for row in connection(syns=False) if row.source == SERVER]
    late = [replace(row, time_ns=row.time_ns + 200 * SECOND_NS) for row in answers]
    elsewhere = [replace(row, point=1) for row in answers]
    others = [replace(row, destination=OTHER_CLIENT) for row in answers]
    plain = [replace(row, destination=(4, 0, 0x0A000003, 15001)) for row in forward]
    assert len(groups(forward, answers)) == 1
    for one, other in ((forward, late), (forward, elsewhere), (forward, others), (plain, answers)):
        assert len(groups(one, other)) == 2
    # The first has both directions already.
    assert len(groups(connection(called=ZTUNNEL), [replace(answers[0], source=SERVICE)])) == 2


def test_one_client_port_redirected_to_two_destinations():
    """The second connection's forward half gets another port; its answers do not."""
    first = connection(server=SERVICE, called=ZTUNNEL)
    second = connection(
        5000, 6000, client=OTHER_CLIENT, server=SERVER, called=ZTUNNEL, answered=CLIENT
    )
    found = group(halves_of(first + second))
    assert [c.server.lo for c in found] == [SERVICE[2], SERVER[2]]
    assert [len(list(c.halves())) for c in found] == [2, 2]


def test_one_direction_alone_knows_the_connection():
    rows = connection()
    up = [row for row in rows if row.source == CLIENT]
    down = [replace(row, point=1, destination=OTHER_CLIENT) for row in rows if row not in up]
    assert groups(up, down) == [({0}, {1})]


def test_a_syn_alone_joins_by_the_clients_endpoint():
    rows = connection()
    assert groups(rows, [replace(rows[0], point=1)]) == [({0, 1}, {0})]
    assert groups([replace(rows[0], point=1)], rows) == [({0, 1}, {0})]
    assert groups([replace(rows[0], point=1, destination=SERVICE)], rows) == [({0, 1}, {0})]


def test_the_acknowledgment_of_the_handshake_may_be_missing():
    """The first that was captured acknowledges more, so it tells another number."""
    rows = connection(server=SERVICE, called=ZTUNNEL)
    assert groups([*rows[:2], *rows[4:]]) == [({0}, {0})]


def test_a_port_used_again_is_another_connection():
    later = connection(20_000, 30_000, start=SECOND_NS)
    assert groups(connection(), later) == [({0}, {0})] * 2


def test_without_handshake_the_endpoints_have_to_serve():
    assert groups(connection(syns=False), connection(point=1)) == [({0, 1}, {0, 1})]
    found = group(halves_of(connection(syns=False)))
    assert [(c.client.port, c.server.port) for c in found] == [(40000, 80)]


def test_without_handshake_long_after_another_is_another():
    late = connection(syns=False, point=1, start=200 * SECOND_NS)
    soon = connection(syns=False, point=1, start=100 * SECOND_NS)
    assert groups(connection(), late) == [({0}, {0}), ({1}, {1})]
    assert groups(connection(), soon) == [({0, 1}, {0, 1})]


def test_without_handshake_the_last_connections_of_its_endpoints_are_compared():
    """A port may be used as often as it likes: that must not make grouping slow."""
    used = [
        row
        for i in range(300)
        for row in connection(1000 * i + 1, 1000 * i + 2, start=i * 1000 * SECOND_NS)
    ]
    late = connection(syns=False, point=1, start=50_000 * SECOND_NS)
    early = connection(syns=False, point=1)
    assert sum(reverse == {0, 1} for _, reverse in groups(used, late)) == 1
    assert groups(used, early)[-1] == ({1}, {1})


def test_without_handshake_the_higher_port_is_the_client():
    rows = connection(syns=False)
    (one,) = group(halves_of([row for row in rows if row.source == SERVER]))
    assert (set(one.forward), set(one.reverse)) == (set(), {0})


def test_of_two_halves_of_one_place_the_fuller_stays():
    """A SYN-ACK seen under two addresses at one point: the direction with more packets counts."""
    rows = connection()
    under_service = replace(rows[1], source=SERVICE)
    (one,) = group(halves_of([under_service, *rows]))
    assert one.reverse[0].packets == 3


def test_two_that_both_opened_are_two_directions_of_their_own():
    """A simultaneous open (RFC 9293 section 3.5): nothing is lost, nothing raised."""
    there = Sighting(sequence=5, flags=SYN)
    found = group(halves_of([there, there.back(sequence=8)]))
    assert sum(len(list(c.halves())) for c in found) == 2

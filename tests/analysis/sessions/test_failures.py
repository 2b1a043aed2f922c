# SPDX-License-Identifier: Apache-2.0
"""Sessions that failed: `sessions.attempts` and `verdicts`, on made legs."""

from __future__ import annotations

import time

import numpy as np
import pytest

from genevecap.analysis.connections import Endpoint, Half
from genevecap.analysis.grouping import Connection
from genevecap.analysis.linking.events import HboneRecords, LegEvents, RecordColumns
from genevecap.analysis.linking.legs import Leg, LegRole
from genevecap.analysis.sessions.attempts import Attempts
from genevecap.analysis.sessions.draft import Draft
from genevecap.analysis.sessions.mesh import Mesh
from genevecap.analysis.sessions.outcomes import ending
from genevecap.analysis.sessions.verdicts import Verdicts

S, MS = 10**9, 10**6
CLIENT, SERVER, SERVICE = (4, 0, 1), (4, 0, 2), (4, 0, 9)


class Inputs:
    """Stands for LinkInputs."""

    def __init__(self, outbound=(), hbone=(), inbound=()):
        self.outbound, self.hbone, self.inbound = list(outbound), list(hbone), list(inbound)


def leg(role, client, server, *, reset_ns=None, syns=1, answered=True):
    connection = Connection()
    up = Half(0, 0, 1, True, Endpoint(*client), Endpoint(*server), 1, 0)
    up.is_client, up.isn, up.syn_count = True, 1, syns
    connection.forward[0] = up
    down = Half(0, 0, 1, False, Endpoint(*server), Endpoint(*client), 2, 0)
    down.rst_ns = reset_ns
    if answered:
        down.isn = 2
    connection.reverse[0] = down
    return Leg(connection=connection, role=role, client_side=True, server_side=False, between=False)


def outbound_leg(number, called, **end):
    return leg(LegRole.OUTBOUND, (*CLIENT, 20000 + number), (*called, 8080), **end)


def attempts_of(waiting, tries):
    """waiting: (called, open, last) of outbound legs; tries: (server, open) of unanswered ones."""
    mesh = Mesh(
        outbound=[outbound_leg(n, called) for n, (called, _, _) in enumerate(waiting)],
        hbone=[
            leg(LegRole.HBONE, (*CLIENT, 40000 + n), (*server, 15008), syns=3, answered=False)
            for n, (server, _) in enumerate(tries)
        ],
    )
    inputs = Inputs(
        outbound=[
            LegEvents(address=0, source=1, pools=frozenset({1}), open_ns=a, last_ns=b)
            for _, a, b in waiting
        ],
        hbone=[HboneRecords(address=0, source=1, open_ns=opened) for _, opened in tries],
    )
    found = Attempts(mesh, inputs)
    assert found.unanswered == set(range(len(tries)))
    tried = found.by_outbound(range(len(waiting)))
    return {i: (attempt.hbone, attempt.alone) for i, attempt in tried.items()}


def test_the_leg_that_was_given_up_first_waited_for_the_first_attempt():
    tries = [(SERVER, 11 * S), (SERVER, 1 * S)]
    waiting = [(SERVER, 1 * S, 20 * S), (SERVER, 1 * S, 10 * S)]
    assert attempts_of(waiting, tries) == {0: (0, False), 1: (1, True)}


def test_legs_that_outnumber_attempts_share_the_first_that_fits():
    assert attempts_of([(SERVER, S, 9 * S)] * 3, [(SERVER, 2 * S)]) == dict.fromkeys(
        range(3), (0, True)
    )


def test_a_service_may_be_any_server_and_a_pod_is_itself():
    other = (4, 0, 3)
    tries = [(SERVER, 2 * S), (other, 3 * S)]
    waiting = [(other, S, 9 * S), (SERVICE, S, 10 * S)]
    assert attempts_of(waiting, tries) == {0: (1, True), 1: (0, False)}


@pytest.mark.parametrize("waiting", [(SERVER, 40 * S, 50 * S), (SERVER, 0, S)])
def test_an_attempt_of_another_time_is_not_taken(waiting):
    assert attempts_of([waiting], [(SERVER, 2 * S)]) == {}


def verdicts_of(resets, answers, *, legs=(), captured=True, kind="hbone"):
    """Return the outcomes of clients that were reset then, after these records of one HBONE.

    legs: (opened, reset) of connections to the server.
    """
    mesh = Mesh(
        hbone=[leg(LegRole.HBONE, (*CLIENT, 40000), (*SERVER, 15008))],
        inbound=[
            leg(LegRole.INBOUND, (*CLIENT, 30000 + n), (*SERVER, 8080), reset_ns=reset_ns)
            for n, (_, reset_ns) in enumerate(legs)
        ],
    )
    if captured and not legs:
        mesh.inbound.append(leg(LegRole.INBOUND, (*CLIENT, 29999), (*SERVER, 9)))
    length = np.array([one for one, _ in answers], np.int64)
    moment = np.array([one for _, one in answers], np.int64)
    down = RecordColumns(
        length=length, client_first_ns=moment, client_last_ns=moment,
        server_first_ns=moment, server_last_ns=moment,
    )  # fmt: skip
    opened = [opened_ns for opened_ns, _ in legs] or [None] * len(mesh.inbound)
    inputs = Inputs(
        hbone=[HboneRecords(address=0, source=1, down=down)],
        inbound=[LegEvents(address=0, source=1, open_ns=one) for one in opened],
    )
    used: set[int] = set()
    verdicts = Verdicts(mesh, inputs, used)
    drafts = []
    for number, reset_ns in enumerate(resets):
        outbound = outbound_leg(number, SERVER, reset_ns=reset_ns)
        draft = Draft(connection=outbound.connection, outbound=number, hbone=0, kind=kind)
        verdicts.settle(draft, ending(outbound.connection))
        drafts.append(draft)
    return drafts, used


def outcomes_of(*given, **more):
    return [draft.outcome for draft in verdicts_of(*given, **more)[0]]


def test_lengths_of_answers_tell_refused_from_denied():
    answers = [(44, 10 * MS), (43, 20 * MS)]
    assert outcomes_of([11 * MS, 21 * MS], answers, captured=False) == ["refused", "denied"]


def test_a_repeated_status_is_the_one_that_came_before():
    answers = [(43, 10 * MS), (40, 90 * MS)]
    assert outcomes_of([11 * MS, 91 * MS], answers, captured=False) == ["denied", "denied"]


def test_a_repeated_status_after_both_or_none_is_open():
    answers = [(43, 10 * MS), (44, 100 * MS), (40, 190 * MS)]
    resets = [11 * MS, 101 * MS, 191 * MS]
    found = outcomes_of(resets, answers, captured=False)
    assert found == ["denied", "refused", "unknown"]
    drafts, _ = verdicts_of([11 * MS], [(40, 10 * MS)], captured=False)
    assert drafts[0].outcome == "unknown"
    assert "as a 503 or a 401 has" in drafts[0].verdict[0]


@pytest.mark.parametrize("kind", ["waypoint", "multi-network"])
def test_lengths_of_an_envoys_answers_tell_nothing(kind):
    assert outcomes_of([11 * MS], [(44, 10 * MS)], captured=False, kind=kind) == ["unknown"]


def test_where_the_server_was_captured_a_refusal_would_have_shown():
    assert outcomes_of([11 * MS], [(40, 10 * MS)]) == ["denied"]
    drafts, used = verdicts_of([11 * MS], [(40, 10 * MS)], legs=[(8 * MS, 9 * MS)])
    assert drafts[0].outcome == "refused"
    assert used == {0}


def test_each_refused_leg_explains_one_reset():
    legs = [(8 * MS, 9 * MS), (18 * MS, 19 * MS)]
    drafts, used = verdicts_of([10 * MS, 20 * MS], [], legs=legs)
    assert [draft.outcome for draft in drafts] == ["refused", "refused"]
    assert used == {0, 1}
    assert outcomes_of([10 * MS, 11 * MS], [], legs=legs[:1]) == ["refused", "unknown"]


def test_time_grows_with_the_number_of_failures_only():
    """Of twice as many, about twice the time: three times is allowed, four would be its square."""

    def seconds(count):
        begin = time.process_time()
        attempts_of(
            [(SERVICE if n % 2 else SERVER, n * MS, n * MS + 20 * S) for n in range(count)],
            [(SERVER, n * MS) for n in range(count)],
        )
        legs = [(n * MS, n * MS + 1) for n in range(count)]
        outcomes_of([n * MS + 2 for n in range(count)], [], legs=legs)
        return time.process_time() - begin

    few = min(seconds(2000) for _ in range(3))
    many = min(seconds(4000) for _ in range(3))
    assert many < 3 * few

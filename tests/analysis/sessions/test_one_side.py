# SPDX-License-Identifier: Apache-2.0
"""What captures of the client's side alone tell of the far end: `sessions.answers`, `verdicts`."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from genevecap.analysis.connections import Endpoint, Half
from genevecap.analysis.grouping import Connection
from genevecap.analysis.linking.events import HboneRecords, RecordColumns
from genevecap.analysis.sessions.answers import far_end
from genevecap.analysis.sessions.flows import flows
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.analysis.linking.truth import VARIANTS, compare, write_variant
from tests.conftest import ROOT, recorded_set

CLIENTS = ("cli", "cli2")
ZTUNNELS = ("ztunnel-1.24", "ztunnel-1.31", "ztunnel-1.31-storm", "ztunnel-1.31-faults", "inpod")
MARKED = "markers: the answer on HBONE has "


def of_files(folder, names):
    found = [folder / f"{name}.pcapng.gz" for name in names]
    return [path for path in found if path.exists()]


@pytest.mark.parametrize("names", [CLIENTS, ("cli", "cli2", "nA"), ("cli", "cli2", "nA", "nB")])
@pytest.mark.parametrize("name", ["ztunnel-1.31-waypoint", "ztunnel-1.31-multinetwork"])
def test_what_stands_between_is_known_from_the_clients_side(name, names):
    folder = recorded_set(name)
    found = compare(of_files(folder, names), folder)
    assert not found.missing
    assert found.kinds == []
    told = [s for s in found.result.sessions if any(MARKED in line for line in s.evidence)]
    between = [s for s in found.result.sessions if s.kind in {"waypoint", "multi-network"}]
    assert len(between) > 40
    assert len(told) == (0 if "nB" in names else len(between))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["ztunnel-1.31-waypoint", "ztunnel-1.31-multinetwork"])
def test_what_stands_between_is_known_from_cut_frames(name, variant, tmp_path):
    folder = recorded_set(name)
    paths = [p for p in write_variant(folder, tmp_path, variant) if p.stem in CLIENTS]
    found = compare(paths, folder)
    assert found.kinds == []
    for flow in (f for f in found.truth["flows"] if f["conn2"] is not None):
        (session,) = [s for s in found.result.sessions if s.client == flow["conn1"]["client"]]
        (hbone,) = [leg for leg in session.legs if leg.role == "hbone"]
        assert (hbone.source, hbone.destination) == (flow["conn2"]["client"], flow["conn2"]["dst"])


def test_what_stands_between_is_known_in_the_sample():
    path = ROOT / "samples" / "ztunnel-waypoint" / "cli.pcapng"
    result = flows([CaptureSpec.parse(str(path))])
    assert {session.kind for session in result.sessions} == {"waypoint"}


@pytest.mark.parametrize("names", [CLIENTS, ("nA",), ("nB",), ("srv",)])
@pytest.mark.parametrize("name", ZTUNNELS)
def test_no_ztunnel_is_taken_for_something_else(name, names):
    paths = of_files(recorded_set(name), names)
    result = flows(on_one_clock([CaptureSpec.parse(str(path)) for path in paths]))
    assert result.sessions
    kinds = {session.kind for session in result.sessions}
    assert not {"waypoint", "multi-network"} & kinds


@pytest.mark.parametrize("name", ["ztunnel-1.24", "ztunnel-1.31"])
def test_refused_and_denied_are_told_apart_by_the_length_of_the_answer(name):
    folder = recorded_set(name)
    found = compare(of_files(folder, CLIENTS), folder)
    wrong = {(said, true) for _, said, true in found.kinds}
    # The status came out of HPACK's table after both had been seen: honestly open.
    assert wrong == {(("hbone", "unknown"), ("hbone", "denied"))}
    assert len(found.kinds) == 1
    by_outcome = {
        s.outcome: line for s in found.result.sessions for line in s.evidence if "brought" in line
    }
    assert set(by_outcome) == {"refused", "denied", "unknown"}
    assert "a record of 43 octets, as a 401 has" in by_outcome["denied"]
    assert "refused or denied, which of them the server's side would show" in by_outcome["unknown"]


# --- answers, made ---

TICKETS, SETTINGS, ACK = 179, 50, 39


def columns(*records):
    """Records as (length, time): one end's times serve both."""
    length = np.array([record[0] for record in records], np.int64)
    time = np.array([record[1] for record in records], np.int64)
    return RecordColumns(
        length=length,
        client_first_ns=time,
        client_last_ns=time,
        server_first_ns=time,
        server_last_ns=time,
    )


def connection(hello=200, flight=(122, 1, 849)):
    """An HBONE connection whose handshake has these record lengths."""
    result = Connection()
    client, server = Endpoint(4, 0, 1, 40000), Endpoint(4, 0, 2, 15008)
    for side, ends, types, lengths in (
        (result.forward, (client, server), (22,), (hello,)),
        (result.reverse, (server, client), (22, 20, 23), flight),
    ):
        half = Half(0, 0, 1, True, *ends, 1, 0)
        rows, begin = array("q"), 0
        for kind, length in zip(types, lengths, strict=True):
            rows.extend((kind, length, begin, 0, 0))
            begin += 5 + length
        half.records = Rows(rows)
        side[0] = half
    return result


class Rows:
    """What a record reader has read."""

    def __init__(self, rows):
        self.rows = rows


def records(answers, data=143, later=()):
    """A connection's records: the client's opening, these answers, DATA, and these answers."""
    up = [(768, 10), (41, 11), (283, 12), (data, 40)]
    down = [(849, 5)]
    down += [(length, 20 + n) for n, length in enumerate(answers)]
    down += [(length, 60 + n) for n, length in enumerate(later)]
    return HboneRecords(address=0, source=0, up=columns(*up), down=columns(*down))


@pytest.mark.parametrize(
    ("answers", "later", "told"),
    [
        ((TICKETS, SETTINGS, ACK, 110), (209, 26, 28), None),
        ((TICKETS, SETTINGS, ACK, 27), (209, 26, 27), None),
        ((TICKETS, SETTINGS, ACK, 190), (66, 26), None),  # long baggage, then a short response
        ((63, 110), (209,), None),  # SETTINGS and WINDOW_UPDATE in one record
        ((63, 1725, 66), (242, 29), 66),
        ((72, 1725, 57), (), 57),
        ((124, 1725), (467, 29), None),  # answer and SETTINGS share a record: too little
        ((124, 1725), (467, 29, 29, 29), 29),
        ((TICKETS, SETTINGS, ACK, 110), (29, 29, 29, 28), None),  # responses of three octets
        ((TICKETS, SETTINGS, ACK, 27), (29, 29, 29), None),
        ((), (29, 29, 29), 29),
        ((), (), None),
    ],
)
def test_an_envoy_is_known_by_its_answers(answers, later, told):
    found = far_end(connection(), records(answers, later=later))
    assert (None if found is None else found.answer_bytes) == told
    assert found is None or not found.passes_on


@pytest.mark.parametrize(
    ("data", "flight", "passes_on"), [(231, 1013, True), (231, 467, False), (143, 1013, False)]
)
def test_a_gateway_is_known_by_the_handshakes_inside(data, flight, passes_on):
    found = far_end(connection(), records((72, 1725, 57), data=data, later=(flight, 29)))
    assert found is not None
    assert found.passes_on is passes_on


@pytest.mark.parametrize(("flights", "passes_on"), [(3, True), (1, False)])
def test_where_the_handshake_was_cut_many_handshakes_inside_tell(flights, passes_on):
    cut = connection(flight=(122, 1, 849))
    del cut.reverse[0].records.rows[10:]
    inside = [1013 + n for n in range(flights)]
    found = far_end(cut, records((72, 57), data=231, later=(*inside, 29)))
    assert found is not None
    assert found.passes_on is passes_on


def test_a_connection_that_was_not_read_tells_nothing():
    nothing = HboneRecords(address=0, source=0)
    assert far_end(connection(), nothing) is None

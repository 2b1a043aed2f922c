# SPDX-License-Identifier: Apache-2.0
"""With keys, the onward stream of every request that a waypoint passed on.

Modules: sessions.requests, waypoint_times, waypoints.
"""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from statistics import median

import pytest

from genevecap.analysis.hbone import ConnectionId, DataPiece, StreamId
from genevecap.analysis.hops.latency import latency
from genevecap.analysis.results import FrameRef
from genevecap.analysis.sessions.flows import Helps, flows
from genevecap.analysis.sessions.requests import Exchange, Exchanges, pass_on
from genevecap.capture.spec import CaptureSpec, on_one_clock
from tests.conftest import ROOT, recorded_set

MS = 1_000_000
SAMPLE = ROOT / "samples" / "ztunnel-waypoint"
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing")

# --- recordings ---


def with_keys(folder, names):
    paths = [path for name in names for path in sorted(folder.glob(f"{name}.pcapng*"))]
    specs = on_one_clock([CaptureSpec.parse(str(path)) for path in paths])
    result = flows(specs, helps=Helps(keylogs=(str(folder / "sslkeylog.txt"),)))
    truth = json.loads((folder / "truth.json").read_text())
    return result, [f for f in truth["flows"] if f["session_kind"] == "waypoint"]


def of_role(session, role):
    return {(leg.source, leg.destination, leg.stream) for leg in session.legs if leg.role == role}


@needs_tshark
def test_latency_has_the_same_sessions():
    folder = recorded_set("ztunnel-1.31-waypoint")
    names = ("cli", "cli2", "wp")
    specs = [CaptureSpec.parse(str(folder / f"{name}.pcapng.gz")) for name in (*names, "srv")]
    result = latency(on_one_clock(specs), helps=Helps(keylogs=(str(folder / "sslkeylog.txt"),)))
    flowing, _ = with_keys(folder, (*names, "srv"))
    assert [of_role(s, "waypoint") for s in result.sessions] == [
        of_role(s, "waypoint") for s in flowing.sessions
    ]


@needs_tshark
@pytest.mark.parametrize(
    "names",
    [("cli", "cli2", "nA", "nB", "srv", "wp"), ("cli", "cli2", "wp"), ("cli", "cli2", "nA", "nB")],
)
def test_every_requests_onward_stream_is_named(names):
    result, truth = with_keys(recorded_set("ztunnel-1.31-waypoint"), names)
    sessions = {session.client: session for session in result.sessions}
    assert len(truth) == 54
    for flow in truth:
        session = sessions[flow["conn1"]["client"]]
        second = flow["conn2"]
        assert of_role(session, "hbone") == {(second["client"], second["dst"], second["stream"])}
        assert of_role(session, "waypoint") == {tuple(r["hop2"]) for r in flow["requests"]}
        assert session.kind == "waypoint"
        assert session.confidence > 0.99
        assert any("as header lines tell" in line for line in session.evidence)
        reached = {leg[:2] for leg in of_role(session, "inbound")}
        assert reached <= {tuple(r["conn3"]) for r in flow["requests"]}
    known = {leg for session in sessions.values() for leg in of_role(session, "inbound")}
    if "srv" in names:
        # Four more were opened in one millisecond for as many octets.
        assert len(known) >= 25
        assert len(result.unlinked_legs) == 4


@needs_tshark
def test_the_time_to_the_first_byte_is_divided_at_the_waypoint():
    names = ("cli", "cli2", "nA", "nB", "srv", "wp")
    result, truth = with_keys(recorded_set("ztunnel-1.31-waypoint"), names)
    sessions = {session.client: session for session in result.sessions}
    measured, true = defaultdict(list), []
    for flow in truth:
        timing = sessions[flow["conn1"]["client"]].timing
        parts = {part.segment: part.ns for part in timing.by_segment}
        assert sum(parts.values()) == timing.first_byte_ns
        assert min(parts.values()) >= 0
        for segment, ns in parts.items():
            measured[segment].append(ns)
        first = flow["requests"][0]
        if "server" in parts:
            true.append(first["server_sent"] - first["server_recv"])
    assert len(true) >= 48  # of the others the server's connection is open
    # Twice there and twice back: CONNECT with its answer, the request with its response.
    assert 2 * 9 * MS < median(measured["wire"]) < 2 * 10 * MS
    assert 0 < median(measured["server"]) - median(true) < 0.8 * MS
    assert 0 < median(measured["waypoint"]) < 5 * MS


@needs_tshark
def test_the_time_is_divided_as_far_as_it_was_captured():
    folder = recorded_set("ztunnel-1.31-waypoint")
    for names, known in (
        (("cli", "cli2", "wp"), {"ztunnel-client", "wire", "waypoint", "unknown"}),
        (("cli", "cli2", "nA", "srv"), {"ztunnel-client", "ztunnel-server", "server", "unknown"}),
    ):
        result, _ = with_keys(folder, names)
        found = [s.timing for s in result.sessions if s.kind == "waypoint"]
        assert found
        for timing in found:
            assert {part.segment for part in timing.by_segment} <= known
            assert sum(part.ns for part in timing.by_segment) == timing.first_byte_ns


@needs_tshark
def test_through_a_gateway_the_inner_stream_is_named():
    folder = recorded_set("ztunnel-1.31-multinetwork")
    paths = [folder / f"{name}.pcapng.gz" for name in ("cli", "cli2", "nA", "nB", "srv", "wp")]
    specs = on_one_clock([CaptureSpec.parse(str(path)) for path in paths])
    result = flows(specs, helps=Helps(keylogs=(str(folder / "sslkeylog.txt"),)))
    sessions = {session.client: session for session in result.sessions}
    inner = [f for f in json.loads((folder / "truth.json").read_text())["flows"] if f.get("inner")]
    assert len(inner) == 42
    for flow in inner:
        known = flow["inner"]
        expected = {(known["client"], known["dst"], known["stream"])}
        assert of_role(sessions[flow["conn1"]["client"]], "waypoint") == expected


@needs_tshark
def test_the_samples_onward_streams_are_named():
    result, truth = with_keys(SAMPLE, ("cli", "cli2", "nA", "nB", "srv", "wp"))
    sessions = {session.client: session for session in result.sessions}
    assert truth
    for flow in truth:
        session = sessions[flow["conn1"]["client"]]
        assert of_role(session, "waypoint") == {tuple(r["hop2"]) for r in flow["requests"]}
        for leg in session.legs:
            if leg.role == "waypoint":
                assert leg.payload_bytes
                assert leg.points
                assert leg.first_ns <= leg.last_ns


def test_without_keys_the_claim_ends_at_the_waypoint():
    names = ("cli", "cli2", "nA", "nB", "srv", "wp")
    paths = [recorded_set("ztunnel-1.31-waypoint") / f"{name}.pcapng.gz" for name in names]
    result = flows(on_one_clock([CaptureSpec.parse(str(path)) for path in paths]))
    ended = [session for session in result.sessions if session.kind == "waypoint"]
    assert ended
    for session in ended:
        assert [leg.role for leg in session.legs] == ["outbound", "hbone"]
        assert any("without keys the evidence ends here" in line for line in session.evidence)


# --- exchanges of a stream ---

CONNECTION = ConnectionId(
    client="10.0.0.1:1", server="10.0.0.2:15008", client_isn=1, syn_ns=0, client_random=b""
)
STREAM = StreamId(connection=CONNECTION, stream=1)


def read(*pieces, most=100):
    """Exchanges of pieces (upward, time, payload)."""
    exchanges = Exchanges(lambda connection: connection == CONNECTION, most)
    for upward, time_ns, payload in pieces:
        exchanges.take(
            DataPiece(
                stream=STREAM,
                upward=upward,
                offset=0,
                payload=payload,
                record_offset=0,
                time_ns=time_ns,
                frame=FrameRef(capture="", frame=1),
            )
        )
    return exchanges.of(STREAM)


GET = b"GET /a HTTP/1.1\r\nHost: server\r\nX-Id: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_request_begins_an_exchange():
    first, second = read((True, 1, GET), (False, 5, OK), (True, 7, GET), (False, 9, OK))
    assert (first.request_ns, first.response_ns) == (1, 5)
    assert (second.request_ns, second.response_ns) == (7, 9)
    assert first.lines == second.lines
    assert len(first.lines) == 5


def test_a_head_may_come_in_pieces_and_with_other_cases_of_names():
    (whole,) = read((True, 1, GET), (False, 2, OK))
    pieces = [(True, n, GET[n : n + 7]) for n in range(0, len(GET), 7)]
    (cut,) = read(*pieces, (False, 100, OK[:10]), (False, 101, OK[10:]))
    assert cut.lines == whole.lines
    (other,) = read((True, 1, GET.replace(b"X-Id: 1", b"x-id:1")), (False, 2, OK))
    assert other.lines == whole.lines


@pytest.mark.parametrize("octets", [b"\0\0\1\4\0\0\0\0\1", b"hello\r\n\r\n", b"", b"x" * 40_000])
def test_what_is_not_http_1_has_times_alone(octets):
    (found,) = read((True, 1, octets), (False, 2, b"y" * 30_000))
    assert (found.request_ns, found.response_ns, found.lines) == (1, 2, frozenset())


def test_a_server_that_speaks_first_makes_no_exchange():
    assert list(read((False, 1, b"220 hello\r\n"))) == []
    (found,) = read((False, 1, b"220 hello\r\n"), (True, 2, b"EHLO\r\n"))
    assert (found.request_ns, found.response_ns) == (2, None)


def test_exchanges_are_bounded_and_other_connections_are_passed_over():
    many = [(bool(n % 2), n, b"x") for n in range(1, 100)]
    assert len(read(*many, most=10)) == 10
    assert Exchanges(lambda _: False).of(STREAM) == ()


# --- matching ---


def exchange(request, response, *lines):
    return Exchange(
        request_ns=request * MS,
        response_ns=None if response is None else response * MS,
        lines=frozenset(lines),
    )


def test_lines_decide_where_times_are_alike():
    inside = {"a": [exchange(0, 20, 1, 7)], "b": [exchange(0, 20, 2, 7)]}
    onward = {"x": [exchange(1, 19, 2, 7)], "y": [exchange(1, 19, 1, 7)]}
    found = pass_on(inside, onward)
    assert found["a", 0][0].stream == "y"
    assert found["b", 0][0].stream == "x"
    assert found["a", 0][0].probability > 0.9
    assert found["a", 0][0].shared_lines == 1


def test_where_nothing_decides_both_are_named():
    inside = {"a": [exchange(0, 20, 7)], "b": [exchange(0, 20, 7)]}
    onward = {"x": [exchange(1, 19, 7)], "y": [exchange(1, 19, 7)]}
    for candidates in pass_on(inside, onward).values():
        assert {one.stream for one in candidates} == {"x", "y"}
        assert all(one.probability == pytest.approx(0.5, abs=0.02) for one in candidates)


def test_an_exchange_lies_inside_the_other():
    inside = {"a": [exchange(10, 20)]}
    early, late = [exchange(9, 19)], [exchange(11, 21)]
    assert pass_on(inside, {"x": early, "y": late}) == {}
    found = pass_on(inside, {"x": early, "y": late}, slack_ns=2 * MS)
    assert {one.stream for one in found["a", 0]} == {"x", "y"}


def test_requests_of_one_stream_go_on_in_several():
    inside = {"a": [exchange(0, 10, 1), exchange(20, 30, 2)]}
    onward = {"x": [exchange(1, 9, 1)], "y": [exchange(21, 29, 2)]}
    found = pass_on(inside, onward)
    assert [found["a", n][0].stream for n in (0, 1)] == ["x", "y"]
    assert pass_on(inside, {}) == {}


def test_a_request_without_a_response_goes_on_too():
    found = pass_on({"a": [exchange(0, None, 1)]}, {"x": [exchange(1, None, 1)]})
    assert found["a", 0][0].stream == "x"


# --- streams whose clients were not captured ---


@needs_tshark
@pytest.mark.parametrize(
    ("name", "sessions"),
    [
        ("ztunnel-1.24", 120),
        ("ztunnel-1.31", 120),
        ("ztunnel-1.31-waypoint", 66),
        ("ztunnel-1.31-multinetwork", 42),
        ("ztunnel-1.31-ingress", 36),
    ],
)
def test_every_opened_stream_is_a_session_where_only_nodes_were_captured(name, sessions):
    folder = recorded_set(name)
    specs = [CaptureSpec.parse(str(folder / f"{node}.pcapng.gz")) for node in ("nA", "nB")]
    result = flows(on_one_clock(specs), helps=Helps(keylogs=(str(folder / "sslkeylog.txt"),)))
    assert len(result.sessions) == sessions
    found = {
        (leg.source, leg.stream): session
        for session in result.sessions
        for leg in session.legs
        if leg.role == "hbone"
    }
    assert len(found) == sessions
    flows_of_truth = json.loads((folder / "truth.json").read_text())["flows"]
    for flow in flows_of_truth:
        second, kind = flow["conn2"], flow["conn1"]["kind"]
        if second is None or kind in {"self_vip", "abort", "idle"}:
            continue  # it stays in its pod; a reset does not cross; the end is not its own
        session = found[second["client"], second["stream"]]
        outcome = {"ok": "completed"}.get(flow["outcome"], flow["outcome"])
        assert (session.kind, session.outcome) == (flow["session_kind"], outcome)
        assert session.origin == "ztunnel"
        assert any(flow["conn1"]["client"] in line for line in session.evidence)


def test_without_keys_a_connection_is_as_sure_as_what_was_read_of_it():
    folder = recorded_set("ztunnel-1.31-faults")
    specs = [CaptureSpec.parse(str(folder / f"{node}.pcapng.gz")) for node in ("nA", "nB")]
    result = flows(on_one_clock(specs))
    sure = {session.outcome: session.confidence for session in result.sessions}
    assert sure == {"completed": 0.99, "unreachable": 0.9}
    for session in result.sessions:
        told = "15008 alone" if session.outcome == "unreachable" else "TLS in both directions"
        assert any(told in line for line in session.evidence)

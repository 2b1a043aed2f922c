# SPDX-License-Identifier: Apache-2.0
"""HBONE of recorded meshes: every stream against what the recording's truth says.

The samples are always there; the lab's sets, the real ztunnel's and the stand-in's, where they are
beside the checkout.
"""

from __future__ import annotations

import json
import shutil
from functools import cache

import pytest

from genevecap.analysis.hbone import open_hbone
from genevecap.capture.spec import CaptureSpec
from genevecap.decode.settings import DecodeSettings
from tests.conftest import SAMPLES, SHARED

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")

LAB = SHARED / "lab"
SETS = sorted(path.parent.name for path in LAB.glob("*/truth.json"))
each_set = pytest.mark.parametrize(
    "name",
    SETS or [pytest.param("", marks=pytest.mark.skip(reason="the lab is not beside the checkout"))],
)
SEEN = {"t_connect": "connect_ns", "t_status": "status_ns", "t_end_up": "end_up_ns"}
"""Times as captured, as the truth calls them; `t_end_down` is without that of refused streams."""
FORWARDED_WITH_PORT = {name for name in SETS if name.startswith("ztunnel-") or name == "inpod"}


def read(folder, *, on_data=None, keylog=True):
    captures = sorted([*folder.glob("*.pcapng.gz"), *folder.glob("*.pcapng")])
    return open_hbone(
        [CaptureSpec.parse(str(path)) for path in captures],
        settings=DecodeSettings(),
        keylogs=[str(folder / "sslkeylog.txt")] if keylog else [],
        on_data=on_data,
    )


def count_in(counted):
    """Return an `on_data` that adds up octets and sees that they come in order."""

    def count(piece):
        key = (piece.stream, piece.upward)
        assert piece.offset == counted.get(key, 0)
        counted[key] = piece.offset + len(piece.payload)

    return count


@cache
def truth_of(name):
    return json.loads((LAB / name / "truth.json").read_text())


def streams_of(reading):
    return {
        (connection.id.client, connection.id.server, stream.id.stream): stream
        for connection in reading.opened
        for stream in connection.streams
    }


def key(conn2):
    return conn2["client"], conn2["dst"], conn2["stream"]


def told(name):
    """Return (flow, conn2) for every stream of the truth, onward ones with flow None."""
    truth = truth_of(name)
    flows = [(flow, flow["conn2"]) for flow in truth["flows"] if flow.get("conn2")]
    onward = [(None, flow["inner"]) for flow in truth["flows"] if flow.get("inner")]
    return flows + onward + [(None, one) for one in truth.get("waypoint_streams", [])]


def compare(stream, conn2, *, times):
    for name in ("authority", "forwarded", "traceparent", "up_bytes", "down_bytes"):
        if name in conn2:
            assert getattr(stream, name) == conn2[name], name
    assert str(stream.status) == str(conn2["status"])
    assert stream.up_whole
    assert stream.down_whole
    if not times:
        return
    for theirs, ours in SEEN.items():
        assert getattr(stream, ours) == conn2.get(theirs), theirs
    if conn2.get("t_reset") is None:
        assert stream.reset is None
        assert stream.end_down_ns == conn2.get("t_end_down")
    else:
        assert stream.reset.time_ns == conn2["t_reset"]
        assert stream.reset.by_client == (conn2["reset"] == "client")


@each_set
def test_every_stream_is_opened_and_is_as_the_truth_says(name):
    counted: dict = {}
    reading = read(LAB / name, on_data=count_in(counted))
    opened = streams_of(reading)
    expected = told(name)
    assert {key(conn2) for _, conn2 in expected} == set(opened)
    assert all(connection.incomplete == () for connection in reading.opened)
    # Onward streams were timed at another point than the first that saw them.
    inner = {key(flow["inner"]) for flow in truth_of(name)["flows"] if flow.get("inner")}
    for _, conn2 in expected:
        times = name.startswith("ztunnel-") and key(conn2) not in inner
        compare(opened[key(conn2)], conn2, times=times)
    for stream in opened.values():
        assert counted.get((stream.id, True), 0) == stream.up_bytes
        assert counted.get((stream.id, False), 0) == stream.down_bytes
    check_forwarded(name, opened)
    check_refused(name, reading)
    if name == "ztunnel-1.31-multinetwork":
        check_inner(name, reading, counted)


def check_forwarded(name, opened):
    """Every tunnel of a client's connection names it, where `forwarded` has a port at all."""
    flows = [(flow["conn1"], conn2) for flow, conn2 in told(name) if flow is not None]
    for conn1, conn2 in flows:
        forwarded = opened[key(conn2)].forwarded_for
        if name in FORWARDED_WITH_PORT:
            assert forwarded == conn1.get("redirected_as", conn1["client"])
        else:
            assert forwarded is None


def check_refused(name, reading):
    """Only connections that came to nothing are refused."""
    unreachable = name == "ztunnel-1.31-faults"
    assert {(one.server, one.reason) for one in reading.refused} == (
        {("10.244.1.6:15008", "nothing that the client sent was captured")}
        if unreachable
        else set()
    )


def check_inner(name, reading, counted):
    """A gateway's onward connection is the one inside the outer stream."""
    opened = streams_of(reading)
    onward = {connection.id.client: connection for connection in reading.opened}
    flows = [flow for flow in truth_of(name)["flows"] if flow.get("inner")]
    assert len(flows) == 42
    for flow in flows:
        inner = opened[key(flow["conn2"])].inner
        assert inner.incomplete == ()
        # TLS is carried on byte for byte, so its client random is the same there.
        assert inner.id.client_random == onward[flow["inner"]["client"]].id.client_random
        (stream,) = inner.streams
        compare(stream, flow["inner"], times=False)
        assert counted[stream.id, True] == stream.up_bytes
        assert stream.forwarded_for == flow["conn1"]["client"]


@pytest.mark.skipif(not SETS, reason="the lab is not beside the checkout")
def test_cut_captures_are_refused_by_name():
    folder = LAB / "vxlan-4789"
    paths = sorted(folder.glob("n?.*.pcap.gz"))
    reading = open_hbone(
        [CaptureSpec.parse(str(path)) for path in paths],
        settings=DecodeSettings(),
        keylogs=[str(folder / "sslkeylog.txt")],
    )
    assert reading.opened == ()
    assert len(reading.refused) == len(truth_of("vxlan-4789")["conn2"])
    assert all("its frames are cut: frame " in one.reason for one in reading.refused)


@pytest.mark.skipif(not SETS, reason="the lab is not beside the checkout")
@pytest.mark.parametrize("capture", ["nA.pcapng.gz", "nB.pcapng.gz"])
def test_an_underlay_does_not_matter(capture):
    folder = LAB / "vxlan-4789"
    reading = open_hbone(
        [CaptureSpec.parse(str(folder / capture))],
        settings=DecodeSettings(),
        keylogs=[str(folder / "sslkeylog.txt")],
    )
    opened = streams_of(reading)
    for _, conn2 in told("vxlan-4789"):
        compare(opened[key(conn2)], conn2, times=False)


# --- samples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keylog", [True, False], ids=["file", "in the capture"])
@pytest.mark.parametrize("name", ["ztunnel-in-pod", "ztunnel-waypoint"])
def test_samples_are_opened_with_their_keys(name, keylog):
    reading = read(SAMPLES / name, keylog=keylog)
    truth = json.loads((SAMPLES / name / "truth.json").read_text())
    opened = streams_of(reading)
    refused = {(one.client, one.server): one.reason for one in reading.refused}
    compared = 0
    for flow in truth["flows"]:
        conn2 = flow["conn2"]
        if conn2 is None:
            continue
        if key(conn2) in opened:
            compare(opened[key(conn2)], conn2, times=False)
            compared += 1
        else:
            assert "it began before the capture" in refused[conn2["client"], conn2["dst"]]
    assert compared > 10

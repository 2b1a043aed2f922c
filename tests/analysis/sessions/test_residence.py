# SPDX-License-Identifier: Apache-2.0
"""Times in proxies and servers beside those that the recorded sets' own keys gave.

truth.json's `proxy_captured_ms` was made with keys, DATA frame by DATA frame; here there are none.
"""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np
import pytest

from genevecap.analysis.connections import connection_tracker
from genevecap.analysis.grouping import group
from genevecap.analysis.hops.latency import latency
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.linking.legs import Sorter, Views
from genevecap.analysis.points.roles import RoleSigns
from genevecap.analysis.select import Selector
from genevecap.analysis.sessions.drafts import Drafts
from genevecap.analysis.sessions.keys import Keys
from genevecap.analysis.sessions.logs import Logs
from genevecap.analysis.sessions.mesh import Mesh
from genevecap.analysis.sessions.residence import Residence
from genevecap.capture.spec import CaptureSpec, on_one_clock
from genevecap.decode import DecodeSettings
from tests.conftest import ROOT, recorded_set

MS = 1_000_000
PASSES = {
    ("hbone", "forward"): "client_up",
    ("inbound", "forward"): "server_up",
    ("hbone", "reverse"): "server_down",
    ("outbound", "reverse"): "client_down",
}


def times_of(folder):
    """Return the times in proxies of a set, by pass and phase, all pods together."""
    specs = [CaptureSpec.parse(str(path)) for path in sorted(folder.glob("*.pcapng.gz"))]
    specs = [spec for spec in specs if ".any-" not in spec.path]
    inputs = Inputs(on_one_clock(specs), DecodeSettings(), Selector(), pytest.fail)
    tracker, signs = connection_tracker(), RoleSigns(inputs.points)
    for batch in inputs.batches():
        signs.update(batch)
        tracker.update(batch.frames, batch.decoded, batch.capture, kept=False)
    roles = signs.result()
    connections = group(tracker.halves())
    views = Views(roles, lambda _point, times: times)
    mesh = Mesh.of(Sorter(roles, connections).sort(connections))
    drafts = Drafts(mesh, views, 0, Keys(None, (), views.at), Logs(()))
    residence = Residence(drafts, roles)
    result = defaultdict(list)
    for hop, times in residence.hops(drafts.all()):
        found = times.ns.tolist()
        if hop.kind == "proxy":
            result[f"{PASSES[hop.leg, hop.direction]}.{hop.phase}"] += found
        else:
            result["server"] += found
    return result


@pytest.mark.parametrize("name", ["ztunnel-1.24", "ztunnel-1.31"])
def test_medians_are_those_that_keys_give(name):
    folder = recorded_set(name)
    truth = json.loads((folder / "truth.json").read_text())
    found = times_of(folder)
    for key, reference in truth["proxy_captured_ms"].items():
        median, wanted = np.median(found[key]) / MS, reference["p50"]
        if key == "client_up.later":
            # Two modes, bulk that queues and all else, of nearly one size: shares, not the median.
            slow = np.mean(np.array(found[key]) > MS)
            assert 0.35 < slow < 0.65
            continue
        # Where bulk queues, the median lies on a slope: some frames more or less move it.
        near = 0.2 if key == "server_down.later" else 0.1
        assert abs(median - wanted) <= max(0.05 * wanted, near), key
        assert len(found[key]) >= 0.5 * reference["frames"], key
    assert np.median(found["server"]) / MS == pytest.approx(
        truth["measured_ms"]["server"]["p50"], abs=0.9
    )


def test_latency_shows_the_hops_inside_proxies():
    sample = ROOT / "samples" / "ztunnel-in-pod"
    specs = [CaptureSpec.parse(str(sample / f"{n}.pcapng")) for n in ("cli2", "nA", "nB", "srv")]
    result = latency(on_one_clock(specs))
    inside = {(h.origin, h.to, h.direction, h.phase) for h in result.hops if h.kind == "proxy"}
    assert ("cli2/lo", "cli2/eth0", "forward", "first") in inside
    assert ("srv/eth0", "srv/lo", "forward", "first") in inside
    assert ("cli2/eth0", "cli2/lo", "reverse", "first") in inside
    (server,) = [h for h in result.hops if h.kind == "server"]
    assert (server.origin, server.to) == ("srv/lo", "srv/lo")
    # The sample's server waits 8 ms and more.
    assert 8 * MS < server.p50_ns < 25 * MS
    for hop in result.hops:
        if hop.kind == "proxy":
            assert 0 <= hop.min_ns <= hop.p50_ns <= hop.p90_ns <= hop.p99_ns <= hop.max_ns

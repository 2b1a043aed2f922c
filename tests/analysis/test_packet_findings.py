# SPDX-License-Identifier: Apache-2.0
"""analysis/packet_findings: the same findings of single packets as the tables count."""

from __future__ import annotations

import random

import pytest

from genevecap.analysis.hops.latency import latency
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.packet_findings import PacketFindings
from genevecap.analysis.run_counts import RunCounts
from genevecap.analysis.select import Selector
from genevecap.capture.spec import CaptureSpec
from genevecap.columns import Finding
from genevecap.decode import DecodeSettings
from tests.build import captures as c
from tests.build import packets as p
from tests.conftest import ROOT, SHARED

CAPTURES = sorted(path for path in (ROOT / "samples").rglob("*.pcap*"))
CORPUS = sorted(SHARED.glob("corpus/**/*.pcap*")) if SHARED.exists() else []


def both(path, **selection):
    """Findings of a capture by the tables, and without them."""
    inputs = Inputs(
        [CaptureSpec.parse(str(path))], DecodeSettings(), Selector(**selection), [].append
    )
    counts, packets = RunCounts(inputs), PacketFindings()
    for batch in inputs.batches():
        counts.update(batch)
        packets.update(batch)
    return counts.tables.findings(), packets.findings()


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_of_samples(path):
    by_tables, found = both(path)
    assert found == by_tables


@pytest.mark.skipif(not CORPUS, reason="the corpus is not there")
def test_of_the_corpus():
    bits = 0
    for path in CORPUS:
        by_tables, found = both(path)
        assert found == by_tables, path
        for each in found:
            bits |= each.bit
    assert bits.bit_count() > 15


def test_of_what_was_selected():
    by_tables, found = both(ROOT / "samples" / "vxlan-kernel.pcapng", vnis=(100,))
    assert found == by_tables != both(ROOT / "samples" / "vxlan-kernel.pcapng")[1]


@pytest.mark.parametrize("seed", range(8))
def test_of_times_in_any_order(tmp_path, seed):
    """At three points, in batches of any size, with steps back and times that do not exist."""
    rng = random.Random(seed)
    w, now = c.Pcapng(), 1_000_000_000
    blocks = [w.section(), *(w.interface(name=f"i{n}", resolution=9) for n in range(3))]
    frame = p.ethernet(p.arp(), 0x0806)
    for _ in range(20_000):
        now += rng.choice((1, 1_000, 1_000_000, -500, -999_999_999, -1_000_000_000, -3 * 10**9))
        now = max(now, 0) if rng.random() < 0.999 else 2**64 - 1
        blocks.append(w.packet(frame, interface=rng.randrange(3), units=now))
        now = now if now < 2**63 else 10**9
    path = tmp_path / "times.pcapng"
    path.write_bytes(b"".join(blocks))
    by_tables, found = both(path)
    assert found == by_tables
    assert len(found) == 3


def test_latency_tells_them_and_what_is_wrong_with_captures(tmp_path):
    data = (ROOT / "samples" / "vxlan-kernel.pcapng").read_bytes()
    path = tmp_path / "cut.pcapng"
    path.write_bytes(data[:-40])
    result = latency([CaptureSpec.parse(str(path))])
    found = {f.code: f for f in result.findings}
    assert (found["C09"].severity, found["C09"].packets) == ("warning", 0)
    by_tables = {f.bit: f for f in both(path)[0]}
    for finding in Finding:
        code = str(finding.name)
        assert (code in found) == (finding in by_tables)
        if code in found:
            assert found[code].packets == by_tables[finding].packets
            assert {ref.frame for ref in found[code].frames} == {
                frame for _, frame in by_tables[finding].frames
            }

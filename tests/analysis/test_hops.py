# SPDX-License-Identifier: Apache-2.0
"""identity, identity_order, identity_special, legs, hops, losses, sightings and latency together.

Packets on ways that are known, and what comes out of them.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genevecap.analysis.hops import identity
from genevecap.analysis.hops.identity import Matcher
from genevecap.analysis.hops.latency import latency
from genevecap.analysis.hops.limits import Limits
from genevecap.capture.spec import CaptureSpec
from tests.build.journeys import ACK, FIN, PSH, RST, START_NS, SYN, Journeys, Segment

CLIENT, SERVER, VIP = ("10.244.1.4", 40000), ("10.244.2.5", 8080), ("10.96.0.50", 80)
US = 1_000
MS = 1_000_000


def measure(*files, **options):
    """Run `latency` on files that one clock stamped."""
    specs = [CaptureSpec(path=str(f), name=f.stem, host="one") for f in files]
    return latency(specs, **options)


def hops_of(result):
    return {(h.origin.split("/")[1], h.to.split("/")[1], h.direction): h for h in result.hops}


def one_file(tmp_path, journeys, **options):
    path = tmp_path / "all.pcapng"
    journeys.write(path, **options)
    return measure(path)


def request(n, **changes):
    """The n-th data segment of a client."""
    return Segment(
        source=CLIENT, destination=SERVER, sequence=1000 + 100 * n, acknowledgment=7, octets=100,
        stamp=5000 + n, echo=9, flags=ACK | PSH,
    ).but(**changes)  # fmt: skip


# --- what changes on the way ---


def test_encapsulation_ttl_and_macs_change_on_the_way(tmp_path):
    j = Journeys()
    other = {"ttl": 63, "macs": (b"\2\0\0\0\1\1", b"\2\0\0\0\1\2")}
    for n in range(100):
        j.way(
            n * MS, request(n), ("pod", 0), ("veth", 5 * US), ("flannel.1", 7 * US, other),
            ("eth0", (10 + n) * US, {}, 1), ("eth1", 5 * MS, {}, 1), ("genev0", 3 * US),
        )  # fmt: skip
    near, far = tmp_path / "near.pcapng", tmp_path / "far.pcapng"
    j.write(near, points=["pod", "veth", "flannel.1", "eth0"])
    j.write(far, points=["eth1", "genev0"])
    hops = hops_of(measure(near, far))
    assert [hops[pair].kind for pair in hops] == [
        "pass", "pass", "encapsulate", "wire", "decapsulate",
    ]  # fmt: skip
    assert all(hop.packets == 100 and hop.lost == 0 for hop in hops.values())
    assert hops["pod", "veth", "forward"].p50_ns == 5 * US
    hop = hops["flannel.1", "eth0", "forward"]
    assert (hop.min_ns, hop.max_ns) == (10 * US, 109 * US)
    assert hop.p50_ns == pytest.approx(59 * US, rel=0.01)
    assert hop.p90_ns == pytest.approx(99 * US, rel=0.01)
    assert hop.p99_ns == pytest.approx(108 * US, rel=0.01)
    assert 9 * US < hop.uncertainty_ns < 12 * US  # 100 evenly spread: ranks 40 to 61
    assert (hop.added_p50_bytes, hop.added_max_bytes) == (50, 50)
    assert hops["eth1", "genev0", "forward"].added_p50_bytes == -50


def test_an_address_that_is_translated(tmp_path):
    """A Service's address becomes a pod's on the way, and back."""
    j = Journeys()
    up = Segment(source=CLIENT, destination=VIP, flags=SYN, sequence=99, stamp=100, echo=0)
    pod = {"destination": SERVER}
    j.way(0, up, ("pod", 0), ("node", 20 * US, pod))
    back = Segment(
        source=SERVER, destination=CLIENT, flags=SYN | ACK, sequence=5, acknowledgment=100,
        stamp=3, echo=100,
    )  # fmt: skip
    j.way(2 * MS, back, ("node", 0), ("pod", 30 * US, {"source": VIP}))
    for n in range(10):
        data = request(n, sequence=100 + 100 * n, destination=VIP)
        j.way((3 + n) * MS, data, ("pod", 0), ("node", 20 * US, pod))
        answer = back.but(
            flags=ACK, sequence=6 + n, acknowledgment=200 + 100 * n, octets=1, stamp=4 + n
        )
        j.way((3 + n) * MS + 500 * US, answer, ("node", 0), ("pod", 30 * US, {"source": VIP}))
    hops = hops_of(one_file(tmp_path, j))
    there, back = hops["pod", "node", "forward"], hops["node", "pod", "reverse"]
    assert (there.packets, there.kind, there.p50_ns) == (11, "redirect", 20 * US)
    assert (back.packets, back.kind, back.p50_ns) == (11, "redirect", 30 * US)


def test_a_redirection_changes_the_mac_and_not_the_ttl(tmp_path):
    j = Journeys()
    for n in range(5):
        other = {"macs": (b"\2\0\0\0\1\1", b"\2\0\0\0\1\2")}
        j.way(n * MS, request(n), ("veth1", 0), ("veth2", 2 * US, other))
    assert hops_of(one_file(tmp_path, j))["veth1", "veth2", "forward"].kind == "redirect"


def test_connections_that_all_begin_alike(tmp_path):
    """Generated traffic: every connection has the same numbers and no time stamps."""
    j = Journeys()
    for c in range(40):
        ends = {"source": (f"10.244.1.{c}", 40000), "stamp": None}
        syn = Segment(destination=SERVER, flags=SYN, **ends)
        j.way(c * US, syn, ("a", 0), ("b", (100 + c) * US))
        for n in range(3):
            j.way(n * MS + c * US, request(n, **ends), ("a", 0), ("b", (100 + c) * US))
    result = one_file(tmp_path, j)
    hop = hops_of(result)["a", "b", "forward"]
    assert (hop.packets, hop.min_ns, hop.max_ns) == (160, 100 * US, 139 * US)
    assert result.matching.ambiguous == 0


def test_time_stamps_that_a_kernel_kept(tmp_path):
    j = Journeys()
    for n in range(50):
        j.way(n * MS, request(n), ("eth0", 0, {}, 1), ("flannel.1", 0), ("veth", 9 * US))
    hops = hops_of(one_file(tmp_path, j))
    kept = hops["eth0", "flannel.1", "forward"]
    assert (kept.kind, kept.measured, kept.p50_ns, kept.packets) == ("decapsulate", False, None, 50)
    assert hops["flannel.1", "veth", "forward"].p50_ns == 9 * US


def test_stamps_the_wrong_way_round_follow_the_others(tmp_path):
    j = Journeys()
    for n in range(50):
        later_ns = -80 if n % 25 == 7 else 900
        j.way(n * MS, request(n), ("veth", 0), ("eth0", later_ns, {"ttl": 63}))
    hops = hops_of(one_file(tmp_path, j))
    assert list(hops) == [("veth", "eth0", "forward")]
    assert hops["veth", "eth0", "forward"].min_ns == -80


# --- loss, retransmission, repetition ---


def test_a_retransmission_is_another_packet(tmp_path):
    j = Journeys()
    for n in range(20):
        j.way(n * MS, request(n), ("a", 0), *([] if n == 4 else [("b", 50 * US)]))
    again = request(4, stamp=5300)
    j.way(300 * MS, again, ("a", 0), ("b", 50 * US))
    hop = hops_of(one_file(tmp_path, j))["a", "b", "forward"]
    assert (hop.packets, hop.lost, hop.max_ns) == (20, 1, 50 * US)


def test_without_time_stamps_the_count_decides(tmp_path):
    j = Journeys()
    for n in range(20):
        j.way(n * MS, request(n, stamp=None), ("a", 0), ("b", 50 * US))
    j.way(100 * MS, request(4, stamp=None), ("a", 0), ("b", 70 * US))
    j.way(110 * MS, request(5, stamp=None), ("a", 0))
    j.way(120 * MS, request(20, stamp=None), ("a", 0), ("b", 50 * US))
    result = one_file(tmp_path, j)
    hop = hops_of(result)["a", "b", "forward"]
    # Both of the fourth were seen at both; of the fifth it is unknown which one arrived.
    assert (hop.packets, hop.lost, hop.max_ns) == (21, 1, 70 * US)
    assert result.matching.ambiguous == 3


def test_identification_tells_alike_packets_apart(tmp_path):
    j = Journeys()
    for n in range(5):
        ack = request(0, octets=0, flags=ACK, identification=77 + n)
        j.way(n * US, ack, ("a", 0), *([] if n == 2 else [("b", (50 - n) * US)]))
    j.way(MS, request(1), ("a", 0), ("b", 48 * US))
    result = one_file(tmp_path, j)
    hop = hops_of(result)["a", "b", "forward"]
    assert (hop.packets, hop.lost, result.matching.ambiguous) == (5, 1, 0)
    assert (hop.min_ns, hop.max_ns) == (46 * US, 50 * US)


def test_what_was_not_recorded_is_not_lost(tmp_path):
    j = Journeys()
    for n in range(100):
        j.way(n * MS, request(n), ("a", 0), *([] if n in {10, 95} else [("b", 3 * MS)]))
    early, late = tmp_path / "a.pcapng", tmp_path / "b.pcapng"
    j.write(early, points=["a"])
    j.sightings = [s for s in j.sightings if 20 <= (s[0] % 10**9) // MS <= 90]
    j.write(late, points=["b"])
    hop = next(h for h in measure(early, late).hops)
    assert (hop.packets, hop.lost) == (71, 0)


@pytest.mark.parametrize("point", ["a", "b"])
def test_no_figure_of_losses_where_a_capture_dropped(tmp_path, point):
    j = Journeys()
    for n in range(10):
        j.way(n * MS, request(n), ("a", 0), *([] if n == 3 else [("b", 3 * US)]))
    hop = one_file(tmp_path, j, drops={point: 5}).hops[0]
    assert (hop.packets, hop.lost) == (9, None)
    assert one_file(tmp_path, j, drops={"a": 0, "b": 0}).hops[0].lost == 1


def test_the_way_to_another_address_ends_where_it_ends(tmp_path):
    """Packets to one pod go on from the node's card, those to another end behind it."""
    j = Journeys()
    near = {"destination": ("10.244.1.9", 8080)}
    for n in range(10):
        j.way(n * MS, request(n), ("veth1", 0), *([] if n == 7 else [("eth0", 9 * US)]))
        j.way(n * MS, request(n, **near), ("veth1", 0), ("veth2", 4 * US))
        j.way(n * MS, request(n, destination=("10.244.1.77", 8080)), ("veth1", 0))
    hops = hops_of(one_file(tmp_path, j))
    assert hops["veth1", "eth0", "forward"].lost == 1
    assert hops["veth1", "veth2", "forward"].lost == 0


def test_a_reset_is_no_acknowledgment(tmp_path):
    j = Journeys()
    for n in range(3):
        j.way(n * MS, request(n), ("a", 0), ("b", 5 * US))
    last = request(9, octets=0, flags=ACK)
    j.way(9 * MS, last, ("a", 0), ("b", 5 * US))
    j.way(9 * MS + 1, last.but(flags=ACK | RST), ("a", 0), ("b", 8 * US))
    hop = one_file(tmp_path, j).hops[0]
    assert (hop.packets, hop.min_ns, hop.max_ns) == (5, 5 * US, 8 * US)


# --- cutting and merging ---


@pytest.mark.parametrize("sequence", [5000, 2**32 - 1500])
def test_a_super_packet_is_cut(tmp_path, sequence):
    j = Journeys()
    for n in range(6):
        big = request(n, octets=4000, sequence=(sequence + 4000 * n) % 2**32)
        j.way(n * MS, big, ("a", 0), ("b", 4 * US))
        for i, start in enumerate(range(0, 4000, 1000)):
            if (n, i) == (3, 2):
                continue
            piece = big.piece(start, start + 1000)
            j.way(n * MS + 4 * US, piece, ("c", (10 + i) * US), ("d", 100 * US))
    hops = hops_of(one_file(tmp_path, j))
    assert hops["a", "b", "forward"].packets == 6
    cut = hops["b", "c", "forward"]
    assert (cut.packets, cut.min_ns, cut.max_ns, cut.lost) == (6, 10 * US, 10 * US, 1)
    assert (hops["c", "d", "forward"].packets, hops["c", "d", "forward"].lost) == (23, 0)


@pytest.mark.parametrize("sequence", [5000, 2**32 - 1500])
def test_segments_are_merged(tmp_path, sequence):
    j = Journeys()
    for n in range(6):
        big = request(n, octets=3000, sequence=(sequence + 3000 * n) % 2**32, flags=ACK | FIN)
        for i, start in enumerate(range(0, 3000, 1000)):
            j.way(n * MS + i * US, big.piece(start, start + 1000), ("a", 0), ("b", 50 * US))
        if n != 4:
            j.way(n * MS + 2 * US, big, ("c", 60 * US))
    hops = hops_of(one_file(tmp_path, j))
    assert hops["a", "b", "forward"].packets == 18
    merged = hops["b", "c", "forward"]
    assert (merged.packets, merged.min_ns, merged.max_ns, merged.lost) == (5, 10 * US, 10 * US, 3)


# --- order ---


def test_the_order_of_files_and_packets_does_not_matter(tmp_path):
    j = Journeys()
    for n in range(300):
        j.way(n * MS, request(n), ("a", 0), *([] if n % 50 == 7 else [("b", (50 + n) * US)]))
    expected = one_file(tmp_path, j).hops
    random.Random(1).shuffle(j.sightings)
    shuffled = one_file(tmp_path, j, sort=False)
    assert shuffled.hops == expected
    assert expected[0].lost == 6
    files = [tmp_path / f"{name}.pcapng" for name in "ab"]
    for path in files:
        j.write(path, points=[path.stem], sort=False)
    for order in (files, files[::-1]):
        (hop,) = measure(*order).hops
        assert (hop.packets, hop.lost, hop.p50_ns) == (294, 6, expected[0].p50_ns)


def test_equal_packets_far_apart_are_strangers(tmp_path):
    """A keep-alive probe without time stamps is the same packet every 75 s."""
    j = Journeys()
    probe = request(0, octets=0, flags=ACK, stamp=None)
    for n in range(6):
        j.way(n * 75_000 * MS, probe, ("a", 0), *([] if n == 2 else [("b", (50 + n) * US)]))
    result = one_file(tmp_path, j)
    (hop,) = result.hops
    assert (hop.packets, hop.lost, hop.max_ns, result.matching.ambiguous) == (5, 1, 55 * US, 0)


def test_a_second_sighting_later_than_the_window_is_no_match(tmp_path):
    j = Journeys()
    j.way(0, request(0), ("a", 0), ("b", 3000 * MS))
    path = tmp_path / "x.pcapng"
    j.write(path)
    assert measure(path, limits=Limits(window_ns=2000 * MS)).hops == ()
    assert measure(path, limits=Limits(window_ns=4000 * MS)).hops[0].p50_ns == 3000 * MS


def test_the_same_interface_recorded_twice_counts_once(tmp_path):
    j = Journeys()
    for n in range(200):
        j.way(n * MS, request(n, identification=n + 1), ("eth0", 0), ("veth1", 50 * US))
    both, again = tmp_path / "n.pcapng", tmp_path / "n.eth0.pcapng"
    j.write(both, points=["eth0", "veth1"])
    j.write(again, points=["eth0"])
    (hop,) = measure(both, again).hops
    assert (hop.packets, hop.p50_ns) == (200, 50 * US)


def test_more_than_can_be_held(tmp_path, monkeypatch):
    """Passes one after the other: nothing is matched twice, lost or forgotten at their borders."""
    monkeypatch.setattr(identity, "PASS_ROWS", 5000)
    monkeypatch.setattr(identity, "MAX_HELD", 25_000)
    j = Journeys()
    for n in range(30_000):
        j.way(n * MS // 4, request(n), ("a", 0), *([] if n % 50 == 37 else [("b", 9 * MS + n)]))
    files = [tmp_path / f"{name}.pcapng" for name in "ab"]
    for path in files:
        j.write(path, points=[path.stem])
    result = measure(*files, limits=Limits(window_ns=1000 * MS))
    (hop,) = result.hops
    assert (hop.packets, hop.lost, hop.min_ns) == (29_400, 600, 9 * MS)
    assert result.matching.shortest_window_ns is None
    cut = measure(*files, limits=Limits(window_ns=10_000 * MS))
    assert (cut.hops[0].packets, cut.hops[0].lost) == (29_400, 600)
    assert 100 * MS < cut.matching.shortest_window_ns < 3000 * MS


def test_what_comes_too_late_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "PASS_ROWS", 5000)
    j = Journeys()
    for n in range(20_000):
        j.way((20_000 + n) * MS, request(n), ("a", 0), ("b", 9 * US))
    late = Journeys()
    for n in range(100):
        late.way(n * MS, request(n, source=("10.9.9.9", 40001)), ("a", 0), ("b", 9 * US))
    j.sightings.sort(key=lambda row: row[0])
    j.sightings += late.sightings
    result = one_file(tmp_path, j, sort=False)
    assert result.matching.late == 200
    assert result.hops[0].packets == 20_100


def test_an_interrupt_gives_what_was_read(tmp_path, monkeypatch):
    j = Journeys()
    for n in range(9000):
        j.way(n * MS, request(n), ("a", 0), ("b", 9 * US))
    update = Matcher.update

    def interrupted(self, piece):
        yield from update(self, piece)
        if piece.rows.time_ns[0] > START_NS + 4000 * MS:
            raise KeyboardInterrupt

    monkeypatch.setattr(Matcher, "update", interrupted)
    result = one_file(tmp_path, j)
    assert result.interrupted
    assert 4000 < result.hops[0].packets < 9000


@settings(max_examples=40)
@given(data=st.data())
def test_losses_and_times_are_those_of_the_simulation(tmp_path_factory, data):
    """Any mixture of loss, reordering, duplicates of acknowledgments, with and without stamps."""
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    stamped = data.draw(st.booleans())
    j, lost, times = Journeys(), 0, []
    base = rng.randrange(2**32)
    for n in range(data.draw(st.integers(30, 120))):
        stamp = 5000 + n if stamped else None
        reply = rng.random() < 0.3
        segment = request(n, stamp=stamp, sequence=(base + 100 * n) % 2**32)
        if reply:
            segment = segment.but(
                source=SERVER, destination=CLIENT, octets=0, flags=ACK, window=500 + n
            )
        points = ["a", "b"][:: -1 if reply else 1]
        delay_ns = rng.randrange(MS, 4 * MS)
        if 5 < n < 25 and rng.random() < 0.2 and not reply:
            j.way(n * MS, segment, (points[0], 0))
            lost += 1
        else:
            j.way(n * MS, segment, (points[0], 0), (points[1], delay_ns))
            times += [] if reply else [delay_ns]
    rng.shuffle(j.sightings)
    hops = hops_of(one_file(tmp_path_factory.mktemp("j"), j, sort=False))
    hop = hops["a", "b", "forward"]
    assert (hop.packets, hop.lost) == (len(times), lost)
    assert (hop.min_ns, hop.max_ns) == (min(times), max(times))
    assert hop.p50_ns == pytest.approx(sorted(times)[(len(times) - 1) // 2], rel=0.01)

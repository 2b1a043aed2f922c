# SPDX-License-Identifier: Apache-2.0
"""analysis/repeats: packets of plain tunnels that come again; compiled and readable alike.

Also `readable_repeats`, the readable one of the two.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.repeats import INNER, LONGEST_NS, OUTER, RECENT, Sightings, proven
from genevecap.analysis.summary import inspect
from genevecap.analysis.tables import FIRST_FRAMES
from genevecap.capture.linktypes import LINUX_SLL, LINUX_SLL2
from genevecap.capture.spec import CaptureSpec
from tests.build import packets as p
from tests.build.captures import LITTLE, NANOSECONDS, pcap, pcap_header, pcap_record
from tests.conftest import SAMPLES
from tests.properties.decoders import batch_of, decode_all, frames_of, readable_decoder

from .counting import implementations

ETHERNET = 1
needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


def inner(number=0, *, sequence=1, six=False, payload=b"12345678", port=40000, udp=False):
    """A segment or datagram; number: its identification."""
    if udp:
        octets, protocol = p.udp(payload, port, 53), 17
    else:
        octets, protocol = p.tcp(payload, port, 8080, sequence=sequence), 6
    if six:
        return p.ethernet(p.ipv6(octets, protocol), 0x86DD)
    return p.ethernet(p.ipv4(octets, protocol, "10.1.0.1", "10.1.0.2", identification=number))


def tunnel(frame, number=0, *, to="192.0.2.2", ttl=64, vni=5, six=False, geneve=False, port=50000):
    """A frame in a tunnel; number: the outer identification."""
    header = p.geneve(frame, vni) if geneve else p.vxlan(frame, vni)
    octets = p.udp(header, port, 6081 if geneve else 4789)
    if six:
        return p.ethernet(p.ipv6(octets, 17, "2001:db8::1", "2001:db8::2"), 0x86DD)
    return p.ethernet(p.ipv4(octets, 17, "192.0.2.1", to, ttl=ttl, identification=number))


def both(number, **how):
    """A packet numbered outside and inside."""
    return tunnel(inner(number, sequence=number), number, **how)


OTHERS = (both(9001), both(9002))
"""Packets that show that identifications change."""


def repeated(*frames, link=ETHERNET, points=None, times=None, step_ns=1000):
    """Return the numbers of the frames that are repeats, after comparing all implementations."""
    batch = batch_of([(link, octets, len(octets)) for octets in frames])
    for i in range(batch.count):
        batch.time_ns[i] = times[i] if times else 10**18 + i * step_ns
    if points:
        batch.link_types.extend([link] * max(points))
        for i, point in enumerate(points):
            batch.point[i] = point
    answers = []
    for each in implementations():
        for decoded in decode_all(readable_decoder(), batch):
            each.update(batch, decoded, 3)
        answers.append(sorted(each.repeats()))
    assert all(answer == answers[0] for answer in answers)
    assert all(found.packets >= len(found.frames) for found in answers[0])
    return sorted(frame for found in answers[0] for _, frame in found.frames)


# --- what is a repeat ----------------------------------------------------------------------------

KINDS = {
    "vxlan": {},
    "geneve": {"geneve": True},
}


@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
def test_a_packet_that_comes_again(how):
    one, two, three = (both(number, **how) for number in (1, 2, 3))
    assert repeated(one, two, three) == []
    assert repeated(one, one, two, three, two, one) == [2, 5, 6]
    assert repeated(*[one] * 20, two) == list(range(2, 2 + FIRST_FRAMES))


def test_one_identification_is_enough():
    by_outer = [tunnel(inner(0, sequence=n), n) for n in (1, 2)]
    assert repeated(*by_outer, by_outer[0]) == [3]
    by_outer = [tunnel(inner(six=True, sequence=n), n) for n in (1, 2)]
    assert repeated(*by_outer, by_outer[0]) == [3]
    by_inner = [tunnel(inner(n, sequence=n), 0) for n in (1, 2)]
    assert repeated(*by_inner, by_inner[0]) == [3]
    by_inner = [tunnel(inner(n, sequence=n), six=True) for n in (1, 2)]
    assert repeated(*by_inner, by_inner[0]) == [3]


def test_whatever_is_inside():
    arp = [tunnel(p.ethernet(p.arp(), 0x0806), n) for n in (1, 2)]
    assert repeated(*arp) == []
    assert repeated(*arp, arp[0]) == [3]
    udp = [tunnel(inner(0, udp=True), n) for n in (1, 2)]
    assert repeated(*udp) == []
    assert repeated(*udp, udp[1]) == [3]
    nested = [tunnel(both(n, geneve=True, vni=7), n) for n in (1, 2)]
    assert repeated(*nested) == []
    assert repeated(*nested, nested[1]) == [3]
    elsewhere = tunnel(both(1, geneve=True, vni=7), 1, vni=6)  # the outermost tunnel is another
    assert repeated(*nested, elsewhere) == []


def test_other_tunnels():
    for wrap, protocol in ((p.gre, 47), (lambda packet: packet, 4)):
        frames = [
            p.ethernet(p.ipv4(wrap(p.ipv4(p.tcp(), 6, identification=n)), protocol,
                              identification=n))
            for n in (1, 2)
        ]  # fmt: skip
        assert repeated(*frames) == []
        assert repeated(*frames, frames[0]) == [3]


# --- what is none --------------------------------------------------------------------------------


def test_a_retransmission_has_identifications_of_its_own():
    assert repeated(tunnel(inner(1), 1), tunnel(inner(2), 2), *OTHERS) == []
    assert repeated(tunnel(inner(1), 0), tunnel(inner(2), 0), *OTHERS) == []
    assert repeated(tunnel(inner(0), 1), tunnel(inner(0), 2), *OTHERS) == []


def test_without_an_identification_nothing_is_said():
    again = tunnel(inner(0), 0)
    assert repeated(again, again, *OTHERS) == []
    again = tunnel(inner(six=True), six=True)
    assert repeated(again, again, *OTHERS) == []
    again = tunnel(inner(six=True), 0)
    assert repeated(again, again, *OTHERS) == []


def test_an_identification_that_never_changes_proves_nothing():
    """What a sender with one identification for everything retransmits looks the same."""
    frames = [tunnel(inner(1, sequence=n), 1) for n in (1, 2, 3, 1)]
    assert repeated(*frames) == []
    # Nor do packets without any, such as ARP, make it change.
    silent = [tunnel(p.ethernet(p.arp(), 0x0806), 0), tunnel(inner(0), 0)]
    assert repeated(*frames, *silent) == []
    # Each of the two by itself: the outer ones change here, and the repeat has another.
    others = [tunnel(inner(1, sequence=n), n) for n in (7, 8)]
    assert repeated(*frames, *others) == [4]
    inner_only = [tunnel(inner(1, sequence=n), 0) for n in (1, 2, 1)]
    assert repeated(*inner_only, *others) == []


def test_copies_for_several_endpoints():
    """Broadcasts are sent to every endpoint in turn, all with one inner identification."""
    copies = [tunnel(inner(4, udp=True), n, to=f"192.0.2.{n}") for n in range(2, 6)]
    assert repeated(*copies, *OTHERS) == []
    copies = [tunnel(inner(4, udp=True), 0, to=f"192.0.2.{n}") for n in range(2, 6)]
    assert repeated(*copies, *OTHERS) == []
    assert repeated(both(1, vni=6), both(1, vni=7), *OTHERS) == []


def test_a_packet_that_passed_a_router():
    assert repeated(both(1), both(1, ttl=63), *OTHERS) == []


def test_fragments_inside_share_an_identification():
    fragments = [
        tunnel(p.ethernet(p.ipv4(bytes(64), identification=4, fragment_offset=at, flags=1)), 0)
        for at in (64, 128)
    ]
    assert repeated(*fragments, *OTHERS) == []


def test_segments_of_one_super_packet_may_share_the_outer_identification():
    segments = [tunnel(inner(0, sequence=n), 5) for n in (1, 1001, 2001)]
    assert repeated(*segments, *OTHERS) == []


def test_each_point_by_itself():
    one, two = both(1), both(2)
    assert repeated(one, one, two, two, points=[0, 1, 0, 1]) == []
    assert repeated(one, one, two, one, points=[0, 1, 0, 0]) == [4]


def test_an_interface_that_shows_packets_twice_is_left_out():
    cooked = p.sll(both(1)[14:])
    others = [p.sll(frame[14:]) for frame in OTHERS]
    assert repeated(cooked, cooked, *others, link=LINUX_SLL) == []
    cooked = p.sll2(both(1)[14:])
    others = [p.sll2(frame[14:]) for frame in OTHERS]
    assert repeated(cooked, cooked, *others, link=LINUX_SLL2) == [2]


def test_what_is_not_a_plain_tunnel():
    plain = inner(1)
    assert repeated(plain, plain, inner(2), *OTHERS) == []
    esp = [p.ethernet(p.ipv4(p.esp(bytes(40), sequence=n), 50, identification=n)) for n in (1, 2)]
    hidden = [tunnel(frame, n) for n, frame in enumerate(esp, 1)]
    assert repeated(*hidden, hidden[0], *OTHERS) == []  # that is U06's


def test_what_was_not_captured_says_nothing():
    whole = tunnel(inner(1, sequence=1), 1)
    begins = len(whole) - len(p.tcp(b"12345678"))
    for size in range(len(whole)):
        cut = whole[:size]
        assert repeated(cut, cut, *OTHERS) in ([], [2] if size >= begins + 20 else [])


@pytest.mark.parametrize(("apart", "found"), [(LONGEST_NS, [2]), (LONGEST_NS + 1, [])])
def test_how_long_ago(apart, found):
    for times in ([0, apart, 2, 3], [apart, 0, 2, 3]):
        assert repeated(both(1), both(1), *OTHERS, times=times) == found


def test_without_a_time_nothing_is_said():
    none, least, most = -(2**63), -(2**63) + 1, 2**63 - 1
    for times in ([none, none], [none, 0], [0, none], [least, most], [most, least], [none, least]):
        assert repeated(both(1), both(1), *OTHERS, times=[*times, 5, 6]) == []
    assert repeated(both(1), both(1), *OTHERS, times=[most, most, 5, 6]) == [2]


@pytest.mark.parametrize(("between", "found"), [(RECENT - 2, True), (RECENT - 1, False)])
def test_how_many_packets_ago(between, found):
    others = [both(number) for number in range(1, between + 1)]
    assert bool(repeated(both(9000), *others, both(9000), step_ns=1)) is found


# --- both implementations, and a witness ---------------------------------------------------------

DRAWN = st.lists(
    st.builds(
        lambda geneve, six, outer, number, sequence, six_inside: tunnel(
            inner(number, sequence=sequence, six=six_inside), outer, geneve=geneve, six=six
        ),
        st.booleans(), st.sampled_from((False, False, True)), st.integers(0, 3),
        st.integers(0, 3), st.integers(1, 2), st.sampled_from((False, False, True)),
    ),
    max_size=40,
)  # fmt: skip


def witness(frames, times):
    """Count again, slowly: equal frames within a second whose tunnel has changing numbers.

    Only for frames of `tunnel` over Ethernet: what stands where is known.
    """
    numbers, again = {}, []
    for i, (frame, time_ns) in enumerate(zip(frames, times, strict=True)):
        six = frame[12:14] == b"\x86\xdd"
        outer = 0 if six else int.from_bytes(frame[18:20], "big")
        at = 14 + (40 if six else 20) + 16
        inside = frame[at:]
        here = int.from_bytes(inside[18:20], "big") if inside[12:14] == b"\x08\0" else 0
        key = (
            frame[14 : at - 16][-32 if six else -8 :]
            + frame[at - 14 : at - 12]
            + frame[at - 8 : at]
        )
        numbers.setdefault(key, (set(), set()))
        for known, number in zip(numbers[key], (outer, here), strict=True):
            known.update({number} - {0})
        before = [j for j in range(max(0, i - RECENT + 1), i) if frames[j] == frame]
        if before and abs(time_ns - times[before[-1]]) <= LONGEST_NS:
            again.append((i + 1, key, outer, here))
    return [
        number for number, key, *ids in again
        if any(one and len(known) > 1 for one, known in zip(ids, numbers[key], strict=True))
    ]  # fmt: skip


@given(DRAWN, st.lists(st.integers(0, 2 * LONGEST_NS), min_size=40, max_size=40))
def test_the_witness_says_the_same(frames, times):
    times = times[: len(frames)]
    expected = witness(frames, times)
    found = repeated(*frames, times=times)
    assert set(found) <= set(expected)
    assert bool(found) is bool(expected)
    packets = [each.packets for each in _of_frames(frames, times)]
    assert sum(packets) == len(expected)


def _of_frames(frames, times):
    batch = batch_of([(ETHERNET, octets, len(octets)) for octets in frames])
    batch.time_ns[: len(times)] = type(batch.time_ns)("q", times)
    tables = implementations()[-1]
    for decoded in decode_all(readable_decoder(), batch):
        tables.update(batch, decoded, 0)
    return tables.repeats()


def test_many_packets_in_any_order():
    rng = random.Random(5)
    frames = [both(n, geneve=bool(n % 3)) for n in range(1, 3000)]
    rng.shuffle(frames)
    for copy in rng.sample(frames, 300):
        frames.insert(rng.randrange(len(frames)), copy)
    times = [i * 1000 for i in range(len(frames))]
    expected = witness(frames, times)
    assert len(expected) == 300
    assert sum(each.packets for each in _of_frames(frames, times)) == 300


def with_copies(path, folder, rng):
    """Write a capture of the frames of a sample, some of which come again; return its path."""
    frames = [each for each in frames_of(path) if each[0] == ETHERNET]
    octets, time_ns = pcap_header(magic=NANOSECONDS), 0
    for _, data, original in frames:
        for _ in range(1 + (rng.random() < 0.2)):
            time_ns += 50_000
            octets += pcap_record(data, seconds=1, fraction=time_ns, original=original)
    to = folder / "copies.pcap"
    to.write_bytes(octets)
    return to


FIELDS = ("frame.number", "frame.protocols", "ip.id", "udp.srcport", "udp.length", "ip.checksum",
          "tcp.seq_raw", "tcp.checksum", "udp.checksum", "icmp.checksum", "icmp.seq")  # fmt: skip


def shown_by_tshark(path):
    """Return the fields of every frame."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-o", "ip.defragment:FALSE"]
    command += ["-d", "udp.port==8472,vxlan"]
    for field in FIELDS:
        command += ["-e", field]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in text.splitlines()]


@needs_tshark
@pytest.mark.parametrize("seed", range(3))
def test_tshark_shows_the_same_repeats(seed, tmp_path):
    """A recorded capture of VXLAN in which every fifth frame comes again at once."""
    path = with_copies(SAMPLES / "vxlan-kernel.pcapng", tmp_path, random.Random(seed))
    lines = shown_by_tshark(path)
    expected = [
        now[0]
        for before, now in pairwise(lines)
        if before[1:] == now[1:] and set(now[2].split(",")) - {"", "0x0000"}
        and "vxlan" in now[1] and not now[1].endswith(":ip:data")  # an inner fragment
    ]  # fmt: skip
    found = {each.code: each for each in inspect([CaptureSpec.parse(str(path))]).findings}
    assert len(expected) > 5
    assert found["U07"].packets == len(expected)
    assert [str(each.frame) for each in found["U07"].frames] == expected[:FIRST_FRAMES]


# --- in the summary ------------------------------------------------------------------------------


def test_the_finding(tmp_path):
    path = tmp_path / "a.pcap"
    frames = [both(1), both(2), both(2), *(both(n, geneve=True) for n in (1, 2, 1, 2))]
    records = [pcap_record(frame, seconds=1, fraction=n) for n, frame in enumerate(frames)]
    path.write_bytes(pcap_header() + b"".join(records))
    found = {each.code: each for each in inspect([CaptureSpec.parse(str(path))]).findings}["U07"]
    assert found.severity == "warning"
    assert found.packets == 3
    assert found.details == (
        "geneve VNI 5, 192.0.2.1 > 192.0.2.2: 2 packets",
        "vxlan VNI 5, 192.0.2.1 > 192.0.2.2: 1 packet",
    )
    assert [each.frame for each in found.frames] == [3, 6, 7]
    assert found.display_filter == "frame.number in {3, 6, 7}"


def test_two_interfaces_see_the_same_packet(tmp_path):
    path = tmp_path / "a.pcapng"
    octets = LITTLE.section() + LITTLE.interface() + LITTLE.interface()
    for frame in (both(1), both(2)):
        octets += LITTLE.packet(frame) + LITTLE.packet(frame, interface=1)
    path.write_bytes(octets)
    assert "U07" not in {each.code for each in inspect([CaptureSpec.parse(str(path))]).findings}


@pytest.mark.parametrize(("second", "found"), [(3, True), (4, False)])
def test_interfaces_of_a_capture_of_any(second, found, tmp_path):
    path = tmp_path / "a.pcap"
    frames = [
        p.sll2(both(number)[14:], interface=interface)
        for number in (1, 2)
        for interface in (3, second)
    ]
    path.write_bytes(pcap(*frames, link=LINUX_SLL2))
    codes = {each.code for each in inspect([CaptureSpec.parse(str(path))]).findings}
    assert ("U07" in codes) is found


def test_only_what_is_proven_counts():
    tunnel_, other = object(), object()
    rows = [
        Sightings(tunnel_, OUTER, 0x0001, 4, [(0, 9), (0, 11)]),
        Sightings(tunnel_, INNER, 0x0001, 8, [(0, 1)]),
        Sightings(tunnel_, OUTER | INNER, 0x0001, 16, [(0, 3), (0, 10)]),
        Sightings(other, INNER, 0x10000, 32, [(1, 1)]),
        Sightings(other, OUTER, 0x10000, 64, [(1, 1)]),
    ]
    assert proven(rows) == [
        (tunnel_, 20, [(0, 3), (0, 9), (0, 10), (0, 11)]),
        (other, 32, [(1, 1)]),
    ]

# SPDX-License-Identifier: Apache-2.0
"""One direction of a connection at one point: what is kept of it, whatever way it was captured."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis import connections, records
from genevecap.analysis.connections import (
    MAX_EVENTS,
    MAX_TURNS,
    MAX_VNIS,
    Endpoint,
    ReadableTracker,
    connection_tracker,
)
from genevecap.analysis.content import MAX_STRETCHES, PRIME, head
from genevecap.analysis.hops.latency import latency
from genevecap.analysis.inputs import Inputs
from genevecap.analysis.select import Selector
from genevecap.analysis.sessions.flows import flows
from genevecap.capture.spec import CaptureSpec
from genevecap.decode.settings import DecodeSettings
from tests.properties.decoders import batch_of, decode_all, frames_of, kernel_decoder, mutated

from .tracking import (
    ACK,
    CLIENT,
    FIN,
    HBONE,
    RST,
    SERVER,
    SYN,
    SYN_ACK,
    Sighting,
    batch,
    feed,
    half_of,
    halves_of,
    kernel_tracker,
    said,
    stream,
)

DATA = bytes(range(256)) * 20
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CAPTURES = sorted(SAMPLES.rglob("*.pcap*"))


def digest(octets):
    return int.from_bytes(octets, "little") % PRIME


def record(length, content_type=23):
    return bytes([content_type, 3, 3, length >> 8, length & 0xFF]) + b"\xee" * length


# --- handshake and end ----------------------------------------------------------------------------


def test_what_a_direction_says_of_itself():
    half = half_of(stream(DATA, isn=77), capture=3)
    assert (half.capture, half.point, half.ttl, half.is_client) == (3, 0, 64, True)
    assert (half.source, half.destination) == (Endpoint(*CLIENT), Endpoint(*SERVER))
    assert (half.isn, half.peer_isn, half.handshake) == (77, 0, 2_000)
    assert (half.syn_ns, half.syn_count, half.first_ns, half.first_frame) == (1_000, 1, 1_000, 1)
    assert (half.fin_ns, half.fin_frame, half.last_ns, half.rst_ns) == (8_000, 8, 8_000, None)
    assert (half.packets, half.wire_bytes) == (8, 8 * 54 + len(DATA))
    assert (half.total, half.frontier, half.highest) == (len(DATA),) * 3
    assert (half.duplicates, half.last_payload_ns) == (0, 7_000)
    assert half.prefix == (len(DATA), digest(DATA))
    assert list(half.events)[:8] == [0, 1000, 2_000, 2, 1000, 2000, 3_000, 3]
    assert [turn.offset for turn in half.turns] == [0]


def test_the_servers_direction_knows_both_numbers_from_the_syn_ack():
    answer = Sighting().back(sequence=500, acknowledgment=1001, flags=SYN_ACK, mss=1460)
    half = half_of([answer])
    assert (half.isn, half.peer_isn, half.is_client, half.mss) == (500, 1000, False, 1460)
    assert half.handshake is None


def test_a_syn_that_is_repeated_is_counted():
    syn = Sighting(sequence=9, flags=SYN)
    half = half_of([replace(syn, time_ns=t) for t in (5, 1_000, 3_000)])
    assert (half.syn_count, half.syn_ns, half.last_ns, half.packets) == (3, 5, 3_000, 3)


def test_a_new_initial_sequence_number_is_a_new_connection():
    first, second = stream(b"abc", isn=1000), stream(b"defg", isn=70_000)
    halves = halves_of(first + second)
    assert [half.isn for half in halves] == [1000, 70_000]
    assert [half.total for half in halves] == [3, 4]
    assert [half.prefix for half in halves] == [(3, digest(b"abc")), (4, digest(b"defg"))]


def test_a_port_that_is_used_again_after_a_connection_without_handshake():
    halves = halves_of(stream(b"abc", syn=False) + stream(b"defg", isn=70_000))
    assert [(half.isn, half.total) for half in halves] == [(None, None), (70_000, 4)]


def test_a_refused_connection_that_is_tried_again():
    refusal = Sighting().back(flags=RST | ACK, acknowledgment=1001, time_ns=1)
    answer = Sighting().back(flags=SYN_ACK, sequence=9, acknowledgment=2001, time_ns=2)
    halves = halves_of([refusal, answer])
    assert [(half.rst_ns, half.isn) for half in halves] == [(1, None), (None, 9)]


def test_a_syn_captured_after_what_follows_it():
    segments = stream(b"abc", isn=1000)
    half = half_of([segments[1], segments[0], *segments[2:]])
    assert (half.isn, half.is_client, half.total, half.highest) == (1000, True, 3, 3)
    assert half.prefix == (0, 0)  # what came before the SYN was not known to begin the stream


def test_data_beside_a_syn():
    syn = Sighting(sequence=1000, flags=SYN, payload=b"abc")
    half = half_of([syn, *stream(b"abcdef", isn=1000, cuts=[(3, 6)], syn=False)])
    assert (half.prefix, half.total, half.duplicates) == ((6, digest(b"abcdef")), 6, 0)


def test_a_connection_that_began_before_the_capture():
    half = half_of(stream(DATA, syn=False))
    assert (half.isn, half.is_client, half.prefix, half.total) == (None, None, None, None)
    assert (half.highest, half.frontier) == (len(DATA), len(DATA))
    assert [turn.prefix for turn in half.turns] == [None]


def test_octets_before_the_first_that_was_seen_are_passed_over():
    segments = stream(DATA, syn=False)
    half = half_of([segments[1], segments[0], *segments[2:]])
    assert (half.duplicates, half.highest) == (1, len(DATA) - 1000)


def test_the_first_fin_and_the_first_reset_count():
    fin = Sighting(sequence=1001, flags=ACK | FIN)
    reset = Sighting(sequence=1002, flags=RST)
    rows = [Sighting(sequence=1000, flags=SYN), fin, fin, reset, reset]
    half = half_of([replace(s, time_ns=i) for i, s in enumerate(rows)])
    assert (half.fin_ns, half.fin_frame, half.total, half.rst_ns) == (1, 2, 0, 3)


def test_times_may_go_back():
    half = half_of([Sighting(time_ns=t) for t in (50, 90, 70)])
    assert (half.first_ns, half.last_ns) == (50, 90)


# --- payload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("isn", [0, 2**31 - 1, 2**32 - 3000, 2**32 - 1001, 2**32 - 2, 2**32 - 1])
def test_sequence_numbers_wrap(isn):
    half = half_of(stream(DATA, isn=isn))
    assert (half.isn, half.total, half.highest) == (isn, len(DATA), len(DATA))
    assert half.prefix == (len(DATA), digest(DATA))
    assert list(half.events)[-4:-2] == [5000, 5120]


def test_offsets_pass_32_bits():
    """Five gigabytes, of which a segment every gigabyte was captured."""
    places = [i << 30 for i in range(6)]
    half = half_of([Sighting(flags=SYN)] + [Sighting(sequence=1 + p, payload=b"x") for p in places])
    assert list(half.events)[::4] == places
    assert half.highest == places[-1] + 1


def test_a_retransmission_is_a_duplicate():
    segments = stream(DATA)
    half = half_of([*segments[:4], segments[2], *segments[4:]])
    assert (half.duplicates, half.prefix) == (1, (len(DATA), digest(DATA)))
    assert len(half.events) == 4 * 6


def test_a_retransmission_behind_a_hole_is_a_duplicate():
    cuts = [(0, 1000), (2000, 3000), (2000, 3000), (3000, 4000), (2000, 2500)]
    half = half_of(stream(DATA[:4000], cuts=cuts))
    assert (half.duplicates, half.frontier, half.highest) == (2, 1000, 4000)
    assert half.prefix == (1000, digest(DATA[:1000]))


def test_an_overlap_adds_what_is_new():
    cuts = [(0, 1000), (500, 1500), (1400, 1500), (1200, 2000)]
    half = half_of(stream(DATA[:2000], cuts=cuts))
    assert (half.duplicates, half.frontier) == (1, 2000)
    assert half.prefix == (2000, digest(DATA[:2000]))


def test_a_keep_alive_with_an_octet_is_a_duplicate():
    half = half_of([*stream(b"abc", fin=False), Sighting(sequence=1003, payload=b"\0")])
    assert (half.duplicates, half.prefix) == (1, (3, digest(b"abc")))


def test_a_snap_length_ends_the_prefix():
    half = half_of([replace(s, captured=20) for s in stream(DATA)])
    assert half.prefix == (20, digest(DATA[:20]))
    assert (half.frontier, half.total) == (len(DATA), len(DATA))
    assert half.turns[0].head == head(DATA[:20])


def test_payload_that_reaches_over_the_captured_octets():
    """The length that a header claims is no reason to read what stands behind the frame."""
    half = half_of([replace(s, captured=0) for s in stream(DATA)])
    assert half.prefix == (0, 0)
    assert half.turns[0].head == ()


@st.composite
def cut_streams(draw):
    """A stream, its cuts in any order with repetitions, and an initial sequence number."""
    data = draw(st.binary(min_size=1, max_size=300))
    inside = st.integers(1, max(len(data) - 1, 1))
    ends = {0, len(data), *draw(st.lists(inside, max_size=MAX_STRETCHES - 2))}
    cuts = list(pairwise(sorted(end for end in ends if end <= len(data))))
    again = draw(st.lists(st.sampled_from(cuts), max_size=4))
    isn = draw(st.sampled_from((0, 5, 2**31, 2**32 - 100, 2**32 - 1)))
    return data, draw(st.permutations(cuts + again)), len(again), isn


@given(cut_streams(), st.integers(1, 7))
def test_any_cut_and_order_says_the_same(drawn, size):
    data, cuts, again, isn = drawn
    half = half_of(stream(data, isn, cuts), size=size)
    assert half.prefix == (len(data), digest(data))
    assert (half.total, half.frontier, half.highest) == (len(data),) * 3
    assert half.duplicates == again
    assert len(half.events) == 4 * (len(cuts) - again)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.data())
def test_any_cut_and_order_reads_the_same_records(lengths, draw):
    data = b"".join(map(record, lengths))
    cuts = draw.draw(st.lists(st.integers(1, len(data) - 1), max_size=12, unique=True))
    parts = list(pairwise([0, *sorted(cuts), len(data)]))
    half = half_of(stream(data, 2**32 - 50, draw.draw(st.permutations(parts)), destination=HBONE))
    assert [r.length for r in half.records.records()] == lengths
    assert (half.records.lost, half.prefix) == (0, (0, 0))


# --- turns ----------------------------------------------------------------------------------------


def conversation(*texts):
    """The client's messages, each of which acknowledges one more octet of the server."""
    rows, place = [Sighting(sequence=1000, flags=SYN)], 1001
    for i, text in enumerate(texts):
        half = len(text) // 2
        for part in (text[:half], text[half:]):
            rows.append(Sighting(sequence=place, acknowledgment=50 + i, payload=part))
            place += len(part)
    return [replace(s, time_ns=10 * i) for i, s in enumerate(rows)]


def test_a_message_begins_where_the_other_side_has_answered():
    texts = [b"first message....", b"a second, longer one", b"the third"]
    half = half_of(conversation(*texts))
    places = [0, 17, 37]
    assert [(t.offset, t.time_ns) for t in half.turns] == [(0, 10), (17, 30), (37, 50)]
    whole = b"".join(texts)
    assert [t.prefix for t in half.turns] == [digest(whole[:place]) for place in places]
    assert [t.head for t in half.turns] == [head(t[: len(t) // 2]) for t in texts]


def test_a_retransmission_begins_no_message():
    rows = conversation(b"first message....", b"second message")
    late = replace(rows[2], acknowledgment=999)
    lost_before = half_of([*rows[:2], *rows[3:], late])
    assert [t.offset for t in lost_before.turns] == [0, 17]
    assert [t.offset for t in half_of([*rows, late]).turns] == [0, 17]


def test_the_prefix_of_a_message_behind_a_hole_is_unknown():
    rows = conversation(b"first message....", b"second message")
    half = half_of([*rows[:2], *rows[3:]])
    assert [(t.offset, t.prefix) for t in half.turns] == [(0, 0), (17, None)]


# --- bounds ---------------------------------------------------------------------------------------


def test_of_many_events_the_last_is_kept():
    half = half_of(stream(bytes(MAX_EVENTS + 50), size=1))
    assert len(half.events) == 4 * MAX_EVENTS
    assert list(half.events)[-8::4] == [MAX_EVENTS - 2, MAX_EVENTS + 49]


def test_of_many_messages_the_first_are_kept():
    half = half_of(conversation(*[b"message"] * (MAX_TURNS + 9)))
    assert len(half.turns) == MAX_TURNS


def test_vnis_are_kept_up_to_a_limit():
    assert half_of([Sighting(vni=vni) for vni in (5, 7, -1, 5)]).vnis == {5, 7}
    assert half_of([Sighting(vni=vni) for vni in range(1000)]).vnis == set(range(MAX_VNIS))


def test_what_is_kept_does_not_grow_with_segments():
    rng = random.Random(1)
    rows = [
        Sighting(
            sequence=rng.randrange(1 << 32), acknowledgment=i, payload=b"x" * rng.randrange(9),
            flags=rng.choice((ACK, ACK, ACK | FIN, RST)), vni=rng.randrange(1 << 24),
        )
        for i in range(20_000)
    ]  # fmt: skip
    tracker = feed(ReadableTracker(), rows)
    (half,) = tracker.halves()
    assert said(half) == said(half_of(rows))
    assert half.packets == 20_000
    assert len(half.events) <= 4 * MAX_EVENTS
    assert len(half.turns) <= MAX_TURNS
    assert len(half.vnis) == MAX_VNIS
    assert len(tracker._all[0].stream._stretches) <= MAX_STRETCHES


def test_halves_beyond_the_limit_are_counted_only():
    rows = [Sighting(sequence=i, flags=SYN) for i in range(5)]
    assert [half.isn for half in halves_of(rows, most=3)] == [0, 1, 2]
    assert feed(ReadableTracker(3), rows).passed_over == 2


def test_a_followed_half_goes_on_at_the_limit():
    (half,) = halves_of([*stream(b"abc"), Sighting(point=1)], most=1)
    assert half.total == 3


def test_the_limit_is_a_number_of_halves():
    assert ReadableTracker()._most == connections.MAX_HALVES
    assert feed(connection_tracker(1), [Sighting(), Sighting(point=1)]).passed_over == 1


@pytest.mark.parametrize("command", [flows, latency])
def test_commands_say_what_was_left_out(command, monkeypatch):
    monkeypatch.setattr(connection_tracker, "__defaults__", (5,))
    told = []
    path = SAMPLES / "ztunnel-in-pod" / "cli2.pcapng"
    result = command([CaptureSpec.parse(str(path))], on_problem=told.append)
    (problem,) = result.problems
    assert told == [problem]
    assert problem.severity == "warning"
    assert problem.message.startswith(f"{path}: more connections than can be followed")


# --- points, directions, selection ----------------------------------------------------------------


def test_points_and_directions_are_apart():
    row = Sighting(flags=SYN)
    rows = [row, replace(row, point=1), row.back(), row.back(point=1), row]
    assert [(h.point, h.source.port, h.packets) for h in halves_of(rows)] == [
        (0, 40000, 2),
        (1, 40000, 1),
        (0, 80, 1),
        (1, 80, 1),
    ]


def test_only_selected_rows_where_asked():
    rows = [Sighting(keep=0), Sighting(), Sighting(protocol=17), Sighting(flags=0)]
    assert half_of(rows, kept=True).packets == 1
    assert half_of(rows, kept=False).packets == 2


def test_the_size_of_batches_does_not_matter():
    rows = stream(DATA) + [s.back(sequence=s.sequence + 5) for s in stream(DATA)]
    wanted = [said(half) for half in halves_of(rows)]
    for size in (1, 3, 1000):
        assert [said(half) for half in halves_of(rows, size=size)] == wanted


def test_records_are_read_on_port_15008_only():
    for destination, has_records in ((HBONE, True), (SERVER, False)):
        rows = stream(record(50) + record(60), destination=destination)
        for half in halves_of(rows + [s.back() for s in rows]):
            assert (half.records is not None) == has_records
            if has_records:
                assert [r.length for r in half.records.records()] == [50, 60]


def test_records_behind_a_hole_are_read_at_the_end():
    data = record(95) * 4
    half = half_of(stream(data, cuts=[(0, 100), (200, 300), (300, 400)], destination=HBONE))
    assert [r.begin_offset for r in half.records.records()] == [0, 200, 300]


@pytest.mark.parametrize("size", [4, 5, 6, 50, 1000])
def test_the_first_record_is_kept_if_it_is_of_the_handshake(size):
    hello = record(300, 22)
    for data, kept in ((hello, hello), (hello + record(50), hello), (record(50) + hello, None)):
        half = half_of(stream(data, size=size, destination=HBONE))
        wanted = record(50)[:5] if kept is None else kept
        assert half.records.opening == (wanted if size >= 5 else b"")


def test_the_first_record_is_kept_in_order_and_as_captured():
    hello = record(300, 22)
    rows = stream(hello, cuts=[(0, 100), (0, 120), (120, 300), (300, 305)], destination=HBONE)
    assert half_of(rows).records.opening == hello
    rows[3] = replace(rows[3], captured=10)
    assert half_of(rows).records.opening == hello[:130]
    late = half_of(stream(hello, cuts=[(200, 305), (0, 200)], destination=HBONE))
    assert late.records.opening == hello[:200]
    assert half_of(stream(hello, syn=False, destination=HBONE)).records.opening == hello


def test_of_a_long_first_record_the_beginning_is_kept():
    hello = record(16_000, 22)
    assert half_of(stream(hello, destination=HBONE)).records.opening == hello[:4096]


def test_segments_that_come_again_or_late_are_kept_on_port_15008_only():
    cuts = [(0, 100), (200, 300), (0, 100), (100, 200), (150, 250), (250, 400)]
    for destination, has_records in ((HBONE, True), (SERVER, False)):
        half = half_of(stream(record(395), cuts=cuts, destination=destination))
        assert half.duplicates == 2
        assert (half.records is not None) == has_records
        if half.records is not None:
            assert half.records.repeat_count == 4
            assert half.records.repeats() == [
                (0, 100, 4_000, 4, False), (100, 200, 5_000, 5, True),
                (150, 250, 6_000, 6, False), (250, 400, 7_000, 7, True),
            ]  # fmt: skip


def test_a_keep_alive_with_an_octet_is_no_repeat():
    half = half_of(stream(record(95), cuts=[(0, 100), (99, 100), (99, 100)], destination=HBONE))
    assert (half.records.repeat_count, half.duplicates) == (0, 2)


def test_of_many_repeats_the_first_are_kept():
    cuts = [(0, 100)] * (records.MAX_REPEATS + 11)
    half = half_of(stream(record(95), cuts=cuts, destination=HBONE))
    assert half.records.repeat_count == records.MAX_REPEATS + 10
    assert len(half.records.repeats()) == records.MAX_REPEATS


@pytest.mark.parametrize("seed", range(10))
def test_hostile_segments(seed):
    """Random octets, flags and numbers on port 15008: nothing is raised, everything is bounded."""
    rng = random.Random(seed)
    rows = []
    for i in range(1_000):
        payload = rng.choice((b"", record(rng.randrange(1, 40)), rng.randbytes(rng.randrange(90))))
        rows.append(
            Sighting(
                time_ns=rng.randrange(1 << 62),
                destination=rng.choice((HBONE, SERVER)),
                sequence=rng.choice((1001 + i * 20, rng.randrange(1 << 32))),
                acknowledgment=rng.randrange(1 << 32),
                flags=rng.choice((ACK, ACK, ACK, rng.randrange(1, 512))),
                payload=payload,
                captured=rng.randrange(len(payload) + 1),
            )
        )
    for half in halves_of(rows):
        assert half.frontier <= half.highest
        assert half.prefix is None or half.prefix[0] <= half.frontier
        assert half.total is None or half.total >= 0
        if half.records is not None:
            assert half.records._held.octets == 0


# --- the compiled tracker -------------------------------------------------------------------------


needs_kernel = pytest.mark.skipif(kernel_tracker() is None, reason="the kernel is not built")


@needs_kernel
@pytest.mark.parametrize("seed", range(12))
def test_both_trackers_say_the_same_of_anything(seed):
    """Few keys and small numbers, so that everything meets: holes, overlaps, reuse, records."""
    rng = random.Random(seed)
    data = record(rng.randrange(1, 400), rng.choice((22, 23)))
    data += b"".join(record(rng.randrange(1, 80)) for _ in range(400))
    step, rows = rng.choice((7, 60, 700)), []
    ahead = {}
    for _ in range(2_000):
        up, point, port = rng.random() < 0.5, rng.randrange(3), rng.choice((80, 15008))
        place = ahead.get((up, point, port), 0) + rng.choice((0, 0, 0, 0, step, -step, 3 * step))
        place = min(max(place, -5), len(data))
        length = rng.choice((0, step, step, rng.randrange(2 * step)))
        payload = data[max(place, 0) : max(place, 0) + length]
        ahead[up, point, port] = place + len(payload)
        if rng.random() < 0.004:
            ahead[up, point, port] = 0
        row = Sighting(
            time_ns=rng.randrange(1000), point=point, destination=(4, 0, 2, port),
            source=(4, 0, 1, 40000), sequence=place - 49 * (rng.random() < 0.002),
            acknowledgment=rng.randrange(3), vni=rng.choice((-1, -1, 5, 7)),
            flags=ACK if rng.random() < 0.97 else rng.randrange(1, 512), payload=payload,
            captured=None if rng.random() < 0.8 else rng.randrange(len(payload) + 1),
        )  # fmt: skip
        rows.append(row if up else row.back())
    halves_of([Sighting(sequence=-1, flags=SYN, source=(4, 0, 1, 40000),
                        destination=(4, 0, 2, port)) for port in (80, 15008)] + rows,
              size=rng.choice((1, 100, 4000)))  # fmt: skip


@needs_kernel
def test_the_compiled_table_grows():
    rows = [
        Sighting(source=(4 + i % 2 * 2, i, i << 40 | i, i % 65536), point=i % 5, sequence=i,
                 payload=bytes([i % 256]) * (i % 40))
        for i in range(6_000)
    ]  # fmt: skip
    halves = halves_of(rows + rows)
    assert [half.packets for half in halves] == [2] * len(rows)


@needs_kernel
@pytest.mark.parametrize("size", [1, 7, 8, 9, 4095, 4096, 4097, 8192, 10_001, 65_000])
def test_long_segments_have_the_same_digest(size):
    data = random.Random(size).randbytes(3 * size)
    for cuts in ([(0, size), (size, 3 * size)], [(size, 3 * size), (0, size)]):
        assert half_of(stream(data, cuts=cuts)).prefix == (len(data), digest(data))


@needs_kernel
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_both_trackers_say_the_same_of_recorded_captures(path):
    readable, kernel = ReadableTracker(), kernel_tracker()
    problems = []
    inputs = Inputs(
        [CaptureSpec.parse(str(path))], DecodeSettings(), Selector(), problems.append, None
    )
    for read in inputs.batches():
        for tracker in (readable, kernel):
            tracker.update(read.frames, read.decoded, read.capture, kept=False)
    assert problems == []
    wanted = [said(half) for half in readable.halves()]
    assert [said(half) for half in kernel.halves()] == wanted
    assert [said(half) for half in kernel.halves()] == wanted  # asked again


@needs_kernel
def test_both_trackers_say_the_same_of_mutated_frames():
    frames = [frame for path in CAPTURES[:4] for frame in frames_of(path, 400)]
    readable, kernel = ReadableTracker(), kernel_tracker()
    for seed in range(3):
        read = batch_of(list(mutated(frames, 4_000, seed)))
        for i in range(read.count):
            read.time_ns[i] = i
        for d in decode_all(kernel_decoder(), read):
            for tracker in (readable, kernel):
                tracker.update(read, d, seed, kept=False)
    wanted = [said(half) for half in readable.halves()]
    assert wanted
    assert [said(half) for half in kernel.halves()] == wanted


@needs_kernel
def test_the_compiled_tracker_stays_in_its_batch():
    """Offsets and counts that a batch does not have are refused or read as nothing."""
    tracker = kernel_tracker()
    frames, d = batch([Sighting(flags=SYN), Sighting(sequence=1, payload=b"abc" * 9)])
    for offset, captured in ((-5, 20), (10, 4_000_000_000), (1 << 62, 5), (-(1 << 63), 1 << 31)):
        frames.offset[1], frames.captured_bytes[1] = offset, captured
        tracker.update(frames, d, 0, kept=False)
    d.count = 3
    with pytest.raises(ValueError, match="rows"):
        tracker.update(frames, d, 0, kept=False)
    d.count, d.tunnel_count[0], d.tunnel_start[0] = 2, 1, 4_000_000_000
    with pytest.raises(ValueError, match="tunnels"):
        tracker.update(frames, d, 0, kept=False)


@needs_kernel
@pytest.mark.parametrize(
    ("module", "limit", "value"),
    [
        (records, "MAX_PENDING", 3),
        (records, "MAX_PENDING_BYTES", 250),
        (records, "MAX_HELD_BYTES", 400),
        (records, "MAX_RECORDS", 13),
        (records, "MAX_OPENING_BYTES", 50),
        (records, "MAX_OPENINGS_BYTES", 150),
        (records, "MAX_REPEATS", 3),
        (connections, "MAX_EVENTS", 9),
        (connections, "MAX_TURNS", 5),
    ],
)
def test_both_trackers_have_the_same_limits(module, limit, value, monkeypatch):
    monkeypatch.setattr(module, limit, value)
    data = record(95, 22) + record(95) * 59
    cuts = [(i, i + 100) for i in range(0, len(data), 100)]
    rng = random.Random(7)
    for _ in range(20):
        some = cuts[:1] + rng.sample(cuts, 40)
        rows = []
        for port in (15008, 15008, 80):
            rows += stream(data, cuts=some, destination=(4, 0, len(rows) + 9, port))
        rows = [replace(s, acknowledgment=i) for i, s in enumerate(rows)]
        halves_of(rng.sample(rows, len(rows)))

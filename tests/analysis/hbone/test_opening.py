# SPDX-License-Identifier: Apache-2.0
"""Opening HBONE that was made for the test: what is read, and what is refused by name."""

from __future__ import annotations

import random
import shutil
import ssl
import stat
import tempfile
from pathlib import Path

import pytest

from genevecap.analysis.hbone import open_hbone, opening, runs
from genevecap.analysis.results import FrameRef
from genevecap.capture.spec import CaptureSpec
from genevecap.decode.settings import DecodeSettings
from genevecap.errors import GenevecapError, ToolMissing, UnreadableCapture, UsageError

from . import traffic
from .traffic import STEP, T0, Session, cut, tcp_packets, vxlan, write_pcap, write_pcapng

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")

UP, DOWN = b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 20, b"\0\xff\r\n<&\"'>" * 4000
FORWARDED = ("forwarded", 'for="10.0.0.1:5555";host=server')


class Contents:
    """Takes DATA in and puts it together."""

    def __init__(self):
        self.pieces = []

    def __call__(self, piece):
        self.pieces.append(piece)

    def of(self, stream, *, upward, inner=False):
        found = b""
        for piece in self.pieces:
            depth = piece.stream.connection.outer is not None
            if (piece.stream.stream, piece.upward, depth) == (stream, upward, inner):
                assert piece.offset == len(found)
                found += piece.payload
        return found


@pytest.fixture
def keylog(tmp_path):
    return tmp_path / "keys.txt"


@pytest.fixture
def session(tmp_path, keylog):
    """One connection with two tunnels: one that carries something, one that is refused."""
    session = Session(tmp_path, keylog)
    session.connect(1, FORWARDED, ("traceparent", "00-1-2-03"), ("baggage", "a=1,b=2"))
    session.answer(1)
    session.data(True, 1, UP)
    session.data(False, 1, DOWN)
    session.data(False, 1, b"", last=True)
    session.data(True, 1, b"bye", last=True)
    session.connect(3)
    session.answer(3, 503, end=True)
    session.reset(False, 3)
    return session


def read(*paths, keylog=None, **options):
    options.setdefault("on_data", Contents())
    reading = open_hbone(
        [CaptureSpec.parse(str(path)) for path in paths],
        settings=DecodeSettings(),
        keylogs=[] if keylog is None else [str(keylog)],
        **options,
    )
    return reading, options["on_data"]


def check_whole(reading, contents):
    assert reading.refused == ()
    (connection,) = reading.opened
    assert connection.incomplete == ()
    first, second = connection.streams
    assert first.authority == "10.0.0.9:8080"
    assert (first.forwarded, first.forwarded_for) == (FORWARDED[1], "10.0.0.1:5555")
    assert (first.traceparent, first.baggage) == ("00-1-2-03", "a=1,b=2")
    assert (first.status, first.reset, first.inner) == (200, None, None)
    assert contents.of(1, upward=True) == UP + b"bye"
    assert contents.of(1, upward=False) == DOWN
    assert (first.up_bytes, first.down_bytes) == (len(UP) + 3, len(DOWN))
    assert first.up_whole
    assert first.down_whole
    assert (second.status, second.forwarded, second.up_bytes) == (503, None, 0)
    assert second.reset.code == 8
    assert not second.reset.by_client
    assert second.reset.time_ns >= second.end_down_ns == second.status_ns
    return connection


@needs_tshark
@pytest.mark.parametrize(("sent", "read_as"), [(True, True), (False, False), (None, False)])
def test_whether_the_client_sent_a_certificate(tmp_path, keylog, sent, read_as):
    """An empty Certificate, where the server asked and the client has none, is none."""
    session = Session(tmp_path, keylog, client_certificate=sent)
    session.connect(1)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    (connection,) = read(path, keylog=keylog)[0].opened
    assert connection.client_certificate is read_as


@needs_tshark
def test_everything_of_a_connection_is_read(session, tmp_path, keylog):
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    connection = check_whole(*read(path, keylog=keylog))
    assert connection.id.client == "10.0.0.1:40000"
    assert connection.id.server == "10.0.0.9:15008"
    assert (connection.id.client_isn, connection.id.syn_ns) == (77, T0)
    assert connection.id.client_random.hex() in keylog.read_text()
    assert connection.point == 0
    assert connection.seen_as == ()


@needs_tshark
def test_times_are_those_of_the_frames_that_complete_a_record(session, tmp_path, keylog):
    packets = tcp_packets(session.flights, mss=50)
    path = write_pcap(tmp_path / "a.pcap", packets)
    reading, contents = read(path, keylog=keylog)
    first = check_whole(reading, contents).streams[0]
    # Each flight after the handshake is one record, so its last segment completes it.
    sent = 0
    ends = []
    for flight in session.flights:
        sent += -(-len(flight.octets) // 50)
        ends.append(T0 + (2 + sent) * STEP)
    assert {first.connect_ns, first.status_ns, first.end_up_ns, first.end_down_ns} <= set(ends)
    assert first.connect_ns < first.status_ns < first.end_down_ns < first.end_up_ns
    number = (first.connect_ns - T0) // STEP + 1
    assert first.connect_frame == FrameRef(capture=str(path), frame=number)
    for piece in contents.pieces:
        assert piece.time_ns == T0 + (piece.frame.frame - 1) * STEP


@needs_tshark
@pytest.mark.parametrize("mss", [9, 700, 16_000])
def test_it_does_not_matter_how_tcp_carries_it(session, tmp_path, keylog, mss):
    packets = tcp_packets(session.flights, mss=mss)
    rng = random.Random(mss)
    packets += [packet._replace(time_ns=packet.time_ns + 3) for packet in rng.sample(packets, 9)]
    rng.shuffle(packets[3:])
    # Neighbours change places, in the file and in time.
    for i in range(4, len(packets) - 1, 5):
        packets[i], packets[i + 1] = packets[i + 1], packets[i]
    path = write_pcap(tmp_path / "a.pcap", [vxlan(packet) for packet in packets])
    check_whole(*read(path, keylog=keylog))


@needs_tshark
def test_segments_that_were_cut_again_and_merged_overlap(session, tmp_path, keylog):
    small, large = (tcp_packets(session.flights, mss=mss) for mss in (333, 5000))
    path = write_pcap(
        tmp_path / "a.pcap", sorted([*small[:40], *large[3:]], key=lambda packet: packet.time_ns)
    )
    check_whole(*read(path, keylog=keylog))


@needs_tshark
def test_keys_that_a_capture_carries_are_used(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    path = write_pcapng(tmp_path / "a.pcapng", [packets], secrets=keylog.read_bytes())
    check_whole(*read(path))


@needs_tshark
def test_the_point_is_the_one_that_ranks_first_among_the_whole_ones(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    packets = [vxlan(packet) for packet in packets]
    short = [cut(packet, 150) for packet in packets]
    holed = packets[:12] + packets[13:]
    paths = [
        write_pcap(tmp_path / f"{name}.pcap", some)
        for name, some in (("short", short), ("holed", holed), ("one", packets), ("two", packets))
    ]
    assert check_whole(*read(*paths, keylog=keylog)).point == 2
    assert check_whole(*read(*paths, keylog=keylog, rank=lambda one: -one.point)).point == 3
    kept = lambda one: None if one.point > 1 else one.point  # noqa: E731
    reading, _ = read(*paths, keylog=keylog, rank=kept)
    assert reading.opened[0].point == 1
    assert reading.opened[0].incomplete
    reading, _ = read(*paths, keylog=keylog, rank=lambda one: None)
    assert "are left out" in reading.refused[0].reason


@needs_tshark
def test_one_connection_under_two_addresses_is_read_once(session, tmp_path, keylog):
    ends = {"client": ("192.168.0.7", 31000), "isn": (5, 6), "start_ns": T0 + 10}
    one = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    other = write_pcap(tmp_path / "b.pcap", tcp_packets(session.flights, **ends))
    connection = check_whole(*read(one, other, keylog=keylog))
    assert connection.seen_as == (("192.168.0.7:31000", "10.0.0.9:15008"),)


@needs_tshark
def test_a_port_that_is_used_again_is_another_connection(tmp_path, keylog):
    packets = []
    for turn in range(2):
        session = Session(tmp_path, keylog)
        session.connect(1)
        session.data(True, 1, b"turn %d" % turn)
        packets += tcp_packets(session.flights, isn=(turn * 5000, 9), start_ns=T0 + turn * 10**9)
    reading, contents = read(write_pcap(tmp_path / "a.pcap", packets), keylog=keylog)
    assert [one.id.client_isn for one in reading.opened] == [0, 5000]
    assert [piece.payload for piece in contents.pieces] == [b"turn 0", b"turn 1"]


# --- what is refused, and what is read in part -------------------------------------------------


def refusal(*paths, keylog=None):
    reading, contents = read(*paths, keylog=keylog)
    assert reading.opened == ()
    assert contents.pieces == []
    (refused,) = reading.refused
    return refused.reason


def test_what_cannot_be_opened_is_refused_by_name(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    begun = [packets[0], packets[2], *packets[4:]]

    def reason(some, keys=keylog):
        return refusal(write_pcap(tmp_path / "a.pcap", some), keylog=keys)

    cut_frames = [cut(packet, 96) for packet in packets]
    wire = packets[3].wire_bytes
    assert reason(cut_frames) == f"its frames are cut: frame 4 holds 96 of {wire} octets"
    assert "its SYN is not in it" in reason(packets[1:])
    assert "nothing that the client sent" in reason(packets[:1] * 3)
    assert "SYN-ACK is not in the capture" in reason([packets[0], *packets[3:]])
    assert "first octets are not in the capture" in reason([*packets[:3], *packets[5:]])
    assert "SYN-ACK" in reason(begun)
    lines = keylog.read_text().splitlines()
    other = tmp_path / "other.txt"
    other.write_text("\n".join(line for line in lines if "SERVER_TRAFFIC_SECRET_0" not in line))
    assert "has no SERVER_TRAFFIC_SECRET_0 for its client random" in reason(packets, other)
    random_hex = lines[-1].split()[1]
    other.write_text("\n".join(lines).replace(random_hex, random_hex[::-1]))
    assert f"no keys are known for its client random {random_hex}" == reason(packets, other)
    assert "no keys are known" in reason(packets, None)


def test_plain_text_on_the_port_is_not_tls(tmp_path, session, keylog):
    flights = [traffic.Flight(True, b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n")]
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(flights))
    assert refusal(path, keylog=keylog) == "not TLS: it begins with 47 45 54 20 2f"


@needs_tshark
def test_a_hole_ends_one_direction_and_says_so(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    # The server's last record of DOWN; the client's direction is whole.
    lost = max(i for i, one in enumerate(packets) if len(one.octets) == 1440 and i > 12)
    reading, contents = read(
        write_pcap(tmp_path / "a.pcap", packets[:lost] + packets[lost + 1 :]), keylog=keylog
    )
    (connection,) = reading.opened
    first = connection.streams[0]
    assert connection.incomplete[0].startswith("not in the capture: octets ")
    assert connection.incomplete[0].endswith("of the server's")
    assert first.up_whole
    assert first.up_bytes == len(UP) + 3
    assert not first.down_whole
    assert first.end_down_ns is None
    assert DOWN.startswith(contents.of(1, upward=False))
    assert first.down_bytes == len(contents.of(1, upward=False)) < len(DOWN)


@needs_tshark
def test_a_lost_end_is_noticed_by_its_acknowledgment(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    fins = packets[-3:]
    # Only the last data segment and both FINs are lost; the last ACK acknowledges them.
    path = write_pcap(tmp_path / "a.pcap", [*packets[:-4], fins[2]])
    reading, _ = read(path, keylog=keylog)
    assert "what follows octet" in reading.opened[0].incomplete[0]


@needs_tshark
def test_an_octet_that_is_wrong_ends_its_direction(session, tmp_path, keylog):
    packets = tcp_packets(session.flights)
    at = next(i for i, one in enumerate(packets) if len(one.octets) == 1440 and i > 12)
    octets = bytearray(packets[at].octets)
    octets[-700] ^= 1
    packets[at] = packets[at]._replace(octets=bytes(octets))
    reading, contents = read(write_pcap(tmp_path / "a.pcap", packets), keylog=keylog)
    (connection,) = reading.opened
    assert "does not open with these keys" in connection.incomplete[0]
    for upward, sent in ((True, UP + b"bye"), (False, DOWN)):
        assert sent.startswith(contents.of(1, upward=upward))
    first = connection.streams[0]
    assert not (first.up_whole and first.down_whole)


@needs_tshark
def test_keys_that_do_not_fit_give_nothing(session, tmp_path, keylog):
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    lines = [line.split() for line in keylog.read_text().splitlines() if line[0] != "#"]
    keylog.write_text("".join(f"{a} {b} {c[::-1]}\n" for a, b, c in lines))
    reading, contents = read(path, keylog=keylog)
    (connection,) = reading.opened
    assert connection.streams == ()
    assert len(connection.incomplete) == 2
    assert contents.pieces == []


@needs_tshark
def test_what_is_not_connect_is_no_tunnel(tmp_path, keylog):
    session = Session(tmp_path, keylog)
    session.h2[True].send_headers(
        1, [(":method", "GET"), (":authority", "x"), (":scheme", "http"), (":path", "/")]
    )
    session.send(True)
    session.answer(1)
    session.data(False, 1, b"secret of the application")
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, contents = read(path, keylog=keylog)
    assert reading.opened[0].streams == ()
    assert contents.pieces == []


@needs_tshark
def test_padding_and_long_headers_and_interim_answers(tmp_path, keylog):
    session = Session(tmp_path, keylog)
    session.connect(1, ("baggage", "x" * 40_000), ("forwarded", "for=10.0.0.1"))
    session.h2[False].send_headers(1, [(":status", "103")])
    session.send(False)
    session.answer(1)
    session.data(True, 1, b"padded", padding=200)
    session.data(True, 1, b"", last=True, padding=3)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, contents = read(path, keylog=keylog)
    (stream,) = reading.opened[0].streams
    assert reading.opened[0].incomplete == ()
    assert len(stream.baggage) == 40_000
    assert stream.forwarded_for == "10.0.0.1"
    assert stream.status == 200
    assert contents.of(1, upward=True) == b"padded"
    assert stream.end_up_ns is not None


@needs_tshark
def test_a_tunnel_that_carries_http2_is_not_confused_with_it(tmp_path, keylog):
    inner = Session(tmp_path, tmp_path / "unused.txt")
    plain = inner.h2[True]
    plain.send_headers(3, [(":method", "CONNECT"), (":authority", "inside")], end_stream=False)
    octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + plain.data_to_send()
    session = Session(tmp_path, keylog)
    session.connect(1)
    session.answer(1)
    session.data(True, 1, octets)
    session.data(False, 1, octets[24:], last=True)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, contents = read(path, keylog=keylog)
    (stream,) = reading.opened[0].streams
    assert reading.opened[0].incomplete == ()
    assert stream.authority == "10.0.0.9:8080"
    assert contents.of(1, upward=True) == octets


@needs_tshark
def test_what_is_not_http2_is_said_to_be_none(tmp_path, keylog):
    session = Session(tmp_path, keylog, alpn=("http/1.1",))
    session.raw(True, b"GET / HTTP/1.1\r\n\r\n")
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, _ = read(path, keylog=keylog)
    (connection,) = reading.opened
    assert connection.streams == ()
    assert any("HTTP/2 frame" in reason for reason in connection.incomplete)


@needs_tshark
def test_an_http2_frame_that_is_not_there_to_its_end_is_not_counted(session, tmp_path, keylog):
    session.connect(5)
    session.raw(True, (100).to_bytes(3) + b"\0\0" + (5).to_bytes(4) + b"x" * 30)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, contents = read(path, keylog=keylog)
    (connection,) = reading.opened
    assert connection.incomplete == (
        "39 octets at the end of what the client sent are no whole HTTP/2 frame",
    )
    first, _, third = connection.streams
    assert first.up_whole  # it had ended
    assert (third.up_whole, third.down_whole, third.up_bytes) == (False, True, 0)
    assert contents.of(1, upward=True) == UP + b"bye"


@needs_tshark
def test_tls_1_2_is_refused(tmp_path, keylog):
    session = Session(tmp_path, keylog, version=ssl.TLSVersion.TLSv1_2)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    assert "no keys are known" in refusal(path, keylog=keylog)


def damage(packets, rng):
    """Return the packets with a few things wrong, as captures have them; and whether it ends early.

    Lost, repeated, changed, cut, late, ended early, in a tunnel.
    """
    packets, ended = list(packets), False
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(packets))
        match rng.randrange(7):
            case 0:
                del packets[i]
            case 1:
                packets.insert(i, rng.choice(packets))
            case 2:
                octets = bytearray(packets[i].octets)
                octets[rng.randrange(len(octets))] ^= rng.randint(1, 255)
                packets[i] = packets[i]._replace(octets=bytes(octets))
            case 3:
                packets[i] = cut(packets[i], rng.randrange(20, 200))
            case 4:
                packets, ended = packets[: i + 1], True
            case 5:
                late = packets[i].time_ns + rng.randint(-5, 5) * STEP
                packets[i] = packets[i]._replace(time_ns=late)
            case _:
                packets[i] = vxlan(packets[i])
    return packets, ended


def check_never_wrong(tmp_path, seeds):
    keylog = tmp_path / "keys.txt"
    session = double(tmp_path, keylog)
    session.connect(5, FORWARDED)
    session.answer(5)
    session.data(True, 5, UP)
    session.data(False, 5, DOWN[:20000], last=True)
    sent = {(5, False): (UP, DOWN[:20000]), (1, True): (UP, DOWN)}
    packets = tcp_packets(session.flights)
    for seed in seeds:
        damaged, ended = damage(packets, random.Random(seed))
        reading, contents = read(write_pcap(tmp_path / "a.pcap", damaged), keylog=keylog)
        assert len(reading.opened) + len(reading.refused) <= 2
        streams = [stream for one in reading.opened for stream in one.streams]
        for stream in streams + [s for one in streams if one.inner for s in one.inner.streams]:
            inner = stream.id.connection.outer is not None
            if (stream.id.stream, inner) not in sent:
                continue
            up, down = sent[stream.id.stream, inner]
            for upward, octets, count, whole in (
                (True, up, stream.up_bytes, stream.up_whole),
                (False, down, stream.down_bytes, stream.down_whole),
            ):
                found = contents.of(stream.id.stream, upward=upward, inner=inner)
                assert octets[:count] == found
                assert ended or not whole or found == octets


@needs_tshark
def test_whatever_is_wrong_nothing_is_read_wrong(tmp_path):
    check_never_wrong(tmp_path, range(12))


@needs_tshark
@pytest.mark.long
def test_whatever_else_is_wrong_nothing_is_read_wrong(tmp_path):
    check_never_wrong(tmp_path, range(12, 400))


# --- double HBONE ------------------------------------------------------------------------------


def double(tmp_path, keylog):
    """Return a session whose stream 1 carries an HBONE connection with one tunnel."""
    inside = Session(tmp_path, keylog)
    inside.connect(1, FORWARDED)
    inside.answer(1)
    inside.data(True, 1, UP)
    inside.data(False, 1, DOWN, last=True)
    session = Session(tmp_path, keylog)
    session.connect(1)
    session.answer(1)
    for number, (upward, octets) in enumerate(inside.flights):
        # Cut so that neither records nor the ClientHello fit DATA frames.
        size = 9000 if number else 40
        for at in range(0, len(octets), size):
            session.data(upward, 1, octets[at : at + size])
    return session


@needs_tshark
def test_hbone_inside_hbone_is_opened_too(tmp_path, keylog):
    session = double(tmp_path, keylog)
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, contents = read(path, keylog=keylog)
    (connection,) = reading.opened
    inner = connection.streams[0].inner
    assert connection.incomplete == inner.incomplete == ()
    assert inner.id.outer == connection.streams[0].id
    assert inner.id.client == connection.id.client
    assert inner.id.client_isn is None
    (stream,) = inner.streams
    assert stream.forwarded_for == "10.0.0.1:5555"
    assert (stream.status, stream.up_bytes, stream.down_bytes) == (200, len(UP), len(DOWN))
    assert contents.of(1, upward=True, inner=True) == UP
    assert contents.of(1, upward=False, inner=True) == DOWN
    outer = connection.streams[0]
    assert outer.status_ns < inner.id.syn_ns < stream.connect_ns < stream.status_ns
    assert stream.connect_frame.capture == str(path)


@needs_tshark
def test_without_the_inner_keys_it_stays_closed(tmp_path, keylog):
    session = double(tmp_path, keylog)
    lines = keylog.read_text().splitlines(keepends=True)
    last = lines[-1].split()[1]
    keylog.write_text("".join(line for line in lines if last in line))
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    reading, _ = read(path, keylog=keylog)
    assert reading.opened[0].streams[0].inner is None
    assert reading.opened[0].incomplete == ()


# --- tshark, files and arguments -----------------------------------------------------------------


@needs_tshark
def test_many_connections_take_several_runs(tmp_path, keylog, monkeypatch):
    monkeypatch.setattr(runs, "RUN_CONNECTIONS", 2)
    packets = []
    for number in range(5):
        session = Session(tmp_path, keylog)
        session.connect(1)
        session.data(True, 1, b"%d" % number)
        packets += tcp_packets(
            session.flights, client=("10.0.0.1", 40000 + number), start_ns=T0 + number
        )
    reading, contents = read(write_pcap(tmp_path / "a.pcap", packets), keylog=keylog)
    assert [one.id.client[-1] for one in reading.opened] == list("01234")
    assert sorted(piece.payload for piece in contents.pieces) == [b"%d" % i for i in range(5)]


def fake_tshark(folder, body):
    path = folder / "bin" / "tshark"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path.parent


@needs_tshark
def test_the_connection_at_which_tshark_ends_costs_no_other(tmp_path, keylog, monkeypatch):
    packets = []
    for number in range(3):
        session = Session(tmp_path, keylog)
        session.connect(1)
        session.data(True, 1, b"%d" % number)
        packets += tcp_packets(session.flights, client=("10.0.0.1", 40000 + number))
    path = write_pcap(tmp_path / "a.pcap", packets)
    real = shutil.which("tshark")
    # The first run says no more after some packets of the second connection.
    folder = fake_tshark(
        tmp_path,
        f'case "$*" in *-r*) ;; *) exec {real} "$@";; esac\n'
        f'if mkdir {tmp_path}/once 2>/dev/null; then {real} "$@" -c 25; else exec {real} "$@"; fi',
    )
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    reading, _ = read(path, keylog=keylog)
    first, second, third = reading.opened
    assert first.incomplete == third.incomplete == ()
    assert [stream.up_bytes for stream in (*first.streams, *third.streams)] == [1, 1]
    assert "tshark ended in the middle" in second.incomplete[0]


@needs_tshark
def test_a_tshark_that_hangs_is_ended(session, tmp_path, keylog, monkeypatch):
    monkeypatch.setattr("genevecap.analysis.hbone.dissection.SILENCE_S", 0.5)
    real = shutil.which("tshark")
    folder = fake_tshark(tmp_path, f'case "$*" in *-r*) exec sleep 60;; *) exec {real} "$@";; esac')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    with pytest.raises(GenevecapError, match=r"said nothing for 0\.5 s"):
        read(path, keylog=keylog)


@needs_tshark
def test_the_users_own_settings_of_tshark_do_not_matter(session, tmp_path, keylog, monkeypatch):
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "preferences").write_text(
        "tls.desegment_ssl_records: FALSE\ntls.desegment_ssl_application_data: FALSE\n"
        "tcp.desegment_tcp_streams: FALSE\ntcp.analyze_sequence_numbers: FALSE\n"
        "tcp.check_checksum: TRUE\ntls.keylog_file: /nonexistent\n"
    )
    (folder / "disabled_protos").write_text("tls\nhttp2\n")
    (folder / "decode_as_entries").write_text("decode_as_entry: tcp.port,15008,http,http\n")
    monkeypatch.setenv("WIRESHARK_CONFIG_DIR", str(folder))
    check_whole(*read(write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights)), keylog=keylog))


@needs_tshark
def test_temporary_files_are_private_and_go(session, tmp_path, keylog, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    seen = {}

    def on_data(piece):
        for path in (tmp_path / "tmp").rglob("*"):
            seen[path.name] = stat.filemode(path.stat().st_mode)
            if path.is_file():
                assert UP[:40] not in path.read_bytes()

    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    read(path, keylog=keylog, on_data=on_data)
    assert seen.pop("hbone.pcap") == seen.pop("keys") == "-rw-------"
    assert set(seen.values()) == {"drwx------"}
    assert list((tmp_path / "tmp").iterdir()) == []

    def fail(piece):
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError):
        read(path, keylog=keylog, on_data=fail)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_tshark_it_says_how_to_get_it(session, tmp_path, keylog, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    with pytest.raises(ToolMissing, match="opening HBONE needs tshark"):
        read(path, keylog=keylog)
    # Nothing to open needs nothing.
    assert read(path)[0].refused


def test_what_cannot_be_read_twice_is_refused():
    with pytest.raises(UsageError, match="save it first"):
        read("-")


def test_a_key_log_that_cannot_be_used_is_an_error(tmp_path, samples):
    path = samples / "geneve-ovs.pcapng"
    with pytest.raises(UnreadableCapture, match="cannot be read"):
        read(path, keylog=tmp_path / "missing")
    with pytest.raises(GenevecapError, match="not a TLS key log"):
        read(path, keylog=path)


def test_a_capture_that_cannot_be_read_is_told_and_the_others_go_on(tmp_path, samples):
    told = []
    reading, _ = read(tmp_path / "missing", samples / "geneve-ovs.pcapng", on_problem=told.append)
    assert len(told) == 1
    assert reading == opening.HboneReading(opened=(), refused=())


def test_no_room_for_temporary_files_is_one_error(session, tmp_path, keylog, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    monkeypatch.setattr(opening, "find_tshark", lambda purpose: "tshark")
    path = write_pcap(tmp_path / "a.pcap", tcp_packets(session.flights))
    with pytest.raises(GenevecapError, match="temporary files"):
        read(path, keylog=keylog)
    assert not Path(tempfile.tempdir).exists()

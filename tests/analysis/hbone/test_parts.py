# SPDX-License-Identifier: Apache-2.0
"""The parts that opening HBONE is made of, each for itself: keys to streams."""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
import tempfile

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genevecap.analysis.hbone import choice, container, dissection, keys, recording, sightings
from genevecap.analysis.hbone.container import Container, checksum
from genevecap.analysis.hbone.keys import KeyLog
from genevecap.analysis.hbone.recording import Recording, TlsRecord, open_spool, tls_records
from genevecap.analysis.hbone.sightings import Coverage
from genevecap.analysis.hbone.streams import forwarded_for
from genevecap.errors import GenevecapError

RANDOM = bytes(range(32))
LABELS = (
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
)


def lines(random=RANDOM, labels=LABELS):
    return "".join(f"{label} {random.hex()} {'ab' * 32}\n" for label in labels).encode()


# --- keys ----------------------------------------------------------------------------------------


def test_only_lines_of_the_connections_asked_for_are_given_out():
    log = KeyLog()
    other = bytes(32)
    assert log.add(lines() + b"# comment\r\n\xff\n" + lines(other).replace(b"\n", b"\r\n")) == 8
    assert log.excerpt([other]) == lines(other)
    assert log.excerpt([RANDOM]) == lines()
    assert log.excerpt([b"unknown"]) == b""
    assert log.lacks(RANDOM) is None


def test_what_is_lacking_is_named():
    log = KeyLog()
    log.add(lines(labels=LABELS[1:]))
    assert log.lacks(RANDOM).startswith("the key log has no CLIENT_HANDSHAKE_TRAFFIC_SECRET for")
    assert log.lacks(bytes(32)).startswith("no keys are known")


def test_a_key_log_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "MAX_KEYLOG_BYTES", 100)
    path = tmp_path / "keys"
    path.write_bytes(lines())
    with pytest.raises(GenevecapError, match="give an excerpt"):
        KeyLog().read(str(path))
    log = KeyLog()
    log.add(lines())
    assert log.lacks(RANDOM)  # of what captures carry, too, no more is kept


def test_an_empty_key_log_is_one(tmp_path):
    path = tmp_path / "keys"
    path.write_bytes(b"\n")
    KeyLog().read(str(path))


# --- which octets are there ----------------------------------------------------------------------

segments = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), max_size=30)


@given(segments)
def test_coverage_is_what_a_set_of_octets_would_say(ranges):
    coverage, known = Coverage(base=0), set()
    for begin, size in ranges:
        octets = set(range(begin, begin + size))
        if octets:
            assert coverage.add(begin, begin + size) == bool(octets - known)
        known |= octets
        end = next(i for i in range(100) if i not in known)
        assert coverage.end == end
        inside = {i for a, b in coverage.islands for i in range(a, b)}
        assert inside == {i for i in known if i > end}
        edges = [edge for island in coverage.islands for edge in island]
        assert edges == sorted(set(edges))
        assert (coverage.hole() is None) == (not inside)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**34), st.integers(-(2**31), 2**31 - 1))
def test_sequence_numbers_wrap(base, end, distance):
    coverage = Coverage(base=base, end=end)
    assert coverage.place((base + end + distance) % 2**32) == end + distance


def test_pieces_that_wait_have_a_limit(monkeypatch):
    monkeypatch.setattr(sightings, "MAX_ISLANDS", 3)
    coverage = Coverage(base=0)
    assert [coverage.add(i, i + 1) for i in (10, 20, 30, 40, 20)] == [True] * 3 + [False] * 2
    assert coverage.lost_track
    coverage.add(0, 31)
    assert coverage.hole() == "what follows octet 31"


def test_connections_have_a_limit(tmp_path, monkeypatch):
    from genevecap.analysis.hbone import open_hbone
    from genevecap.capture.spec import CaptureSpec
    from genevecap.decode.settings import DecodeSettings

    from .traffic import tcp_packets, write_pcap

    monkeypatch.setattr(sightings, "MAX_SIGHTINGS", 2)
    packets = [tcp_packets([], client=("10.0.0.1", 40000 + i))[0] for i in range(5)]
    path = write_pcap(tmp_path / "a.pcap", packets)
    reading = open_hbone([CaptureSpec.parse(str(path))], settings=DecodeSettings())
    assert (len(reading.refused), reading.left_out) == (2, 3)


# --- which point ---------------------------------------------------------------------------------


def sighting(point, *, first_ns, isn=1, client="10.0.0.1:40000", hello=True):
    one = sightings.Sighting(
        point=point, capture=0, client=client, server="s", client_isn=isn, first_ns=first_ns
    )
    one.up.base = one.down.base = 0
    if hello:
        one.head[:] = b"\x16\x03\x01\0\x80\x01\0\0\x7c\x03\x03" + RANDOM
        one.up.end = 43
    return one


def test_the_point_that_saw_it_first_is_read():
    log = KeyLog()
    log.add(lines())
    group = [sighting(0, first_ns=5), sighting(1, first_ns=3), sighting(2, first_ns=3)]
    (chosen,), refused = choice.choose(group, log, choice.earliest)
    assert (chosen.sighting.point, refused) == (1, ())


def test_a_sighting_without_its_beginning_belongs_to_the_others():
    log = KeyLog()
    log.add(lines())
    group = [sighting(0, first_ns=1, hello=False), sighting(1, first_ns=2)]
    translated = sighting(2, first_ns=3, client="10.9.9.9:1", isn=7)
    (chosen,), refused = choice.choose([*group, translated], log, choice.earliest)
    assert (chosen.sighting.point, refused) == (1, ())
    assert chosen.seen_as == (("10.9.9.9:1", "s"),)


# --- octets in order -----------------------------------------------------------------------------


@given(st.data())
def test_octets_are_released_in_order_whatever_the_order_they_came_in(data):
    sent = {True: bytes(range(100, 160)), False: bytes(range(50))}
    notes = []
    for upward, octets in sent.items():
        cuts = sorted(data.draw(st.sets(st.integers(1, len(octets) - 1))) | {0, len(octets)})
        for begin, end in itertools.pairwise(cuts):
            overlap = data.draw(st.integers(0, 5))
            notes.append((upward, begin, octets[begin : end + overlap]))
    notes = data.draw(st.permutations(notes))
    repeated = data.draw(st.lists(st.sampled_from(notes), max_size=4))
    with open_spool(tempfile.gettempdir()) as spool:
        kept = Recording(spool)
        for time_ns, (upward, offset, octets) in enumerate([*notes, *repeated]):
            kept.write(upward, offset, octets, time_ns, time_ns + 1)
        pieces = list(kept.pieces())
    for upward, octets in sent.items():
        mine = [piece for piece in pieces if piece.upward == upward]
        assert b"".join(piece.octets for piece in mine) == octets
        # An octet is released by the last segment that it needs.
        released = 0
        for piece in mine:
            released += len(piece.octets)
            covered = {
                i
                for time_ns, (way, offset, part) in enumerate(notes)
                if way == upward and time_ns <= piece.time_ns
                for i in range(offset, offset + len(part))
            }
            assert set(range(released)) <= covered
            assert piece.frame == piece.time_ns + 1
    assert [piece.time_ns for piece in pieces] == sorted(piece.time_ns for piece in pieces)


def record(kind, size, fill=b"\0"):
    return bytes((kind, 3, 3)) + size.to_bytes(2) + fill * size


def cut_records(*parts):
    troubles: list = []
    with open_spool(tempfile.gettempdir()) as spool:
        kept = Recording(spool, in_order=True)
        offsets = [0, 0]
        for time_ns, (upward, octets) in enumerate(parts):
            kept.write(upward, offsets[upward], octets, time_ns, time_ns)
            offsets[upward] += len(octets)
        return list(tls_records(kept, troubles)), troubles


def test_records_are_complete_when_their_last_octet_comes():
    one, two = record(22, 300), record(23, recording.MAX_RECORD_BYTES, b"x")
    found, troubles = cut_records(
        (True, one[:4]), (False, two[:-1]), (True, one[4:] + two), (False, two[-1:] + one[:9])
    )
    assert troubles == []
    assert found == [
        TlsRecord(True, 0, one, 2, 2),
        TlsRecord(True, len(one), two, 2, 2),
        TlsRecord(False, 0, two, 3, 3),
    ]


@pytest.mark.parametrize(
    "octets",
    [record(24, 5), b"\x17\x02\x03\0\x05hello", record(23, recording.MAX_RECORD_BYTES + 1)],
)
def test_what_is_no_record_ends_its_direction_only(octets):
    good = record(23, 40)
    found, troubles = cut_records((True, good + octets), (False, good), (True, good), (False, good))
    assert [(one.upward, one.octets) for one in found] == [
        (True, good),
        (False, good),
        (False, good),
    ]
    assert troubles == [(True, "octet 45 of the client's begins no TLS record")]


# --- the container -------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_checksums_are_those_of_dpkt(octets):
    assert checksum(octets) == dpkt.in_cksum(octets).to_bytes(2) or (
        # Both are 0 in one's complement.
        {checksum(octets), dpkt.in_cksum(octets).to_bytes(2)} == {b"\0\0", b"\xff\xff"}
    )


def written(*connections, limit_bytes=1 << 20):
    file = io.BytesIO()
    made = Container(file)
    whole = [
        made.add(number, records, limit_bytes=limit_bytes)
        for number, records in enumerate(connections)
    ]
    return made, file.getvalue(), whole


def test_each_packet_is_a_record_and_where_it_comes_from_is_kept():
    records = [TlsRecord(i % 2 == 0, 7 * i, record(23, i), 10**18 + i, 50 + i) for i in range(5)]
    made, octets, whole = written(records[:2], [], records)
    assert whole == [True, True, True]
    assert made.packets == 4 + 7
    packets = list(dpkt.pcap.Reader(io.BytesIO(octets)))
    assert len(packets) == 11
    origins = [made.origin(number) for number in range(1, 12)]
    assert [origin.connection for origin in origins] == [0] * 4 + [2] * 7
    for (_, packet), origin in zip(packets, origins, strict=True):
        ip = dpkt.ip.IP(packet)
        payload = bytes(ip.data.data)
        assert origin.upward == (ip.data.dport == 15008)
        assert (origin.record_type, origin.record_bytes) == (
            (payload[0], len(payload) - 5) if payload else (0, 0)
        )
    assert [origin.frame for origin in origins[6:]] == [50, 51, 52, 53, 54]
    assert [origin.record_offset for origin in origins[6:]] == [0, 7, 14, 21, 28]
    assert origins[-1].time_ns == 10**18 + 4
    clients = {bytes(dpkt.ip.IP(packet).src) for _, packet in packets}
    assert len(clients) == 3  # two clients and the server


def test_a_connection_ends_at_its_limit():
    records = [TlsRecord(True, 0, record(23, 95), 1, 1)] * 5
    made, _, whole = written(records, limit_bytes=250)
    assert (whole, made.packets) == ([False], 4)


def test_a_private_file_is_never_one_that_is_there(tmp_path):
    path = tmp_path / "keys"
    container.write_private(path, b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        container.private(path)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not here")
def test_tshark_finds_checksums_and_sequence_numbers_right(tmp_path):
    path = tmp_path / "a.pcap"
    records = [TlsRecord(i % 3 > 0, 0, record(23, 99 * i), i, i) for i in range(9)]
    path.write_bytes(written(records)[1])
    shown = subprocess.run(
        ["tshark", "-r", str(path), "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
         "-T", "fields", "-e", "ip.checksum.status", "-e", "tcp.checksum.status",
         "-e", "tcp.analysis.flags"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown == "1\t1\t\n" * 11


# --- what tshark says ----------------------------------------------------------------------------

XML = b"""<packet>
  <proto name="geninfo"><field name="num" pos="0" show="7" value="7"/></proto>
  <proto name="tls"><field name="tls.record">
    <field name="tls.record.opaque_type" show="23" value="17"/>
    <field name="tls.record.content_type" show="23" value="17"/></field></proto>
  <proto name="http2"><field name="http2.stream">
    <field name="http2.length" show="3"/><field name="http2.type" show="0"/>
    <field name="http2.flags" show="0x01"><field name="http2.flags.end_stream" show="1"/></field>
    <field name="http2.streamid" show="5"/>
    <field name="http2.data.data" show="%s" value="616263"/></field></proto>
  <proto name="http2"><field name="http2.stream">
    <field name="http2.type" show="1"/>
    <field name="http2.header"><field name="http2.header.name" value="61"/>
    <field name="http2.header.value" value="ff62"/></field></field></proto>
</packet>"""


@pytest.mark.parametrize("shown", [b"abc", b"\x01\x1b", b"\xff\xfe", b"\xef\xbf\xbe", b"&#1;"])
def test_what_tshark_shows_does_not_matter(shown):
    packet = dissection.read_packet(XML % shown)
    assert (packet.number, packet.damaged) == (7, shown == b"&#1;")
    if not packet.damaged:
        assert packet.content_type == 23
        first, second = packet.frames
        assert (first.stream, first.flags, first.data, first.size_bytes) == (5, 1, b"abc", 12)
        assert second.headers == [("a", "\\xffb")]


@given(st.binary(max_size=40), st.integers(0, len(XML)), st.integers(0, len(XML)))
def test_damaged_words_are_a_packet_all_the_same(junk, begin, end):
    dissection.read_packet(XML[:begin] + junk + XML[end:])


# --- forwarded -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('for="10.244.1.4:35170"', "10.244.1.4:35170"),
        ('for="10.244.1.4:35170";host=a.b', "10.244.1.4:35170"),
        ("for=10.244.1.4", "10.244.1.4"),
        ("for=10.244.1.4:80", "10.244.1.4:80"),
        ('host=x; For="[fd00::0:1]:443"', "[fd00::1]:443"),
        ('for="[fd00::1]"', "fd00::1"),
        ('for="fd00::1"', "fd00::1"),
        ('by=_x;for="10.0.0.1:1", for="10.0.0.2:2"', "10.0.0.1:1"),
        ('xfor="10.0.0.1:1"', None),
        ('for="10.0.0.1:99999"', None),
        ('for="10.0.0.1:"', None),
        ("for=unknown", None),
        ('for="_hidden:9"', None),
        ("for=", None),
        ("", None),
    ],
)
def test_forwarded_for(value, expected):
    assert forwarded_for(value) == expected


@given(st.text())
def test_forwarded_for_takes_anything(value):
    forwarded_for(value)
    forwarded_for(f'for="{value}"')

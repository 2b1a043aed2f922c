# SPDX-License-Identifier: Apache-2.0
"""TLS record sizes between two stand-ins, against those of the real ztunnel.

The numbers are those recorded from ztunnel 1.24.6 and 1.31 with the same names of workloads.
"""

from __future__ import annotations

import socket
import threading

import pytest

from tests.lab.ztunnel.apps import RESPONSE_BYTES, Server, eventually
from tests.lab.ztunnel.config import Behaviour
from tests.lab.ztunnel.harness import (
    CLIENT_ID,
    REFUSED_PORT,
    SERVER_PORT,
    SERVICE_HOST,
    Pair,
    claim_short_net,
    receive_all,
)
from tests.lab.ztunnel.records import APPLICATION_DATA, RecordingRelay

OVERHEAD = 17  # content type and tag of a TLS 1.3 record
FRAME = 9
GATEWAY_HOST = 77


class Watched:
    """A pair, a server, and the records between the two proxies."""

    def __init__(self, folder, version="1.31", net=None, **options):
        self.pair = Pair(folder, version=version, options=options)
        if net:
            self.pair.net = net
        at = (self.pair.address(GATEWAY_HOST), 15008)
        self.pair.gateway = f"{at[0]}:{at[1]}"
        self.relay = RecordingRelay(at, (self.pair.server, 15008))
        self.server = Server((self.pair.server, SERVER_PORT))

    def __enter__(self):
        self.server.__enter__()
        self.relay.__enter__()
        self.pair.__enter__()
        return self

    def __exit__(self, *error):
        self.pair.__exit__(*error)
        self.relay.__exit__()
        self.server.__exit__()

    def lengths(self, *, up, after_handshake=True, connection=0):
        """Return the sizes of one direction, from the first application data on."""
        found = [
            one.length
            for one in self.relay.connections[connection]
            if one.up is up and one.kind == APPLICATION_DATA
        ]
        # Client: certificate, its proof, Finished. Server: five messages, later two tickets.
        return found[3 if up else 7 :] if after_handshake else found

    def ask(self, text, to=None):
        with self.pair.connect(to) as sock:
            sock.sendall(text)
            return b"".join(receive_all(sock))


@pytest.fixture(params=["1.20", "1.31"])
def watched(request, tmp_path):
    # Addresses as long as the recorded ones (10.244.2.5), or nearly.
    with Watched(tmp_path, request.param, net=claim_short_net()) as made:
        yield made


def test_opening_a_connection_sends_the_records_ztunnel_sends(watched):
    assert len(watched.ask(b"answer\n")) == RESPONSE_BYTES
    assert eventually(lambda: watched.lengths(up=True)[-1:] == [26])
    up, down = watched.lengths(up=True), watched.lengths(up=False)
    new = watched.pair.version == "1.31"
    assert up[0] == 24 + OVERHEAD  # the preface
    # SETTINGS, WINDOW_UPDATE and CONNECT; before 1.22 `forwarded` is shorter by port and quotes.
    assert up[1] in (range(251, 258) if new else range(243, 252))
    assert sorted(up[2:]) == [26, 26, 7 + 26]  # SETTINGS ACK, the command, END_STREAM
    assert down[:2] == [50, 39]  # SETTINGS; its ACK and WINDOW_UPDATE
    assert down[2] in ({110, 111} if new else {27})
    assert down[3:] in ([RESPONSE_BYTES + 26, 26], [RESPONSE_BYTES + 35])


def test_later_streams_send_indexed_headers(watched):
    for number in range(3):
        watched.ask(b"answer\n")
        # Else the end of this stream may share a record with the beginning of the next.
        assert eventually(lambda number=number: watched.lengths(up=True).count(26) == number + 2)
    new = watched.pair.version == "1.31"
    connects = [n for n in watched.lengths(up=True)[2:] if n not in {26, 7 + 26}]
    assert len(connects) == 2
    assert all(n in (range(89, 94) if new else range(70, 90)) for n in connects)
    first, later = (110, 28) if new else (27, 27)
    answers = [n for n in watched.lengths(up=False)[2:] if n not in {26, 209, 218}]
    assert answers[0] in {first, first + 1}
    assert answers[1:] == [later, later]


def test_refusals_are_headers_and_a_reset_in_one_record(watched):
    for _ in range(2):
        refused = watched.pair.refused
        with pytest.raises(ConnectionResetError), watched.pair.connect(refused) as sock:
            sock.recv(1)
    assert watched.lengths(up=False)[2:] == [44, 40]
    # Nothing more is said about these streams: SETTINGS ACK and the second CONNECT.
    assert len(watched.lengths(up=True)) == 4
    assert REFUSED_PORT != SERVER_PORT


def test_denials_are_two_bytes_shorter_at_first(tmp_path):
    with Watched(tmp_path, B={"deny": [CLIENT_ID]}) as watched:
        for _ in range(2):
            with pytest.raises(ConnectionResetError), watched.pair.connect() as sock:
                sock.recv(1)
        assert watched.lengths(up=False)[2:] == [43, 40]


def test_a_service_s_name_makes_the_connect_longer(tmp_path):
    names = {"127.244.3.50:15001": SERVICE_HOST}
    with Watched(tmp_path, net="127.244.3", service_names=names) as watched:
        for number in range(2):
            watched.ask(b"answer\n")
            assert eventually(lambda n=number: watched.lengths(up=True).count(26) == n + 2)
        up = watched.lengths(up=True)
    assert up[1] in range(278, 286)
    assert any(n in range(116, 122) for n in up[2:])


def test_full_reads_make_the_sizes_of_their_version(watched):
    size = 400_000
    assert len(watched.ask(b"send %d\n" % size)) == size
    down = watched.lengths(up=False)[3:]
    full = {1.31: {1050, 16_346}}.get(float(watched.pair.version), {16_346})
    counts = {length: down.count(length) for length in full}
    assert all(counts.values()), counts
    assert sum(n - 26 for n in down if n > 26) in {size, size + FRAME}
    assert max(down) <= 16_346


def test_small_frames_share_a_record_and_large_ones_end_it(tmp_path):
    # Residence keeps both directions' ends together: data and FIN leave in one turn of the loop.
    with Watched(tmp_path, residence_ms={"up": 1, "down": 1}) as watched:
        assert len(watched.ask(b"answer\n")) == RESPONSE_BYTES
        assert len(watched.ask(b"send 900\n")) == 900
        down = watched.lengths(up=False)[3:]
    assert RESPONSE_BYTES + 26 + FRAME in down or RESPONSE_BYTES + 26 in down
    large = down.index(900 + 26)
    assert down[large + 1] == 26


def test_both_ends_ping(tmp_path):
    with Watched(tmp_path, ping_interval_s=0.3) as watched, watched.pair.connect() as sock:
        sock.sendall(b"chat\nhello")
        assert sock.recv(10) == b"hello"
        for up in (True, False):
            assert eventually(lambda up=up: set(watched.lengths(up=up)) & {34, 51})


def test_closing_says_goaway_and_close_notify(tmp_path):
    with Watched(tmp_path) as watched:
        watched.ask(b"answer\n")
        watched.pair.stop()
        assert eventually(lambda: watched.lengths(up=True)[-2:] == [34, 19])


def test_ten_connections_at_once_share_records_but_lose_none(watched):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(watched.ask(b"answer\n"))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [len(one) for one in answers] == [RESPONSE_BYTES] * 10
    assert len(watched.relay.connections) == 1


@pytest.mark.parametrize(
    ("version", "passed_bytes", "expected"),
    [
        ("1.20", 0, 16_320),
        ("1.20", 1 << 30, 16_320),
        ("1.22", 131_071, 1024),
        ("1.22", 1 << 30, 16_320),
        ("1.31", 131_072, 16_320),
        ("1.31", 10 * 1024 * 1024 - 1, 16_320),
        ("1.31", 10 * 1024 * 1024, 262_080),
    ],
)
def test_read_sizes(version, passed_bytes, expected):
    assert Behaviour.of(version).read_bytes(passed_bytes) == expected


def test_a_configuration_that_cannot_be_used_is_said_in_one_line(tmp_path):
    from tests.lab.ztunnel.__main__ import main

    path = tmp_path / "config.json"
    for text in ("{", "[]", '{"version": "0.9"}', '{"version": "1.31"}'):
        path.write_text(text)
        assert main([str(path)]) == 1
    assert main([]) == 2


def test_residence_is_kept_to_a_fraction_of_a_millisecond(tmp_path):
    options = {"residence_ms": {"up": 2.0, "down": 0.3}}
    with Watched(tmp_path, **options) as watched:
        with watched.pair.connect() as sock:
            sock.sendall(b"chat\n")
            for _ in range(20):
                sock.sendall(b"x")
                assert sock.recv(10) == b"x"
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        watched.pair.stop()
        chunks = watched.pair.events("A", "chunk")
    for direction, expected_ms in (("up", 2.0), ("down", 0.3)):
        found = sorted(
            (one["out_ns"] - one["in_ns"]) / 1e6 for one in chunks if one["direction"] == direction
        )
        # How late the others are is a matter of what else the machine does.
        assert expected_ms * 0.99 <= found[0] < expected_ms + 0.7

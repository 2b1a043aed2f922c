# SPDX-License-Identifier: Apache-2.0
"""DNS as the stand-in answers it, and as the lab's client asks and understands it."""

from __future__ import annotations

import json
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.mesh import client
from tests.lab.ztunnel import dns
from tests.lab.ztunnel.harness import SERVICE_HOST, Pair

A, AAAA = 1, 28
# RFC 1035 section 4.1: number 7, recursion desired, one question: www.example.org, A, IN.
QUERY = bytes.fromhex("0007 0100 0001 0000 0000 0000 03 777777 07") + b"example"
QUERY += bytes.fromhex("03 6f7267 00 0001 0001")


def test_an_answer_by_hand():
    asked = dns.question(QUERY)
    assert (asked.host, asked.record_type) == ("www.example.org", A)
    answer = dns.answer(QUERY, asked, ["192.0.2.1", "2001:db8::1"])
    assert answer[:12] == bytes.fromhex("0007 8580 0001 0001 0000 0000")
    assert answer[12:] == QUERY[12:] + bytes.fromhex("c00c 0001 0001 0000001e 0004 c0000201")
    assert dns.answer(QUERY, asked, None)[:12] == bytes.fromhex("0007 8583 0001 0000 0000 0000")


@pytest.mark.parametrize(
    ("record_type", "addresses"), [(A, ["192.0.2.1", "192.0.2.2"]), (AAAA, ["2001:db8::1"])]
)
def test_the_client_understands_the_answer(record_type, addresses):
    query = client.dns_query("server.example.org", record_type)
    answer = dns.answer(query, dns.question(query), addresses)
    assert client.dns_addresses(answer, query) == addresses


@given(st.binary(max_size=60) | st.integers(0, len(QUERY)).map(lambda size: QUERY[:size]))
def test_any_query_is_read_or_refused(query):
    asked = dns.question(query)
    assert asked is None or asked.octets in query


@pytest.fixture
def pair(tmp_path):
    upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    upstream.settimeout(10)
    upstream.bind(("127.0.0.1", 0))
    made = Pair(tmp_path)
    names = {"names": {SERVICE_HOST: ["10.96.0.50"]},
             "upstream": f"127.0.0.1:{upstream.getsockname()[1]}"}  # fmt: skip
    inbound = {"inbound_hbone": [made.server, 15008]}
    made.options = {"B": {"listen": inbound | {"dns": [made.server, 15053]}, "dns": names}}
    with upstream, made:
        yield made, upstream


def test_names_of_the_mesh_are_answered_and_others_passed_on(pair):
    made, upstream = pair
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect((made.server, 15053))
        query = client.dns_query(SERVICE_HOST, A)
        sock.send(query)
        assert client.dns_addresses(sock.recv(512), query) == ["10.96.0.50"]
        query = client.dns_query("example.org", A)
        sock.send(b"no query")
        sock.send(query)
        asked, proxy = upstream.recvfrom(512)
        assert asked == query
        upstream.sendto(dns.answer(query, dns.question(query), ["192.0.2.80"]), proxy)
        assert client.dns_addresses(sock.recv(512), query) == ["192.0.2.80"]
    made.stop()
    logged = [json.loads(line) for line in (made.folder / "B.ndjson").read_text().splitlines()]
    assert [(one["host"], one["answered_by"]) for one in logged if one["event"] == "dns"] == [
        (SERVICE_HOST, "ztunnel"), ("example.org", "resolver")
    ]  # fmt: skip


def test_tcp_as_well(pair):
    made, _ = pair
    query = client.dns_query(SERVICE_HOST, A)
    with socket.create_connection((made.server, 15053), timeout=10) as sock:
        sock.sendall(struct.pack("!H", len(query)) + query)
        answer = sock.recv(512)
        assert struct.unpack_from("!H", answer)[0] == len(answer) - 2
        assert client.dns_addresses(answer[2:], query) == ["10.96.0.50"]

# SPDX-License-Identifier: Apache-2.0
"""DNS, HTTP and TLS headers in the field tree, and what merely looks like them."""

from __future__ import annotations

import time

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build import packets

from .test_tree import assert_sound, tree


def over_tcp(payload, port=80):
    return packets.ipv4(packets.tcp(payload, 40000, port), protocol=6)


def over_udp(payload, port=53):
    return packets.ipv4(packets.udp(payload, 40000, port))


def application(octets):
    found = tree(228, octets)
    assert_sound(found, len(octets))
    return found.layers[-1]


def texts(layer, name):
    return [field.text for field in walk(layer.fields) if field.name == name]


def walk(fields):
    for field in fields:
        yield field
        yield from walk(field.children)


CLIENT_HELLO = bytes.fromhex(
    "16 0301 0061"  # handshake record, TLS 1.0, 97 octets
    "01 00005d 0303"
    + "11"
    * 32  # client hello, TLS 1.2, random
    + "00 0002 1301 01 00"  # no session, one cipher suite, no compression
    "0032"  # extensions
    "0000 0010 000e 00 000b 6578616d706c652e636f6d"  # server_name example.com
    "0010 000e 000c 02 6832 08 687474702f312e31"  # ALPN h2, http/1.1
    "002b 0003 02 0304"  # supported_versions TLS 1.3
    "ff01 0001 00"
)


def test_client_hello():
    layer = application(over_tcp(CLIENT_HELLO, 443))
    assert layer.name == "tls"
    assert layer.summary == "client hello, example.com, h2, http/1.1"
    assert texts(layer, "server_name") == ["example.com"]
    assert texts(layer, "application_protocol") == ["h2", "http/1.1"]
    assert texts(layer, "supported_version") == ["TLS 1.3"]


def test_client_hello_in_several_segments():
    layer = application(over_tcp(CLIENT_HELLO[:50], 443))
    assert layer.summary == "client hello, not whole"
    layer = application(over_tcp(CLIENT_HELLO[:-1], 443))
    assert layer.summary == "client hello, example.com, h2, http/1.1, not whole"


def test_application_data_is_not_shown():
    secret = b"password=hunter2"
    layer = application(over_tcp(b"\x17\x03\x03\x00\x10" + secret, 443))
    assert (layer.name, layer.summary) == ("tls", "application data")
    assert "hunter2" not in repr(layer)
    assert secret.hex() not in repr(layer)


def test_http_request():
    layer = application(
        over_tcp(b"POST /login?next=1 HTTP/1.1\r\nHost: shop.example\r\nA: b\r\n\r\nhunter2")
    )
    assert layer.name == "http"
    assert layer.summary == "POST /login?next=1 HTTP/1.1, host shop.example"
    assert texts(layer, "method") == ["POST"]
    assert "hunter2" not in repr(layer)


def test_http_response():
    layer = application(over_tcp(b"HTTP/1.1 503 Service Unavailable\r\n\r\nno healthy upstream"))
    assert layer.summary == "HTTP/1.1 503 Service Unavailable"
    assert texts(layer, "status") == ["503"]


def test_http2_preface():
    layer = application(over_tcp(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 15008))
    assert layer.name == "http2"


def test_dns():
    query = dpkt.dns.DNS(id=7, qd=[dpkt.dns.DNS.Q(name="example.com", type=28)])
    layer = application(over_udp(bytes(query)))
    assert (layer.name, layer.summary) == ("dns", "query AAAA example.com")
    assert texts(layer, "question") == ["AAAA example.com"]
    assert [field.offset for field in layer.fields[:2]] == [28, 30]


def test_text_from_the_packet_is_escaped():
    layer = application(
        over_tcp(b"GET /\x1b[31m\xc2\x9b HTTP/1.1\r\nHost: \x07\xe2\x80\xae\r\n\r\n")
    )
    assert layer.name == "http"
    assert "\\x1b" in layer.summary
    (target,) = [field for field in layer.fields if field.name == "target"]
    assert "\x1b" in target.value


@pytest.mark.parametrize(
    "octets",
    [
        over_tcp(b"GET \r\n"),
        over_tcp(b"GET / HTTP/x.y\r\n"),
        over_tcp(b"HTTP/1.1 \xb2 x\r\n"),
        over_tcp(b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff", 443),
        over_tcp(b"\x16\x03\x01\x40\x00\x01" + b"\0" * 20, 443),
        over_tcp(b"SSH-2.0-OpenSSH"),
        over_udp(b"\xc0\x0c" * 100),
        over_udp(b"\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"),
    ],
)
def test_what_only_looks_like_it(octets):
    assert application(octets).name in {"payload", "http", "tls", "dns"}


@given(
    st.sampled_from((b"GET ", b"HTTP/1.", b"\x16\x03\x01\x00", b"\x16\x03\x03\x00\x80\x01", b"")),
    st.binary(max_size=300),
    st.booleans(),
)
def test_hostile_payloads(head, rest, tcp):
    octets = over_tcp(head + rest) if tcp else over_udp(head + rest)
    assert_sound(tree(228, octets), len(octets))


@given(st.integers(0, len(CLIENT_HELLO) - 1), st.integers(0, 255), st.integers(0, 255))
def test_hostile_client_hellos(place, octet, more):
    changed = bytearray(CLIENT_HELLO)
    changed[place] = octet
    changed += bytes(more)
    octets = over_tcp(bytes(changed), 443)
    assert_sound(tree(228, octets), len(octets))


@pytest.mark.parametrize(
    "payload",
    [
        over_udp(b"\0\1\x80\0" + b"\xff\xff" * 4 + b"\x01a\xc0\x0c\0\1\0\1" * 6000),
        over_udp(b"\0\1\x80\0\xff\xff\0\0\0\0\0\0" + b"\0\0\1\0\1" * 12000),
        over_tcp(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + bytes(65000), 443),
        over_tcp(b"\x17\x03\x03\x00\x01\x00" * 10000, 443),
        over_tcp(b"GET / HTTP/1.1\r\n" + b"a:\n" * 20000),
    ],
)
def test_hostile_payloads_take_no_time(payload):
    start = time.process_time()
    assert_sound(tree(228, payload), len(payload))
    assert time.process_time() - start < 1.0


def test_ike_and_keep_alives_are_told_apart():
    ike = bytes.fromhex("11" * 8 + "22" * 8 + "2e202308" + "00000001" + "0000001c")
    for port, marker in ((500, b""), (4500, bytes(4))):
        octets = packets.ipv4(packets.udp(marker + ike, port, port))
        layer = tree(228, octets).layers[-1]
        assert (layer.name, layer.summary) == ("ike", "IKEv2, IKE_AUTH (35), message 1")
        fields = {field.name: field for field in layer.fields}
        assert ("non_esp_marker" in fields) == bool(marker)
        assert fields["initiator_spi"].value == 0x1111111111111111
        assert fields["length"].offset + 4 == len(octets)
    octets = packets.ipv4(packets.udp(b"\xff", 4500, 4500))
    layer = tree(228, octets).layers[-1]
    assert layer.name == "nat-keep-alive"

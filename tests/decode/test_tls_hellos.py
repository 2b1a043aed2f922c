# SPDX-License-Identifier: Apache-2.0
"""decode/tls_hellos: what hellos say, wherever they are cut and whatever stands in them."""

from __future__ import annotations

import random
import struct

import pytest

from genevecap.decode.tls_hellos import TLS_1_2, TLS_1_3, X25519MLKEM768, client_hello, server_hello
from tests.build import hellos


def test_a_client_hello_as_ztunnel_sends_it():
    hello = client_hello(hellos.client_hello())
    assert hello is not None
    assert (hello.whole, hello.versions, hello.alpn) == (True, (TLS_1_3, TLS_1_2), (b"h2",))
    assert (hello.server_names, hello.groups, hello.early_data) == (None, (0x1D,), False)
    assert hello.cipher_suites == 2


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"alpn": None}, "alpn", None),
        ({"alpn": (b"http/1.1", b"h2")}, "alpn", (b"http/1.1", b"h2")),
        ({"server_name": b"server.default"}, "server_names", (b"server.default",)),
        ({"groups": (X25519MLKEM768, 0x1D)}, "groups", (X25519MLKEM768, 0x1D)),
        ({"versions": None}, "versions", (TLS_1_2,)),
        ({"more": hellos.extension(42, b"")}, "early_data", True),
    ],
)
def test_what_a_client_offers(changed, name, value):
    assert getattr(client_hello(hellos.client_hello(**changed)), name) == value


@pytest.mark.parametrize(
    ("changed", "version", "group", "resumed", "retry"),
    [
        ({}, TLS_1_3, 0x1D, False, False),
        ({"version": None, "group": None}, TLS_1_2, None, False, False),
        ({"version": None, "group": None, "legacy": 0x0301}, 0x0301, None, False, False),
        ({"group": X25519MLKEM768}, TLS_1_3, X25519MLKEM768, False, False),
        ({"resumed": True}, TLS_1_3, 0x1D, True, False),
        ({"retry": True, "group": 0x17}, TLS_1_3, 0x17, False, True),
    ],
)
def test_what_a_server_chose(changed, version, group, resumed, retry):
    hello = server_hello(hellos.server_hello(**changed))
    assert hello is not None
    assert hello.whole
    assert (hello.version, hello.group, hello.resumed, hello.retry) == (
        version, group, resumed, retry,
    )  # fmt: skip


def test_a_server_hello_that_is_cut_has_no_version_it_did_not_say():
    """Behind the cut may stand supported_versions: the legacy version means nothing by itself."""
    octets = hellos.server_hello()
    hello = server_hello(octets[:60])
    assert (hello.whole, hello.version) == (False, None)


def test_a_cut_takes_away_and_never_adds():
    octets = hellos.client_hello(server_name=b"a", groups=(X25519MLKEM768, 0x1D))
    whole = client_hello(octets)
    for end in range(len(octets)):
        hello = client_hello(octets[:end])
        if hello is None:
            assert end < 9
            continue
        assert not hello.whole
        assert hello.alpn in {None, whole.alpn}
        assert hello.versions in {(), whole.versions}
        assert hello.groups in {(), whole.groups}


def test_other_records_are_no_hellos():
    for octets in (b"", b"\x16", hellos.record(300), b"GET / HTTP/1.1\r\n", hellos.record(90, 22)):
        assert client_hello(octets) is None
        assert server_hello(octets) is None
    assert client_hello(hellos.server_hello()) is None
    assert server_hello(hellos.client_hello()) is None


@pytest.mark.parametrize("seed", range(20))
def test_hostile_hellos(seed):
    """Any octets are answered, and lists are bounded."""
    rng = random.Random(seed)
    for made, read in ((hellos.client_hello, client_hello), (hellos.server_hello, server_hello)):
        for _ in range(300):
            octets = bytearray(made())
            for _ in range(rng.randrange(1, 8)):
                octets[rng.randrange(len(octets))] = rng.randrange(256)
            read(bytes(octets[: rng.randrange(len(octets) + 1)]) + rng.randbytes(rng.randrange(9)))


def test_long_lists_are_cut():
    many = struct.pack(">HH", 0x1D, 0) * 10_000
    hello = client_hello(
        hellos.client_hello(
            groups=None, alpn=[b"x"] * 9_000, more=hellos.extension(51, hellos.vector(many))
        )
    )
    assert len(hello.groups) == len(hello.alpn) == 32

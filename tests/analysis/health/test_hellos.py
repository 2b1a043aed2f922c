# SPDX-License-Identifier: Apache-2.0
"""analysis/health/hellos: what handshakes of HBONE show without keys, TLS 1.3 and others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from genevecap.analysis.grouping import group
from genevecap.analysis.health.hellos import handshake_of
from tests.analysis.tracking import HBONE, SYN_ACK, halves_of, stream
from tests.build import hellos


def handshake(up, down=None, **options):
    """The handshake of a connection that carries these octets."""
    rows = stream(up, destination=HBONE, **options)
    if down is not None:
        back = [row.back(acknowledgment=1001) for row in stream(down, isn=0, destination=HBONE)]
        rows += [replace(back[0], flags=SYN_ACK), *back[1:]]
    (connection,) = group(halves_of(rows))
    return handshake_of(connection)


def up(hello=None, certificate=745):
    return b"".join(hellos.client_opening(hello, certificate=certificate))


def test_istio_s_handshake():
    found = handshake(up(), hellos.server_opening())
    assert found.client.alpn == (b"h2",)
    assert (found.server.version, found.server.group) == (0x0304, 0x1D)
    assert (found.client_certificate, found.is_tls) == (True, True)


@pytest.mark.parametrize(
    ("certificate", "sent"),
    [
        (53, False), (69, False),  # Finished alone, SHA-256 and SHA-384
        (61, False), (77, False), (25, False),  # behind an empty Certificate, or in two records
        (745, True), (1725, True),
        (120, None), (None, None),
    ],
)  # fmt: skip
def test_the_size_of_the_second_flight(certificate, sent):
    octets = b"".join(hellos.client_opening(certificate=certificate))
    if certificate is None:
        octets = octets[: octets.index(hellos.record(1, 20))]
    assert handshake(octets, hellos.server_opening()).client_certificate is sent


def test_a_session_that_goes_on_needs_no_certificate():
    answer = hellos.server_opening(hellos.server_hello(resumed=True))
    assert handshake(up(certificate=53), answer).client_certificate is None
    early = hellos.client_hello(more=hellos.extension(42, b""))
    assert handshake(up(early, certificate=53), hellos.server_opening()).client_certificate is None


def test_another_client_hello_after_a_retry_is_not_the_flight():
    asked = hellos.server_opening(hellos.server_hello(retry=True, group=0x17))
    octets = (
        hellos.client_hello() + hellos.record(1, 20) + hellos.client_hello() + hellos.record(53)
    )
    assert handshake(octets, asked).client_certificate is False


def test_a_flight_behind_octets_that_are_missing_is_not_judged():
    octets = up(certificate=53)
    begin = len(hellos.client_hello())
    cuts = [(0, begin), (begin + 6, len(octets))]
    assert handshake(octets, hellos.server_opening(), cuts=cuts).client_certificate is None


def test_what_is_no_tls():
    found = handshake(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\4\0\0\0\0\0")
    assert (found.is_tls, found.client, found.server) == (False, None, None)
    assert found.client_certificate is None


def test_a_connection_older_than_the_capture_is_unknown():
    found = handshake(hellos.record(500)[200:], syn=False)
    assert (found.is_tls, found.client, found.server) == (None, None, None)

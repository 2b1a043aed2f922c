# SPDX-License-Identifier: Apache-2.0
"""How HBONE connections are protected, as their handshakes show it without keys.

Istio's HBONE is TLS 1.3 with mutual authentication, ALPN `h2` and no server name (istio/ztunnel
src/tls/workload.rs and src/proxy/pool.rs, 1.18 to 1.31).  Version, ALPN, server name and key
exchange stand in the hellos, in plain.  Certificates are encrypted, so whether the client sent one
is inferred from the size of its second flight: Certificate, CertificateVerify and Finished with a
certificate, Finished alone (or behind an empty Certificate) without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...decode.tls_hellos import ClientHello, ServerHello, client_hello, server_hello
from ...decode.tls_records import APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER_BYTES
from ..connections import Half
from ..grouping import Connection
from ..records import Record, RecordReader

_INNER_BYTES = 1 + 16
"""Content type and tag inside an encrypted record (RFC 8446 section 5.2)."""
_FINISHED_BYTES = (4 + 32, 4 + 48)
"""Handshake header and verify_data with SHA-256 and SHA-384 (section 4.4.4)."""
_EMPTY_CERTIFICATE_BYTES = 4 + 1 + 3
"""Handshake header, no context, no certificate (section 4.4.2)."""
_WITHOUT = frozenset(
    size + _INNER_BYTES
    for finished in _FINISHED_BYTES
    for size in (finished, finished + _EMPTY_CERTIFICATE_BYTES, _EMPTY_CERTIFICATE_BYTES)
)
_CERTIFICATE_BYTES = 300
"""A first record of the flight this long holds a certificate; the shortest of a workload, with
ECDSA keys and a SPIFFE name, has some 400 octets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What the handshake of one HBONE connection shows."""

    client: ClientHello | None
    """None where it was not captured, or something else stood there."""
    server: ServerHello | None
    client_certificate: bool | None
    """Whether the client sent a certificate, inferred; None where it cannot be told."""
    is_tls: bool | None
    """Whether the client's first octets begin a TLS record; None where they were not seen."""


def handshake_of(connection: Connection) -> Handshake:
    """Return what the handshake of a connection to port 15008 shows, at the points that saw it."""
    forward, reverse = connection.forward.values(), connection.reverse.values()
    hello = client_hello(_first_octets(connection))
    answer = server_hello(_longest(reverse))
    return Handshake(
        client=hello,
        server=answer,
        client_certificate=_client_certificate(forward, hello, answer),
        is_tls=is_tls(connection),
    )


def is_tls(connection: Connection) -> bool | None:
    """Tell whether the client's first octets begin a TLS record; None where they were not seen."""
    first = _first_octets(connection)
    if len(first) < HEADER_BYTES:
        return None
    return CHANGE_CIPHER_SPEC <= first[0] <= APPLICATION_DATA and first[1] == 3


def _first_octets(connection: Connection) -> bytes:
    """Return what the client sent first, as far as the point kept it that kept most."""
    return _longest(
        half
        for half in connection.forward.values()
        if half.isn is not None or _opening(half)[:1] == b"\x16"
    )


def _opening(half: Half) -> bytes:
    return half.records.opening if half.records is not None else b""


def _longest(halves: Iterable[Half]) -> bytes:
    return max(map(_opening, halves), key=len, default=b"")


def _client_certificate(
    halves: Iterable[Half], hello: ClientHello | None, answer: ServerHello | None
) -> bool | None:
    if hello is None or hello.early_data or answer is None or answer.resumed:
        return None
    for half in halves:
        size = _second_flight(half.records) if half.records is not None else None
        if size is not None:
            if size in _WITHOUT:
                return False
            return True if size >= _CERTIFICATE_BYTES else None
    return None


def _second_flight(reader: RecordReader) -> int | None:
    """Return the length of the client's first encrypted record."""
    for record in _in_order(reader):
        if record.content_type == APPLICATION_DATA:
            return record.length
        if record.content_type not in {HANDSHAKE, CHANGE_CIPHER_SPEC}:
            return None
    return None


def _in_order(reader: RecordReader) -> Iterator[Record]:
    """Yield the records from the first octet on, up to the first that is missing."""
    end = 0
    for i in range(0, len(reader.rows), 5):
        record = Record(*reader.rows[i : i + 5])
        if record.begin_offset != end:
            return
        yield record
        end += HEADER_BYTES + record.length

# SPDX-License-Identifier: Apache-2.0
"""What the payload of TCP or UDP is, as far as its own header tells: DNS, HTTP, TLS, IKE.

These are not this tool's protocols: dpkt reads them, from a bounded number of octets, and anything
that it does not like (it raises nearly anything on hostile octets) makes them a plain payload.
It takes 40 ms to import, so that happens where one of them was recognised.
Contents are never shown, only names, methods, versions and numbers.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ..protocols.fields import Header, HeaderCut, LayerDetail, hexadecimal, printable
from ..tls_hellos import ClientHello, client_hello
from ..tls_records import HANDSHAKE, HEADER_BYTES, MAX_CIPHERTEXT_BYTES
from .ike import describe_ike, describe_keep_alive, is_ike, is_keep_alive

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols.walk import Ports

MAX_BYTES = 16384
"""Payload that is looked at; headers that matter are in the first octets."""
MAX_FACTS = 16
"""Names, records or values of one kind that are shown."""
MAX_NAME = 255

DNS_PORTS = (53, 5353)


def describe_application(
    data: bytes, start: int, end: int, transport: str, ports: Ports
) -> LayerDetail | None:
    """Describe the payload `data[start:end]` of `transport`, or return None where it is unknown."""
    for recognise, describe, name, source in _APPLICATIONS:
        payload = data[start : min(end, start + MAX_BYTES)]
        if not recognise(payload, transport, ports):
            continue
        header = Header(data, start, end, source)
        try:
            describe(header, payload)
        except HeaderCut:
            pass
        except Exception:  # noqa: BLE001, S112 - whatever dpkt raises, this is not that protocol
            continue
        return LayerDetail(name, start, end - start, printable(header.summary), header.finish())
    return None


def _facts(header: Header, name: str, values: list[str]) -> None:
    for value in values[:MAX_FACTS]:
        header.fact(name, value, value[:MAX_NAME])
    if len(values) > MAX_FACTS:
        header.fact("more", len(values) - MAX_FACTS, f"{len(values) - MAX_FACTS} more")


# --- DNS ---------------------------------------------------------------------------------------

_DNS_TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    41: "OPT",
    65: "HTTPS",
}
_DNS_RCODES = {
    0: "no error",
    1: "format error",
    2: "server failure",
    3: "no such name",
    5: "refused",
}


def _is_dns(payload: bytes, transport: str, ports: Ports) -> bool:
    return transport == "udp" and not set(ports).isdisjoint(DNS_PORTS) and len(payload) >= 12


def _describe_dns(header: Header, payload: bytes) -> None:
    import dpkt.dns

    message = dpkt.dns.DNS(payload)
    header.number("id", 0, 2, hexadecimal(4))
    with header.flags("flags", 2, 0, 16) as group:
        response = header.flag("response", 2, 0)
        header.bits("opcode", 2, 1, 4)
        header.flag("authoritative", 2, 5)
        header.flag("truncated", 2, 6)
        header.flag("recursion_desired", 2, 7)
        header.flag("recursion_available", 2, 8)
        header.bits("reserved", 2, 9, 3)
        rcode = header.bits("response_code", 2, 12, 4, _DNS_RCODES)
        group.text = "response" if response else "query"
    for index, name in enumerate(("questions", "answers", "authorities", "additional")):
        header.number(f"{name}_count", 4 + 2 * index, 2)
    questions = [f"{_dns_type(record)} {record.name}" for record in message.qd]
    answers = [f"{_dns_type(record)} {record.name}" for record in message.an]
    _facts(header, "question", questions)
    _facts(header, "answer", answers)
    header.summary = "response" if response else "query"
    if questions:
        header.summary += f" {questions[0]}"
    if response:
        header.summary += f", {_DNS_RCODES.get(rcode, str(rcode))}, {len(answers)} answers"


def _dns_type(record: Any) -> str:
    return _DNS_TYPES.get(record.type, f"TYPE{record.type}")


# --- HTTP/1 ------------------------------------------------------------------------------------

_METHODS = (
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
)
_HTTP_RESPONSE = b"HTTP/1."
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _is_http(payload: bytes, transport: str, _ports: Ports) -> bool:
    return transport == "tcp" and payload.startswith((*_METHODS, _HTTP_RESPONSE))


def _describe_http(header: Header, payload: bytes) -> None:
    import dpkt.http

    line = payload.split(b"\n", 1)[0].rstrip(b"\r")
    text = line.decode("latin-1")
    if payload.startswith(_HTTP_RESPONSE):
        version, _, rest = text.partition(" ")
        status, _, reason = rest.partition(" ")
        header.octets("status_line", 0, len(line), text)
        header.fact("version", version, version)
        header.fact("status", int(status), status)
        header.fact("reason", reason, reason)
        header.summary = text
        return
    # Only the first line goes in: neither the body nor headers of a later segment are needed.
    request = dpkt.http.Request(line + b"\r\n\r\n")
    header.octets("request_line", 0, len(line), text)
    header.fact("method", request.method, request.method)
    header.fact("target", request.uri, request.uri)
    header.fact("version", request.version, f"HTTP/{request.version}")
    header.summary = text
    host = _http_host(payload)
    if host is not None:
        header.fact("host", host, host)
        header.summary += f", host {host}"


def _http_host(payload: bytes) -> str | None:
    """Return the value of the Host header, if it is there."""
    for line in payload.split(b"\n")[1:]:
        name, colon, value = line.partition(b":")
        if not line.strip():
            break
        if colon and name.strip().lower() == b"host":
            return value.strip().decode("latin-1")
    return None


def _is_http2(payload: bytes, transport: str, _ports: Ports) -> bool:
    return transport == "tcp" and payload.startswith(_HTTP2_PREFACE)


def _describe_http2(header: Header, _payload: bytes) -> None:
    header.octets("connection_preface", 0, len(_HTTP2_PREFACE), "PRI * HTTP/2.0")
    header.summary = "HTTP/2 connection preface"


# --- TLS ---------------------------------------------------------------------------------------

_TLS_TYPES = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}
_TLS_HANDSHAKES = {
    1: "client hello",
    2: "server hello",
    4: "new session ticket",
    11: "certificate",
    12: "server key exchange",
    14: "server hello done",
    16: "client key exchange",
}
_TLS_VERSIONS = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    0x0303: "TLS 1.2",
    0x0304: "TLS 1.3",
}


def _is_tls(payload: bytes, transport: str, _ports: Ports) -> bool:
    if transport != "tcp" or len(payload) < HEADER_BYTES:
        return False
    kind, version, length = struct.unpack_from(">BHH", payload)
    return kind in _TLS_TYPES and version in _TLS_VERSIONS and 0 < length <= MAX_CIPHERTEXT_BYTES


def _describe_tls(header: Header, payload: bytes) -> None:
    at = 0
    records: list[str] = []
    while _is_tls(payload[at:], "tcp", (0, 0)) and len(records) < MAX_FACTS:
        kind, _, length = struct.unpack_from(">BHH", payload, at)
        text = _TLS_TYPES[kind]
        with header.group("record", at, HEADER_BYTES + length) as group:
            header.number("content_type", at, 1, _TLS_TYPES)
            header.number("version", at + 1, 2, _TLS_VERSIONS)
            header.number("length", at + 3, 2)
            record = payload[at : at + HEADER_BYTES + length]
            hello = client_hello(record)
            if hello is not None:
                text = _describe_client_hello(header, at + HEADER_BYTES, hello)
            elif kind == HANDSHAKE and len(record) > HEADER_BYTES:
                text = _TLS_HANDSHAKES.get(record[HEADER_BYTES], text)
            group.text = text
        records.append(text)
        at += HEADER_BYTES + length
    header.summary = "; ".join(records)


def _describe_client_hello(header: Header, at: int, hello: ClientHello) -> str:
    """Describe what a ClientHello says in clear, as far as it is there. Returns one line."""
    names = [name.decode("latin-1") for name in hello.server_names or ()]
    protocols = [name.decode("latin-1") for name in hello.alpn or ()]
    header.number("handshake_type", at, 1, _TLS_HANDSHAKES)
    _facts(header, "server_name", names)
    _facts(header, "application_protocol", protocols)
    _facts(header, "supported_version", [_version(number) for number in hello.versions])
    if hello.cipher_suites:
        header.fact("cipher_suites", hello.cipher_suites, f"{hello.cipher_suites} offered")
    told = ["client hello", *names[:1], *protocols[:MAX_FACTS]]
    return ", ".join(told if hello.whole else [*told, "not whole"])


def _version(number: int) -> str:
    return _TLS_VERSIONS.get(number, f"{number:#06x}")


_APPLICATIONS: tuple[
    tuple[Callable[[bytes, str, Ports], bool], Callable[[Header, bytes], None], str, str],
    ...,
] = (
    (is_keep_alive, describe_keep_alive, "nat-keep-alive", "RFC 3948 section 2.3"),
    (is_ike, describe_ike, "ike", "RFC 7296 section 3.1"),
    (_is_dns, _describe_dns, "dns", "RFC 1035 section 4.1"),
    (_is_http2, _describe_http2, "http2", "RFC 9113 section 3.4"),
    (_is_http, _describe_http, "http", "RFC 9112 section 3"),
    (_is_tls, _describe_tls, "tls", "RFC 8446 section 5.1"),
)

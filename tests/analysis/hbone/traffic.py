# SPDX-License-Identifier: Apache-2.0
"""HBONE made in memory: TLS 1.3 by OpenSSL, HTTP/2 by h2, packets by hand.

What is sent is known octet by octet, and packets can be lost, repeated, reordered, cut and wrapped
as no recording has them.
"""

from __future__ import annotations

import contextlib
import itertools
import ssl
import struct
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple

import h2.config
import h2.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

T0 = 1_700_000_000_000_000_000
"""Time of the SYN."""
STEP = 1_000_000
"""From one segment to the next."""
SYN, ACK, PSH, FIN = 2, 16, 8, 1


class Flight(NamedTuple):
    """Octets that one end sends."""

    upward: bool
    octets: bytes


@cache
def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ztunnel")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Session:
    """Two ends of one HBONE connection, and what each has sent so far.

    keylog: where OpenSSL writes the secrets; alpn: what both offer; client_certificate: whether
    the client sends one, None where the server does not ask for it.
    """

    def __init__(
        self,
        folder,
        keylog,
        *,
        alpn=("h2",),
        version=ssl.TLSVersion.TLSv1_3,
        client_certificate=None,
    ):
        certificate, key = _certificate()
        pem = folder / "server.pem"
        pem.write_bytes(key + certificate)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.load_cert_chain(pem)
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        if client_certificate is not None:
            server.verify_mode = ssl.CERT_OPTIONAL
            server.load_verify_locations(cadata=certificate.decode())
        if client_certificate:
            client.load_cert_chain(pem)
        for context in (server, client):
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(list(alpn))
        client.keylog_filename = str(keylog)
        self.flights: list[Flight] = []
        self._bios = {end: (ssl.MemoryBIO(), ssl.MemoryBIO()) for end in (True, False)}
        self._tls = {
            True: client.wrap_bio(*self._bios[True]),
            False: server.wrap_bio(*self._bios[False], server_side=True),
        }
        self.h2 = {
            up: h2.connection.H2Connection(
                h2.config.H2Configuration(client_side=up, header_encoding="utf-8")
            )
            for up in (True, False)
        }
        for _ in range(3):
            for end in (True, False):
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls[end].do_handshake()
                self._carry(end)
        for end in (True, False):
            self.h2[end].initiate_connection()
            self.send(end)

    def _carry(self, end):
        octets = self._bios[end][1].read()
        if octets:
            self.flights.append(Flight(end, octets))
            self._bios[not end][0].write(octets)

    def send(self, end):
        """Send what an end's HTTP/2 has to say, and let the other read it."""
        octets = self.h2[end].data_to_send()
        for at in range(0, len(octets), 16384):
            self._tls[end].write(octets[at : at + 16384])
        self._carry(end)
        self._read(not end)

    def raw(self, end, octets):
        """Send octets of any kind in one record, past HTTP/2."""
        self._tls[end].write(octets)
        self._carry(end)

    def _read(self, end):
        while True:
            try:
                octets = self._tls[end].read(1 << 16)
            except ssl.SSLWantReadError:
                return
            if not octets:
                return
            self.h2[end].receive_data(octets)

    def connect(self, stream, *headers, method="CONNECT"):
        self.h2[True].send_headers(
            stream, [(":method", method), (":authority", "10.0.0.9:8080"), *headers]
        )
        self.send(True)

    def answer(self, stream, status=200, *, end=False):
        self.h2[False].send_headers(stream, [(":status", str(status))], end_stream=end)
        self.send(False)

    def data(self, end, stream, octets, *, last=False, padding=None):
        """Send DATA, in frames of 16,384 octets: with its header one does not fit a record."""
        for at in range(0, len(octets) or 1, 16384):
            piece = octets[at : at + 16384]
            ends = last and at + 16384 >= len(octets)
            self.h2[end].send_data(stream, piece, end_stream=ends, pad_length=padding)
        self.send(end)

    def reset(self, end, stream, code=8):
        self.h2[end].reset_stream(stream, code)
        self.send(end)


class Packet(NamedTuple):
    """One frame of a capture."""

    time_ns: int
    octets: bytes
    wire_bytes: int


def tcp_packets(
    flights,
    *,
    mss=1400,
    client=("10.0.0.1", 40000),
    server=("10.0.0.9", 15008),
    isn=(77, 4_294_967_000),
    start_ns=T0,
):
    """Return a whole TCP connection as raw IPv4 packets: handshake, flights, FINs."""
    ends = {True: client, False: server}
    sent = {True: isn[0], False: isn[1]}
    clock = itertools.count(start_ns, STEP)
    packets = []

    def segment(up, flags, payload=b""):
        source, destination = ends[up], ends[not up]
        packets.append(
            Packet(
                next(clock),
                *_ipv4(source, destination, sent[up], sent[not up], flags, payload),
            )
        )
        sent[up] = (sent[up] + len(payload) + bool(flags & (SYN | FIN))) % 2**32

    segment(True, SYN)
    segment(False, SYN | ACK)
    segment(True, ACK)
    for up, octets in flights:
        for at in range(0, len(octets), mss):
            segment(up, ACK | PSH, octets[at : at + mss])
    segment(True, FIN | ACK)
    segment(False, FIN | ACK)
    segment(True, ACK)
    return packets


def _ipv4(source, destination, sequence, acknowledgment, flags, payload):
    tcp = struct.pack(
        ">HHIIBBHHH", source[1], destination[1], sequence,
        0 if flags == SYN else acknowledgment, 5 << 4, flags, 1000, 0, 0,
    )  # fmt: skip
    size = 20 + len(tcp) + len(payload)
    addresses = b"".join(bytes(map(int, one[0].split("."))) for one in (source, destination))
    ip = struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 6, 0) + addresses
    return ip + tcp + payload, size


def vxlan(packet, *, port=4789):
    """Return a raw IPv4 packet inside VXLAN inside raw IPv4."""
    inner = bytes(12) + b"\x08\0" + packet.octets
    udp = struct.pack(">HHHH", 50000, port, 16 + len(inner), 0)
    header = b"\x08\0\0\0" + (1).to_bytes(3) + b"\0"
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 36 + len(inner), 0, 0, 64, 17, 0)
    octets = ip + bytes((172, 18, 0, 2, 172, 18, 0, 3)) + udp + header + inner
    return Packet(packet.time_ns, octets, len(octets))


def cut(packet, snaplen):
    return packet._replace(octets=packet.octets[:snaplen])


def write_pcap(path, packets):
    """Write a nanosecond pcap of raw IP packets."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 101))
        for time_ns, octets, wire_bytes in packets:
            file.write(struct.pack("<IIII", *divmod(time_ns, 10**9), len(octets), wire_bytes))
            file.write(octets)
    return path


def write_pcapng(path, interfaces, *, secrets=b""):
    """Write a pcapng with one interface per list of packets, and a key log where there is one."""

    def block(kind, body):
        body += bytes(-len(body) % 4)
        size = 12 + len(body)
        return struct.pack("<II", kind, size) + body + struct.pack("<I", size)

    octets = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    nanoseconds = struct.pack("<HHBxxxHH", 9, 1, 9, 0, 0)
    octets += [block(1, struct.pack("<HHI", 101, 0, 0) + nanoseconds) for _ in interfaces]
    if secrets:
        octets.append(block(10, struct.pack("<II", 0x544C534B, len(secrets)) + secrets))
    for index, packets in enumerate(interfaces):
        for time_ns, data, wire_bytes in packets:
            header = struct.pack(
                "<IIIII", index, time_ns >> 32, time_ns % 2**32, len(data), wire_bytes
            )
            octets.append(block(6, header + data))
    path.write_bytes(b"".join(octets))
    return path

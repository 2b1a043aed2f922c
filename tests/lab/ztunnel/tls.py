# SPDX-License-Identifier: Apache-2.0
"""Mutual TLS 1.3 over an Endpoint, one `send` for each write.

As ztunnel does it: ALPN `h2`, no SNI, both ends show SPIFFE certificates of the same root.
The standard library's OpenSSL writes handshake messages as records of their own and sends two
session tickets in two records, where ztunnel's rustls packs each flight into one record: sizes
before the first application data therefore differ. Application data is cut alike, at 16,384 bytes.
"""

from __future__ import annotations

import contextlib
import ssl
from functools import cache

from tests.lab.ztunnel.config import TlsFiles
from tests.lab.ztunnel.endpoint import Sent, Wire

ALPN = "h2"

_WIRE_READ_BYTES = 18 * 1024
"""One record and a little, so that a receive stamp is that of its own record."""
_RECORD_BYTES = 16 * 1024


@cache
def context(files: TlsFiles, keylog: str | None, *, server: bool) -> ssl.SSLContext:
    """Return the context of one identity. Raises OSError and ssl.SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # a peer is known by its SPIFFE ID
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(files.ca)
    made.load_cert_chain(files.cert, files.key)
    made.set_alpn_protocols([ALPN])
    # Tickets name a session instead of holding it: 74 bytes, near ztunnel's 81.
    made.options |= ssl.OP_NO_TICKET
    if keylog:
        made.keylog_filename = keylog
    return made


class TlsChannel:
    """Reads and writes of application data; `open` first."""

    def __init__(self, endpoint: Wire, made: ssl.SSLContext, *, server: bool) -> None:
        self.endpoint = endpoint
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = made.wrap_bio(self._incoming, self._outgoing, server_side=server)

    async def open(self) -> None:
        """Shake hands. Raises OSError, of which ssl.SSLError is one."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._read_wire()
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return

    @property
    def peer_identity(self) -> str:
        """The SPIFFE ID of the peer's verified certificate; empty if it has none."""
        certificate = self._tls.getpeercert() or {}
        names = certificate.get("subjectAltName", ())
        assert isinstance(names, tuple)
        for name in names:
            kind, value = name[0], name[1]
            if kind == "URI" and str(value).startswith("spiffe://"):
                return str(value)
        return ""

    async def receive(self) -> tuple[bytes, int | None]:
        """Return one record's data and its kernel receive stamp; b"" is the end.

        Raises OSError on a reset or damage.
        """
        stamp: int | None = None
        while True:
            try:
                data = self._tls.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                stamp = await self._read_wire()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b"", stamp
            else:
                self._stamp = stamp or self._stamp
                return data, self._stamp

    _stamp: int | None = None

    async def _read_wire(self) -> int | None:
        found = await self.endpoint.receive(_WIRE_READ_BYTES)
        if found.data:
            self._incoming.write(found.data)
        else:
            self._incoming.write_eof()
        return found.kernel_rx_ns

    def write(self, data: bytes, sent: Sent | None = None) -> None:
        """Send `data` as one record, or as several full ones and the rest."""
        self._tls.write(data)
        self._flush(sent)

    def finish(self) -> None:
        """Send close_notify."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def _flush(self, sent: Sent | None = None) -> None:
        if self._outgoing.pending:
            self.endpoint.queue(self._outgoing.read(), sent)

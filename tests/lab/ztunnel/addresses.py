# SPDX-License-Identifier: Apache-2.0
"""Sockets that take and use other people's addresses, as transparent proxies do.

Constants of Linux (include/uapi/linux/in.h, in6.h, netfilter_ipv4.h) that Python does not name.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from tests.lab.ztunnel.config import Address

_SO_MARK = 36
_IP_FREEBIND, _IP_TRANSPARENT, _IP_BIND_ADDRESS_NO_PORT = 15, 19, 24
_IPV6_TRANSPARENT, _IPV6_FREEBIND = 75, 78
_SO_ORIGINAL_DST = 80
_BACKLOG = 1024


def family_of(host: str) -> socket.AddressFamily:
    """Return AF_INET6 for an address with colons, else AF_INET."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def listener(address: Address, *, transparent: bool, mark: int) -> socket.socket:
    """Return a listening socket; raises OSError."""
    sock = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transparent:
            _set_transparent(sock)
        # Sockets inherit the mark of the listener, so replies carry it too.
        _set_mark(sock, mark)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def original_destination(sock: socket.socket, *, redirected: bool) -> Address:
    """Return where a client meant to connect to.

    redirected: netfilter's REDIRECT changed it (SO_ORIGINAL_DST knows); otherwise (TPROXY,
    sk_assign) the socket has the destination as its own address, as it has without redirection.
    """
    own = sock.getsockname()[:2]
    if not redirected:
        return own[0], own[1]
    level, length = (
        (socket.IPPROTO_IPV6, 28) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, 16)
    )
    try:
        data = sock.getsockopt(level, _SO_ORIGINAL_DST, length)
    except OSError:
        return own[0], own[1]
    (port,) = struct.unpack_from("!H", data, 2)
    packed = data[8:24] if sock.family == socket.AF_INET6 else data[4:8]
    return socket.inet_ntop(sock.family, packed), port


def outgoing(to: Address, *, source: str | None, mark: int) -> socket.socket:
    """Return a socket that is ready to connect to an address of `to`'s family.

    source: an IP address to connect from, which need not be the machine's own.
    """
    sock = socket.socket(family_of(to[0]), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set_mark(sock, mark)
        if source is not None and family_of(source) == sock.family:
            # Without the capability only the machine's own addresses can be used; bind says so.
            with contextlib.suppress(PermissionError):
                _set_transparent(sock)
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def datagrams(to: Address, *, mark: int) -> socket.socket:
    """Return a UDP socket that is connected to an address; raises OSError."""
    sock = socket.socket(family_of(to[0]), socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        _set_mark(sock, mark)
        sock.connect(to)
    except BaseException:
        sock.close()
        raise
    return sock


def _set_transparent(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)


def _set_mark(sock: socket.socket, mark: int) -> None:
    if mark:
        sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, mark)

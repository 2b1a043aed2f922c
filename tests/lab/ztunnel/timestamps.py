# SPDX-License-Identifier: Apache-2.0
"""Kernel time stamps of TCP data (Documentation/networking/timestamping.rst of Linux).

What TCP allows. Receiving: a read is stamped with the arrival of the *last* segment it took bytes
from, in software, when the packet entered the network stack; data that waited looks its true age.
Sending: the kernel reports when the segment that holds the *last* byte of a `send` was handed to
the device, on the socket's error queue, named by that byte's offset (OPT_ID). A report is lost when
a later `send` adds to the same segment before it leaves (an skb keeps one offset), so in bulk
transfers a third to a half of the sends have none. MSG_EOR would prevent that and change the
segments, so it is not used.
Both are CLOCK_REALTIME, the clock of captures.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

_SO_TIMESTAMPING = 37
_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 3, 1 << 4
_OPT_ID, _OPT_TSONLY, _OPT_ID_TCP = 1 << 7, 1 << 11, 1 << 16
_RECEIVE = _RX_SOFTWARE | _SOFTWARE
_BOTH = _RECEIVE | _TX_SOFTWARE | _OPT_ID | _OPT_TSONLY

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ORIGIN_TIMESTAMPING, _SENT = 4, 0
_TIMES = struct.Struct("=6q")  # struct scm_timestamping: three timespec
_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err
ANCILLARY_BYTES = 256
_MAX_PENDING = 4096
_OFFSET_MASK = 0xFFFF_FFFF

Ancillary = list[tuple[int, int, bytes]]
Report = Callable[[int | None], None]


def stamp_reception(sock: socket.socket) -> bool:
    """Ask for receive stamps, on a listener for the sockets it accepts; say whether it works."""
    return _set(sock, _RECEIVE)


def stamp_both(sock: socket.socket) -> bool:
    """Ask for stamps both ways on a connected socket; offsets count from here."""
    # Without OPT_ID_TCP (Linux 6.2) the count starts at the last byte acknowledged: the same here.
    return _set(sock, _BOTH | _OPT_ID_TCP) or _set(sock, _BOTH)


def _set(sock: socket.socket, flags: int) -> bool:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
    except OSError:
        return False
    return True


def received_ns(ancillary: Ancillary) -> int | None:
    """Return the software stamp among a message's ancillary data, in ns."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING and len(data) >= _TIMES.size:
            seconds, nanoseconds, *_ = _TIMES.unpack_from(data)
            return seconds * 1_000_000_000 + nanoseconds or None
    return None


class Departures:
    """Matches reports on a socket's error queue with the sends they are about."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # Several chunks may leave in one record, by one send.
        self._pending: dict[int, list[Report]] = {}

    def expect(self, end_offset: int, report: Report) -> None:
        """Call `report` with the stamp of the byte before `end_offset`, or with None."""
        self._pending.setdefault((end_offset - 1) & _OFFSET_MASK, []).append(report)
        if len(self._pending) > _MAX_PENDING:
            self._answer(next(iter(self._pending)), None)

    def _answer(self, offset: int, stamp_ns: int | None) -> None:
        for report in self._pending.pop(offset, ()):
            report(stamp_ns)

    def collect(self) -> None:
        """Read what the error queue holds."""
        while self._pending:
            try:
                _, ancillary, _, _ = self._sock.recvmsg(0, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except OSError:
                return
            offset = _offset(ancillary)
            if offset is not None:
                self._answer(offset, received_ns(ancillary))

    def discard(self) -> None:
        """Empty the error queue, whatever is in it, so that the socket is no longer ready."""
        self.collect()
        with contextlib.suppress(OSError):
            while True:
                self._sock.recvmsg(0, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)

    def give_up(self) -> None:
        """Collect a last time; what is still unknown stays so."""
        self.collect()
        for offset in list(self._pending):
            self._answer(offset, None)


def _offset(ancillary: Ancillary) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) not in {
            (socket.IPPROTO_IP, _IP_RECVERR),
            (socket.IPPROTO_IPV6, _IPV6_RECVERR),
        } or len(data) < _ERROR.size:
            continue
        _, origin, _, _, _, info, offset = _ERROR.unpack_from(data)
        if origin == _ORIGIN_TIMESTAMPING and info == _SENT:
            return int(offset)
    return None

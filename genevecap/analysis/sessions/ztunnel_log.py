# SPDX-License-Identifier: Apache-2.0
"""ztunnel's access log: what each ztunnel says of the connections that it carried.

istio/ztunnel src/proxy/metrics.rs (events of target `access`) and src/telemetry.rs (the two forms),
1.22 to 1.31.  One line is written when a connection ends::

    TIME TAB LEVEL TAB access TAB connection complete TAB src.addr=IP:PORT src.workload="…" …
    {"level":"info","time":"…","scope":"access","message":"connection complete","src.addr":"…",…}

The first is the default, the second what `LOG_FORMAT=json` gives.  An outbound line is the client's
ztunnel: `src.addr` is the client's own connection.  An inbound line is the server's: `src.addr` is
the HBONE connection's client end.  The format is not stable, so a line is taken for what it says
and no more: unknown fields are passed over, missing ones are None.

Lines of other kinds are passed over, and so is what log collectors put before a line (containerd's
and CRI-O's time and stream, `kubectl logs --prefix`); Docker's `{"log": …}` is unwrapped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from ...addresses import address_text, endpoint_text, parse_address
from ...errors import UnreadableCapture

MAX_LINE_BYTES = 1 << 16
"""Of a line: the rest of a longer one is passed over."""

ENDED = frozenset(("connection complete", "connection failed"))
"""Messages that say a connection is over: `connection failed` is one denied early."""

_TEXT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z)\s+(?P<level>[a-z]+)\s+"
    r"access\s+(?P<message>[a-z ]+[a-z])\s+(?P<fields>[a-z]+[a-z._]*=.*)"
)
_FIELD = re.compile(r'([a-z][a-z_.]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z")
_DURATION = re.compile(r"(\d{1,15})ms")
_NUMBER = re.compile(r"\d{1,18}")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPeer:
    """One end of a connection as the log names it; None where it does not."""

    address: str | None
    """`ip:port`, canonical."""
    workload: str | None
    namespace: str | None
    identity: str | None
    """SPIFFE, verified by mutual TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedConnection:
    """One line of the access log: a connection that ended.  All text is as it was logged."""

    path: str
    line: int
    """Of the file, from 1."""
    time_ns: int
    """When it was logged, which is when it ended, by the clock of ztunnel's node."""
    direction: str | None
    """`outbound` or `inbound`."""
    source: LogPeer
    destination: LogPeer
    """Its address is that of the HBONE connection (port 15008), or of the server without HBONE."""
    hbone_address: str | None
    """`ip:port` or `host:port`: the target of the CONNECT request."""
    service: str | None
    up_bytes: int | None
    """Of the client's to the server: `bytes_sent` of an outbound line, `bytes_recv` of an inbound
    one (each ztunnel counts from where it stands)."""
    down_bytes: int | None
    duration_ns: int | None
    """Whole milliseconds, rounded down."""
    error: str | None
    """Why it failed; None where it was complete."""


def read_log(path: str) -> Iterator[LoggedConnection]:
    """Yield the connections of one log file, in its order; everything else is passed over.

    Memory does not grow with the file.  Raises UnreadableCapture where it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in _lines(file):
                connection = read_line(line, path=path, number=number)
                if connection is not None:
                    yield connection
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableCapture(path, f"cannot be read: {reason or error}") from error


def read_line(line: str, *, path: str = "", number: int = 0) -> LoggedConnection | None:
    """Return what one line says of a connection that ended, or None."""
    if "access" not in line:
        return None
    fields = _json_fields(line) if line.lstrip().startswith("{") else _text_fields(line)
    if fields is None or fields.get("message") not in ENDED:
        return None
    time_ns = _time_ns(fields.get("time"))
    if time_ns is None:
        return None
    direction = fields.get("direction")
    sent, received = _number(fields.get("bytes_sent")), _number(fields.get("bytes_recv"))
    if direction == "inbound":
        sent, received = received, sent
    return LoggedConnection(
        path=path,
        line=number,
        time_ns=time_ns,
        direction=direction,
        source=_peer(fields, "src"),
        destination=_peer(fields, "dst"),
        hbone_address=_endpoint(fields.get("dst.hbone_addr")) or fields.get("dst.hbone_addr"),
        service=fields.get("dst.service"),
        up_bytes=sent,
        down_bytes=received,
        duration_ns=_duration_ns(fields.get("duration")),
        error=fields.get("error"),
    )


def _lines(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of lines; of one that is too long, its beginning."""
    number, inside = 0, False
    while piece := file.readline(MAX_LINE_BYTES):
        if not inside:
            number += 1
            yield number, piece.decode("utf-8", "replace")
        inside = not piece.endswith(b"\n")


def _text_fields(line: str) -> Mapping[str, str] | None:
    match = _TEXT.search(line)
    if match is None:
        return None
    fields = {"time": match["time"], "message": match["message"]}
    for name, quoted, plain in _FIELD.findall(match["fields"]):
        fields.setdefault(name, plain or _unescape(quoted))
    return fields


def _unescape(text: str) -> str:
    r"""Undo Rust's `{:?}`: `\"`, `\\`, `\n`, `\u{1b}`."""

    def character(match: re.Match[str]) -> str:
        if match[1] is None:
            return _PLAIN.get(match[2], match[2])
        code = int(match[1], 16)
        return chr(code) if code < 0x110000 else "\N{REPLACEMENT CHARACTER}"

    return _ESCAPE.sub(character, text) if "\\" in text else text


def _json_fields(line: str) -> Mapping[str, str] | None:
    row = _json_object(line)
    if row is not None and isinstance(row.get("log"), str) and "scope" not in row:
        inner = row["log"]
        if not inner.lstrip().startswith("{"):
            return _text_fields(inner)
        row = _json_object(inner)
    if row is None or row.get("scope") != "access":
        return None
    return {
        name: str(value)
        for name, value in row.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _peer(fields: Mapping[str, str], end: str) -> LogPeer:
    return LogPeer(
        address=_endpoint(fields.get(f"{end}.addr")),
        workload=fields.get(f"{end}.workload"),
        namespace=fields.get(f"{end}.namespace"),
        identity=fields.get(f"{end}.identity"),
    )


def _endpoint(text: str | None) -> str | None:
    """Return `ip:port` in canonical form; None where it is something else."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not _NUMBER.fullmatch(port) or int(port) > 0xFFFF:
        return None
    try:
        address = parse_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return endpoint_text(address_text(*address), int(port))


def _time_ns(text: str | None) -> int | None:
    """Return nanoseconds of RFC 3339 in UTC, as ztunnel writes it; never through a float."""
    match = _TIME.fullmatch(text or "")
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND
    return seconds * 10**9 + int((match[7] or "0").ljust(9, "0"))


_SECOND = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def _duration_ns(text: str | None) -> int | None:
    match = _DURATION.fullmatch(text or "")
    return None if match is None else int(match[1]) * 10**6

# SPDX-License-Identifier: Apache-2.0
"""TLS records of HBONE connections in a capture, named by what they hold (tshark decrypts them)."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PORT = 15008
_APPLICATION_DATA = "23"
_OVERHEAD_BYTES = 17
"""Tag and content type of a TLS 1.3 record."""
_FRAME_HEADER_BYTES = 9
_TYPES = {
    "0": "DATA", "1": "HEADERS", "3": "RST_STREAM", "4": "SETTINGS", "6": "PING", "7": "GOAWAY",
    "8": "WINDOW_UPDATE",
}  # fmt: skip
_SMALL_BYTES = 256
_LIMIT_S = 120

_FIELDS = (
    "tcp.stream", "tcp.srcport", "tls.record.content_type", "tls.record.length", "http2.type",
    "http2.length", "http2.flags", "http2.streamid", "http2.headers.status", "tcp.flags.fin",
    "tcp.flags.reset",
)  # fmt: skip


class CannotDissect(Exception):
    """A set cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One HTTP/2 frame."""

    kind: str
    length: int
    flags: int
    stream: int

    @property
    def ends_stream(self) -> bool:
        """END_STREAM (RFC 9113, sections 6.1 and 6.2)."""
        return self.kind in {"DATA", "HEADERS"} and bool(self.flags & 1)

    def __str__(self) -> str:
        if self.kind == "DATA" and not self.length:
            return "END_STREAM"
        if self.kind in {"SETTINGS", "PING"} and self.flags & 1:
            return f"{self.kind} ACK"
        return self.kind


@dataclass(slots=True)
class Dissection:
    """What the HBONE connections of one capture show."""

    sizes: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Record lengths by what the record holds."""
    openings: Counter[str] = field(default_factory=Counter)
    """Connections by their first records after the handshake, both directions apart."""
    stream_ends: Counter[str] = field(default_factory=Counter)
    """Streams by the order in which their directions ended."""
    connection_ends: Counter[str] = field(default_factory=Counter)
    """Connections by GOAWAY, close_notify and TCP's own end, of the client's side."""


def dissect(capture: Path, keylog: Path) -> Dissection:
    """Read a pcap or pcapng file (or either as .gz). Raises CannotDissect."""
    if shutil.which("tshark") is None:
        raise CannotDissect("tshark is not installed")
    with tempfile.TemporaryDirectory(prefix="genevecap-compare-") as folder:
        path = capture
        if capture.suffix == ".gz":
            path = Path(folder) / capture.stem
            with gzip.open(capture) as packed, path.open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        streams: dict[str, list[list[str]]] = defaultdict(list)
        for row in _rows(path, keylog):
            streams[row[0]].append(row)
    found = Dissection()
    for rows in streams.values():
        _connection(rows, found)
    if not found.sizes:
        raise CannotDissect(f"{capture} holds no HBONE that {keylog} opens")
    return found


def _rows(capture: Path, keylog: Path) -> Iterator[list[str]]:
    command = ["tshark", "-r", str(capture), "-o", f"tls.keylog_file:{keylog}"]
    command += ["-d", f"tcp.port=={PORT},tls", "-Y", f"tcp.port=={PORT}", "-T", "fields"]
    for name in _FIELDS:
        command += ["-e", name]
    told = subprocess.run(
        command, capture_output=True, text=True, timeout=_LIMIT_S, check=False, errors="replace"
    )
    if told.returncode:
        raise CannotDissect(f"tshark: {told.stderr.strip()}")
    for line in told.stdout.splitlines():
        yield line.split("\t")


def _connection(rows: list[list[str]], found: Dissection) -> None:
    """Name the records of one TCP connection."""
    first: dict[bool, list[str]] = {True: [], False: []}
    ends: dict[int, list[str]] = defaultdict(list)
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    last: list[str] = []
    for row in rows:
        up = row[1] != str(PORT)
        for length, frames in _records(row):
            name = _name(frames, row[8], up, seen[up])
            found.sizes[name][length] += 1
            if len(first[up]) < 4:
                first[up].append(f"{length} {name}" if _has_fixed_size(frames) else name)
            _note_ends(frames, up, ends)
            if up and any(frame.kind == "GOAWAY" for frame in frames):
                last.append("GOAWAY")
        if up and last:
            _note_close(row, last)
    if not any(first.values()):
        return  # a handshake at most
    for up, names in first.items():
        found.openings[f"{'up' if up else 'down'}: {', '.join(names)}"] += 1
    for order in ends.values():
        found.stream_ends[", ".join(order)] += 1
    found.connection_ends[", ".join(last) or "open at the end of the capture"] += 1


def _note_close(row: list[str], last: list[str]) -> None:
    if "19" in row[3].split(","):
        last.append("close_notify")
    for column, name in ((9, "FIN"), (10, "RST")):
        if row[column] in {"1", "True"} and name not in last:
            last.append(name)


def _records(row: list[str]) -> Iterator[tuple[int, list[Frame]]]:
    """Yield the application data records of one packet and the frames in each.

    tshark lists records and frames of a packet apart; lengths say which frame is in which record.
    Records without frames (handshake, tickets, alerts) and those that end in a later packet are
    left out.
    """
    lengths = [int(text) for text in row[3].split(",") if text]
    kinds = [text for text in row[2].split(",") if text]
    if len(kinds) < len(lengths):  # tshark gives encrypted records no content type of their own
        kinds += [_APPLICATION_DATA] * (len(lengths) - len(kinds))
    frames = _frames(row)
    for length in lengths:
        inside: list[Frame] = []
        room = length - _OVERHEAD_BYTES
        while frames and frames[0].length + _FRAME_HEADER_BYTES <= room:
            room -= frames[0].length + _FRAME_HEADER_BYTES
            inside.append(frames.pop(0))
        if inside and not room:
            yield length, inside
        else:
            frames = inside + frames


def _frames(row: list[str]) -> list[Frame]:
    columns = [row[column].split(",") if row[column] else [] for column in (4, 5, 6, 7)]
    return [
        Frame(_TYPES.get(kind, kind), int(length), int(flags, 16), int(stream))
        for kind, length, flags, stream in zip(*columns, strict=False)
    ]


def _name(frames: list[Frame], status: str, up: bool, seen: set[str]) -> str:
    kinds = [str(frame) for frame in frames]
    if "HEADERS" in kinds:
        what = "CONNECT" if up else status.partition(",")[0]
        order = "later" if what in seen else "first"
        seen.add(what)
        kinds = [f"{what} ({order})" if kind == "HEADERS" else kind for kind in kinds]
    data = [frame for frame in frames if frame.kind == "DATA" and frame.length]
    if len(frames) == 1 and data:
        return (
            "DATA alone, of 256 bytes and more" if data[0].length >= _SMALL_BYTES else "DATA alone"
        )
    return " + ".join(kinds)


def _has_fixed_size(frames: list[Frame]) -> bool:
    return not any(frame.kind in {"DATA", "HEADERS"} and frame.length for frame in frames)


def _note_ends(frames: list[Frame], up: bool, ends: dict[int, list[str]]) -> None:
    for frame in frames:
        side = "up" if up else "down"
        if frame.ends_stream:
            ends[frame.stream].append(f"{side} END_STREAM")
        elif frame.kind == "RST_STREAM":
            ends[frame.stream].append(f"{side} RST_STREAM")

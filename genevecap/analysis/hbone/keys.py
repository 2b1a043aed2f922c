# SPDX-License-Identifier: Apache-2.0
"""TLS key logs: files in the form of SSLKEYLOGFILE, and those that captures carry.

RFC 9850: one secret a line, `LABEL CLIENT_RANDOM SECRET`, both in hex.  A key log
holds the keys of everything its writer did, so only lines of HBONE connections leave this module,
for a file that nobody else may read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ...errors import GenevecapError, UnreadableCapture

MAX_KEYLOG_BYTES = 1 << 28
"""Of all key logs of a run: they are held in memory."""

_LINE = re.compile(rb"([A-Z][A-Z0-9_]{0,63}) ([0-9A-Fa-f]{64}) ([0-9A-Fa-f]{2,256})\s*")
_NEEDED = (
    b"CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    b"SERVER_HANDSHAKE_TRAFFIC_SECRET",
    b"CLIENT_TRAFFIC_SECRET_0",
    b"SERVER_TRAFFIC_SECRET_0",
)
"""What TLS 1.3 is opened with; HBONE is TLS 1.3 (istio/ztunnel src/tls)."""


class KeyLog:
    """The secrets that are known, by client random."""

    def __init__(self) -> None:
        self._lines: dict[bytes, dict[bytes, bytes]] = {}
        self._bytes = 0

    def read(self, path: str) -> None:
        """Add the secrets of a file.

        Raises UnreadableCapture where it cannot be read, GenevecapError where no line of it is a
        secret or there are too many.
        """
        try:
            with Path(path).open("rb") as file:
                octets = file.read(MAX_KEYLOG_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UnreadableCapture(path, f"cannot be read: {reason or error}") from error
        if len(octets) > MAX_KEYLOG_BYTES:
            raise GenevecapError(
                f"{path}: a key log over {MAX_KEYLOG_BYTES >> 20} MiB is not read; give an excerpt"
            )
        if not self.add(octets) and octets.strip():
            raise GenevecapError(
                f"{path}: not a TLS key log: no line is LABEL CLIENT_RANDOM SECRET, as "
                "SSLKEYLOGFILE has them"
            )

    def add(self, octets: bytes) -> int:
        """Add the secrets of a key log's octets; return how many lines were secrets."""
        found = 0
        for line in octets.splitlines():
            match = _LINE.fullmatch(line)
            if match is None:
                continue
            found += 1
            label = match[1]
            if label in _NEEDED and self._bytes + len(line) <= MAX_KEYLOG_BYTES:
                self._bytes += len(line)
                random = bytes.fromhex(match[2].decode())
                self._lines.setdefault(random, {})[label] = line.strip()
        return found

    def __bool__(self) -> bool:
        """Tell whether there is any secret of TLS 1.3."""
        return bool(self._lines)

    def lacks(self, random: bytes) -> str | None:
        """Return what is missing to open the connection of this client random; None if nothing."""
        lines = self._lines.get(random)
        if lines is None:
            return f"no keys are known for its client random {random.hex()}"
        missing = [label.decode() for label in _NEEDED if label not in lines]
        if missing:
            return f"the key log has no {', '.join(missing)} for its client random {random.hex()}"
        return None

    def excerpt(self, randoms: Iterable[bytes]) -> bytes:
        """Return the key log of these connections alone."""
        return b"".join(
            line + b"\n" for random in randoms for line in self._lines.get(random, {}).values()
        )

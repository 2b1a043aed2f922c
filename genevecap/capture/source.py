# SPDX-License-Identifier: Apache-2.0
"""Bytes of a capture: a file, standard input, gzip or zstd, all behind one `readinto`.

Compression is told by its first octets, never by a file name.  All members of a gzip file and all
frames of a zstd file are read.  A compressed stream that ends early (it is still being written) is
`truncated`; one that contradicts itself raises `StreamDamage`, after everything good was given.
"""

from __future__ import annotations

import os
import stat
import sys
import zlib
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import UnreadableCapture

if TYPE_CHECKING:
    import zstandard

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)  # RFC 8878 section 3.1.2
_GZIP_CHUNK_BYTES = 1 << 16
_ZSTD_CHUNK_BYTES = 1 << 10
"""Small, because zstd may turn 4 octets into 128 KiB: memory stays under 32 MiB a step."""

_ZSTD_WINDOW_LOG_MAX = 27


class StreamDamage(Exception):
    """Compressed data that contradicts itself; the message says how."""


class ByteSource(Protocol):
    """Octets in order, decompressed."""

    compression: str | None
    """`gzip`, `zstd` or None."""
    size: int | None
    """Octets of the file as stored, None for a pipe."""
    live: bool
    """Whether it is a pipe: more may come, and what has come should be shown."""
    truncated: bool
    """Whether a compressed stream ended before its end."""

    def readinto(self, view: memoryview) -> int:
        """Fill `view` from its start; return the octets written, 0 at the end."""

    def position(self) -> int:
        """Return the octets consumed as stored: against `size`, how far reading is."""

    def close(self) -> None:
        """Give the file back."""


class PlainSource:
    """A file or a pipe as it is."""

    compression: str | None = None
    truncated = False

    def __init__(self, file: BinaryIO, path: str, *, close: bool) -> None:
        self._file = file
        self._path = path
        self._close = close
        self._consumed = 0
        self._pushed_back = b""
        mode = os.fstat(file.fileno()).st_mode
        self.live = not stat.S_ISREG(mode)
        self.size = None if self.live else os.fstat(file.fileno()).st_size

    def peek(self, count: int) -> bytes:
        """Return the first `count` octets, fewer at the end, without consuming them."""
        head = bytearray()
        while len(head) < count:
            piece = self._read(count - len(head))
            if not piece:
                break
            head += piece
        self._pushed_back = bytes(head)
        self._consumed -= len(head)
        return self._pushed_back

    def read(self, count: int) -> bytes:
        """Return up to `count` octets, none at the end."""
        if self._pushed_back:
            piece, self._pushed_back = self._pushed_back, b""
            self._consumed += len(piece)
            return piece
        return self._read(count)

    def _read(self, count: int) -> bytes:
        try:
            piece = os.read(self._file.fileno(), count)
        except OSError as error:
            raise UnreadableCapture(self._path, _why(error)) from error
        self._consumed += len(piece)
        return piece

    def readinto(self, view: memoryview) -> int:
        """See `ByteSource`."""
        if self._pushed_back:
            count = min(len(view), len(self._pushed_back))
            view[:count] = self._pushed_back[:count]
            self._pushed_back = self._pushed_back[count:]
        else:
            try:
                count = os.readv(self._file.fileno(), [view])
            except OSError as error:
                raise UnreadableCapture(self._path, _why(error)) from error
        self._consumed += count
        return count

    def position(self) -> int:
        """See `ByteSource`."""
        return self._consumed

    def close(self) -> None:
        """See `ByteSource`."""
        if self._close:
            self._file.close()


class _Compressed:
    """What both compressions share: the stored file below, and output kept for the next call."""

    def __init__(self, stored: PlainSource) -> None:
        self._stored = stored
        self.size = stored.size
        self.live = stored.live
        self.truncated = False
        self._pending = memoryview(b"")
        self._done = False
        self._damage: StreamDamage | None = None

    def readinto(self, view: memoryview) -> int:
        """See `ByteSource`; raises StreamDamage once everything before the damage was given."""
        while not self._pending and not self._done:
            self._pending = memoryview(self._more(len(view)))
        if not self._pending and self._damage is not None:
            raise self._damage
        count = min(len(view), len(self._pending))
        view[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count

    def _more(self, wanted: int) -> bytes:
        """Return the next decompressed octets; set `_done` at the end or at damage."""
        raise NotImplementedError

    def position(self) -> int:
        """See `ByteSource`."""
        return self._stored.position()

    def close(self) -> None:
        """See `ByteSource`."""
        self._stored.close()


class GzipSource(_Compressed):
    """Every member of a gzip file (RFC 1952); zero padding after the last is allowed."""

    compression = "gzip"

    def __init__(self, stored: PlainSource) -> None:
        super().__init__(stored)
        self._member = zlib.decompressobj(31)
        self._input = b""

    def _more(self, wanted: int) -> bytes:
        if self._member.eof and not self._next_member():
            self._done = True
            return b""
        if not self._input:
            self._input = self._stored.read(_GZIP_CHUNK_BYTES)
            if not self._input:
                self._done = self.truncated = True
                return b""
        try:
            output = self._member.decompress(self._input, wanted)
        except zlib.error as error:
            self._done = True
            self._damage = StreamDamage(f"gzip data is damaged ({error})")
            return b""
        self._input = self._member.unused_data or self._member.unconsumed_tail
        return output

    def _next_member(self) -> bool:
        """Begin the next member, if there is one."""
        rest = self._input.lstrip(b"\0")
        while not rest:
            piece = self._stored.read(_GZIP_CHUNK_BYTES)
            if not piece:
                return False
            rest = piece.lstrip(b"\0")
        self._input = rest
        if rest[:1] != GZIP_MAGIC[:1]:
            self._damage = StreamDamage("what follows the last gzip member is not gzip")
            return False
        self._member = zlib.decompressobj(31)
        return True


class ZstdSource(_Compressed):
    """Every frame of a zstd file (RFC 8878); skippable frames are skipped."""

    compression = "zstd"

    def __init__(self, stored: PlainSource) -> None:
        super().__init__(stored)
        import zstandard

        self._zstandard = zstandard
        self._context = zstandard.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG_MAX)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._skip = 0

    def _more(self, wanted: int) -> bytes:
        if not self._input:
            self._input = self._stored.read(_ZSTD_CHUNK_BYTES)
            if not self._input:
                self._done = True
                self.truncated = self._frame is not None or self._skip > 0
                return b""
        if self._skip:
            skipped = min(self._skip, len(self._input))
            self._skip -= skipped
            self._input = self._input[skipped:]
            return b""
        if self._frame is None:
            return self._begin_frame()
        try:
            output = self._frame.decompress(self._input)
        except self._zstandard.ZstdError as error:
            self._done = True
            self._damage = StreamDamage(f"zstd data is damaged ({error})")
            return b""
        self._input = b""
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = None
        return output

    def _begin_frame(self) -> bytes:
        while len(self._input) < 8:
            piece = self._stored.read(_ZSTD_CHUNK_BYTES)
            if not piece:
                self._done = self.truncated = True
                return b""
            self._input += piece
        magic = int.from_bytes(self._input[:4], "little")
        if magic in _ZSTD_SKIPPABLE:
            self._skip = 8 + int.from_bytes(self._input[4:8], "little")
        elif self._input[:4] == ZSTD_MAGIC:
            self._frame = self._context.decompressobj()
        else:
            self._done = True
            self._damage = StreamDamage("what follows the last zstd frame is not zstd")
        return b""


def open_source(path: str) -> ByteSource:
    """Open `path` (`-` is standard input) and look through its compression.

    Raises UnreadableCapture where the operating system refuses.
    """
    try:
        if path == "-":
            file: BinaryIO = sys.stdin.buffer
        else:
            file = open(path, "rb", buffering=0)  # noqa: SIM115  closed by the source
    except (OSError, ValueError) as error:
        raise UnreadableCapture(path, _why(error)) from error
    plain = PlainSource(file, path, close=path != "-")
    try:
        magic = plain.peek(4)
    except UnreadableCapture:
        plain.close()
        raise
    if magic.startswith(GZIP_MAGIC):
        return GzipSource(plain)
    if magic == ZSTD_MAGIC or (
        len(magic) == 4 and int.from_bytes(magic, "little") in _ZSTD_SKIPPABLE
    ):
        return ZstdSource(plain)
    return plain


def _why(error: OSError | ValueError) -> str:
    """Return what the operating system said, in its own words."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot be read: {text or error}"

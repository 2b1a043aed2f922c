# SPDX-License-Identifier: Apache-2.0
"""Bytes of a capture: a file, standard input, gzip or zstd, all behind one `readinto`.

Compression is told by its first octets, never by a file name.  All members of a gzip file and all
frames of a zstd file are read.  A compressed stream that ends early (it is still being written) is
`truncated`; one that contradicts itself raises `StreamDamage`, after everything good was given.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from ..errors import UnreadableCapture

if TYPE_CHECKING:
    import zstandard

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = tuple(bytes((0x50 + n, 0x2A, 0x4D, 0x18)) for n in range(16))
"""Magics of skippable frames (RFC 8878 section 3.1.2)."""

_CHUNK_BYTES = 1 << 16
_ZSTD_WINDOW_MAX_BYTES = 1 << 27
"""What the zstd program allows too; the window is held in memory."""

_T = TypeVar("_T")


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
        piece = self._patiently(lambda: os.read(self._file.fileno(), count))
        self._consumed += len(piece)
        return piece

    def _patiently(self, read: Callable[[], _T]) -> _T:
        """Return what `read` gives; wait where another program made our pipe non-blocking."""
        while True:
            try:
                return read()
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._file.fileno(), select.POLLIN)
                poll.poll()
            except OSError as error:
                raise UnreadableCapture(self._path, _why(error)) from error

    def readinto(self, view: memoryview) -> int:
        """See `ByteSource`."""
        if self._pushed_back:
            count = min(len(view), len(self._pushed_back))
            view[:count] = self._pushed_back[:count]
            self._pushed_back = self._pushed_back[count:]
        else:
            count = self._patiently(lambda: os.readv(self._file.fileno(), [view]))
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

    compression: str | None = "gzip"

    def __init__(self, stored: PlainSource) -> None:
        super().__init__(stored)
        self._member = zlib.decompressobj(31)
        self._input = b""
        self._more_inside = False
        """Whether zlib may hold output that it can give without further input."""

    def _more(self, wanted: int) -> bytes:
        if self._member.eof and not self._next_member():
            self._done = True
            return b""
        if not self._input and not self._more_inside:
            self._input = self._stored.read(_CHUNK_BYTES)
            if not self._input:
                self._done = self.truncated = True
                return b""
        before = self._member.copy()
        try:
            output = self._member.decompress(self._input, wanted)
        except zlib.error as error:
            self._done = True
            self._damage = StreamDamage(f"gzip data is damaged ({error})")
            return _output_before_error(before, self._input, wanted)
        self._more_inside = len(output) >= wanted
        self._input = self._member.unused_data or self._member.unconsumed_tail
        return output

    def _next_member(self) -> bool:
        """Begin the next member, if there is one."""
        rest = self._input.lstrip(b"\0")
        while not rest:
            piece = self._stored.read(_CHUNK_BYTES)
            if not piece:
                return False
            rest = piece.lstrip(b"\0")
        self._input = rest
        if rest[:1] != GZIP_MAGIC[:1]:
            self._damage = StreamDamage("what follows the last gzip member is not gzip")
            return False
        self._member = zlib.decompressobj(31)
        self._more_inside = False
        return True


def _output_before_error(member: zlib._Decompress, stored: bytes, wanted: int) -> bytes:
    """Return what can be decompressed before the error: zlib drops it when it reports one.

    member: its state before `stored`; wanted: octets asked for when the error came.
    """
    output = bytearray()
    for at in range(len(stored)):
        try:
            output += member.decompress(stored[at : at + 1], wanted - len(output))
        except zlib.error:
            break
        if len(output) >= wanted:
            break
    return bytes(output)


class ZstdSource(_Compressed):
    """Every frame of a zstd file (RFC 8878); skippable frames are skipped.

    A frame is given to the library in its own parts: header, blocks, checksum.  So an error loses
    no more than the part it is in, and a step makes one block at most, 128 KiB.
    """

    compression: str | None = "zstd"

    def __init__(self, stored: PlainSource) -> None:
        super().__init__(stored)
        import zstandard

        self._zstandard = zstandard
        self._context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._left = 0
        """Octets of the current part that are still to come."""
        self._in_blocks = False
        self._has_checksum = False

    def _more(self, wanted: int) -> bytes:  # noqa: ARG002 - a block is given whole
        if not self._left and not self._begin_part():
            self._done = True
            return b""
        if not self._have(1):
            self._done = self.truncated = True
            return b""
        piece, self._input = self._input[: self._left], self._input[self._left :]
        self._left -= len(piece)
        if self._frame is None:
            return b""
        try:
            return self._frame.decompress(piece)
        except self._zstandard.ZstdError as error:
            self._done = True
            self._damage = StreamDamage(f"zstd data is damaged ({error})")
            return b""

    def _have(self, count: int) -> bool:
        """Read until `count` octets of input are there; return False where it ends before."""
        while len(self._input) < count:
            piece = self._stored.read(_CHUNK_BYTES)
            if not piece:
                return False
            self._input += piece
        return True

    def _begin_part(self) -> bool:
        """Find out how long the next part is; return False where there is none."""
        return self._begin_block() if self._in_blocks else self._begin_frame()

    def _begin_block(self) -> bool:
        """See RFC 8878 section 3.1.1.2; the checksum comes with the frame's end (3.1.1)."""
        if not self._have(3):
            self.truncated = True
            return False
        header = int.from_bytes(self._input[:3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        # 1 is a run of one octet; 3 is reserved, and the library says so.
        self._left = 3 + (1 if kind == 1 else 0 if kind == 3 else size)
        if last:
            self._in_blocks = False
        return True

    def _begin_frame(self) -> bool:
        if self._has_checksum:
            self._has_checksum = False
            self._left = 4
            return True
        if not self._have(1):
            return False
        whole = self._have(4)
        magic = self._input[:4]
        if not any(known.startswith(magic) for known in (ZSTD_MAGIC, *_ZSTD_SKIPPABLE)):
            self._damage = StreamDamage("what follows the last zstd frame is not zstd")
            return False
        if not whole or not self._have(8):  # no frame is shorter
            self.truncated = True
            return False
        if magic == ZSTD_MAGIC:
            return self._begin_frame_header()
        self._frame = None
        self._left = 8 + int.from_bytes(self._input[4:8], "little")
        return True

    def _begin_frame_header(self) -> bool:
        """See RFC 8878 section 3.1.1.1."""
        descriptor = self._input[4]
        single_segment = descriptor >> 5 & 1
        size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
        self._left = 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + size_bytes
        if not self._have(self._left):
            self.truncated = True
            return False
        if single_segment:
            size = int.from_bytes(self._input[self._left - size_bytes : self._left], "little")
            window_bytes = size + 256 * (size_bytes == 2)
        else:
            exponent, mantissa = divmod(self._input[5], 8)
            window_bytes = (8 + mantissa) << (7 + exponent)
        if window_bytes > _ZSTD_WINDOW_MAX_BYTES:
            self._damage = StreamDamage(
                f"its zstd window of {window_bytes} octets is over the limit of"
                f" {_ZSTD_WINDOW_MAX_BYTES}; zstd --long=31 unpacks it"
            )
            return False
        self._frame = self._context.decompressobj()
        self._has_checksum = bool(descriptor & 4)
        self._in_blocks = True
        return True


def open_source(path: str) -> ByteSource:
    """Open `path` (`-` is standard input) and look through its compression.

    Raises UnreadableCapture where the operating system refuses.
    """
    try:
        file = _standard_input() if path == "-" else _open(path)
        plain = PlainSource(file, path, close=path != "-")
    except (OSError, ValueError) as error:
        raise UnreadableCapture(path, _why(error)) from error
    try:
        magic = plain.peek(4)
    except UnreadableCapture:
        plain.close()
        raise
    if magic.startswith(GZIP_MAGIC):
        return GzipSource(plain)
    if magic == ZSTD_MAGIC or magic in _ZSTD_SKIPPABLE:
        return ZstdSource(plain)
    return plain


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb", buffering=0)


def _standard_input() -> BinaryIO:
    """Return standard input; its file descriptor is what is read."""
    if sys.stdin is None:  # closed by whoever started us
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return sys.stdin.buffer


def _why(error: OSError | ValueError) -> str:
    """Return what the operating system said, in its own words."""
    text = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot be read: {text or error}"

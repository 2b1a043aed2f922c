# SPDX-License-Identifier: Apache-2.0
"""Copy both directions of one connection as ztunnel's src/copy.rs does.

Each direction ends by itself: FIN becomes END_STREAM becomes FIN. A reset does not cross: the other
side sees an orderly end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass
from typing import Protocol

from tests.lab.ztunnel.config import Behaviour
from tests.lab.ztunnel.endpoint import Received, Sent, Wire
from tests.lab.ztunnel.logs import EventLog
from tests.lab.ztunnel.stream import StreamFailed

_DELAYED_BYTES = 8 * 1024 * 1024
"""What may wait for its residence to be over, per direction."""
_SAME_TIME_S = 50e-6
_TURN = 64
"""Chunks copied before others get a turn."""


class End(Protocol):
    """One side of a relayed connection."""

    async def receive(self, limit: int) -> Received:
        """Return what arrived; raises OSError on a reset."""

    async def send(self, data: bytes, sent: Sent | None) -> None:
        """Send; raises OSError if the other side is gone."""

    async def finish(self) -> None:
        """Send nothing more."""

    def close(self) -> None:
        """End both directions."""


@dataclass(slots=True, kw_only=True)
class Side:
    """An end, and the TCP connection its bytes leave by (for departure stamps)."""

    end: End
    wire: Wire


@dataclass(slots=True, kw_only=True)
class Relay:
    """One connection of an application: `downstream` is the client's side."""

    number: int
    downstream: Side
    upstream: Side
    behaviour: Behaviour
    residence_up_s: float
    residence_down_s: float
    log: EventLog
    up_bytes: int = 0
    down_bytes: int = 0
    error: str = ""
    _stream_failed: bool = False

    async def run(self) -> None:
        """Copy until both directions have ended, then close both sides."""
        up, down = (
            asyncio.create_task(self._copy("up", self.downstream, self.upstream)),
            asyncio.create_task(self._copy("down", self.upstream, self.downstream)),
        )
        # A stream that is gone is gone both ways; a TCP reset may still leave the other way open.
        up.add_done_callback(lambda _: self._stream_failed and down.cancel())
        down.add_done_callback(lambda _: self._stream_failed and up.cancel())
        try:
            await asyncio.wait({up, down})
        finally:
            up.cancel()
            down.cancel()
            self.upstream.end.close()
            self.downstream.end.close()

    async def _copy(self, direction: str, source: Side, sink: Side) -> None:
        residence_s = self.residence_up_s if direction == "up" else self.residence_down_s
        if residence_s > 0:
            await self._copy_delayed(direction, source, sink, _Delay(residence_s))
            return
        passed = 0
        for turn in itertools.count(1):
            found = await self._read(direction, source, passed)
            if found is None:
                break
            passed += len(found.data)
            if not await self._write(direction, found, sink):
                return
            if turn % _TURN == 0:
                await asyncio.sleep(0)
        await _finish(sink)

    async def _copy_delayed(self, direction: str, source: Side, sink: Side, line: _Delay) -> None:
        async def read() -> None:
            passed = 0
            while (found := await self._read(direction, source, passed)) is not None:
                passed += len(found.data)
                await line.put(found)
            await line.put(None)

        reading = asyncio.create_task(read())
        try:
            while (found := await line.get()) is not None:
                if not await self._write(direction, found, sink):
                    return
            await _finish(sink)
        finally:
            reading.cancel()

    async def _read(self, direction: str, source: Side, passed: int) -> Received | None:
        """Return the next chunk, or None at the end, however it came."""
        side = "downstream" if direction == "up" else "upstream"
        try:
            found = await source.end.receive(self.behaviour.read_bytes(passed))
        except OSError as error:
            self.log.write("reset", connection=self.number, side=side, error=str(error))
            self._note_failure(side, error)
            return None
        if not found.data:
            self.log.write("fin", connection=self.number, side=side)
            return None
        return found

    async def _write(self, direction: str, found: Received, sink: Side) -> bool:
        if direction == "up":
            self.up_bytes += len(found.data)
        else:
            self.down_bytes += len(found.data)
        try:
            await sink.end.send(found.data, self._noting(direction, found, sink.wire))
        except OSError as error:
            self._note_failure(direction, error)
            return False
        return True

    def _note_failure(self, where: str, error: OSError) -> None:
        self.error = self.error or f"{where}: {error}"
        self._stream_failed = self._stream_failed or isinstance(error, StreamFailed)

    def _noting(self, direction: str, found: Received, wire: Wire) -> Sent:
        """Return what logs this chunk once it has left, and once the kernel says when."""

        def sent(out_ns: int, end_offset: int) -> None:
            def report(kernel_tx_ns: int | None) -> None:
                self.log.write_at(
                    out_ns, "chunk", connection=self.number, direction=direction,
                    in_ns=found.in_ns, out_ns=out_ns, bytes=len(found.data),
                    kernel_rx_ns=found.kernel_rx_ns, kernel_tx_ns=kernel_tx_ns,
                )  # fmt: skip

            if wire.departures is None:
                report(None)
            else:
                wire.departures.expect(end_offset, report)

        return sent


async def _finish(sink: Side) -> None:
    with contextlib.suppress(OSError):
        await sink.end.finish()


class _Delay:
    """What was read, kept back until its residence is over; order is kept."""

    def __init__(self, residence_s: float) -> None:
        self._residence_s = residence_s
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[tuple[float, Received | None]] = asyncio.Queue()
        self._bytes = 0
        self._room = asyncio.Event()

    async def put(self, found: Received | None) -> None:
        """Add what was read; None is the end."""
        while found is not None and self._bytes > _DELAYED_BYTES:
            self._room.clear()
            await self._room.wait()
        self._bytes += len(found.data) if found else 0
        self._waiting.put_nowait((self._loop.time() + self._residence_s, found))

    async def get(self) -> Received | None:
        """Return the next once it is due."""
        due_s, found = await self._waiting.get()
        left_s = due_s - self._loop.time()
        if left_s > _SAME_TIME_S:
            await asyncio.sleep(left_s)
        self._bytes -= len(found.data) if found else 0
        self._room.set()
        return found

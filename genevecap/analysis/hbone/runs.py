# SPDX-License-Identifier: Apache-2.0
"""Runs of tshark over connections, until each is read or known not to be readable.

One run takes many connections, so that tshark's start costs little.  A run that ends early, or
hangs, costs the connection that it was at: that one is read up to there, and the others go on in
the next run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import GenevecapError
from .container import Container, private, write_private
from .dissection import run_tshark
from .keys import KeyLog
from .recording import Recording, Spool, open_spool, tls_records
from .results import ConnectionId, OnData, OpenedConnection
from .streams import ConnectionReader, InnerSink, Tunnel

MAX_CONNECTION_BYTES = 1 << 30
"""Of one connection: tshark holds what it opened in memory."""
RUN_BYTES = 1 << 26
RUN_CONNECTIONS = 512
"""What one run is given at most, unless a connection alone is larger."""


@dataclass(slots=True, kw_only=True)
class Job:
    """A connection that is to be read."""

    id: ConnectionId
    path: str
    """Of its capture."""
    point: int
    recording: Recording
    seen_as: tuple[tuple[str, str], ...] = ()
    troubles: list[tuple[bool, str]] = field(default_factory=list)
    """(upward, why that direction is not whole)."""


@dataclass(slots=True, kw_only=True)
class _InnerJob:
    """A connection inside a stream of another."""

    around: int
    """The number of the job around it."""
    tunnel: Tunnel
    job: Job


class Opener:
    """Opens connections.

    folder: private, for temporary files; keys: the secrets; tshark: the program.
    on_data: told of the content of tunnels.
    """

    def __init__(self, *, folder: Path, keys: KeyLog, tshark: str, on_data: OnData | None) -> None:
        self._folder = folder
        self._keys = keys
        self._tshark = tshark
        self._on_data = on_data

    def open(self, jobs: Sequence[Job], *, look_inside: bool = True) -> list[OpenedConnection]:
        """Return the connections in the order of the jobs.

        look_inside: open HBONE inside their streams too.
        Raises GenevecapError where tshark cannot be run at all.
        """
        inside: dict[int, dict[int, OpenedConnection]] = {}
        with open_spool(str(self._folder)) as spool:
            inner: list[_InnerJob] = []
            readers = [
                ConnectionReader(
                    job.id,
                    path=job.path,
                    on_data=self._on_data,
                    open_inner=_Inside(number, job, spool, inner, self._keys)
                    if look_inside
                    else None,
                )
                for number, job in enumerate(jobs)
            ]
            waiting = list(range(len(jobs)))
            while waiting:
                waiting = self._run(jobs, readers, waiting)
            for one in inner:
                for upward in (True, False):
                    if not readers[one.around].is_whole(one.tunnel, upward=upward):
                        one.job.troubles.append((upward, "the stream around it is not whole"))
            opened = self.open([one.job for one in inner], look_inside=False) if inner else []
            for one, connection in zip(inner, opened, strict=True):
                if connection.streams:
                    inside.setdefault(one.around, {})[one.tunnel.id.stream] = connection
        return [
            reader.result(point=job.point, seen_as=job.seen_as, inner=inside.get(number, {}))
            for number, (job, reader) in enumerate(zip(jobs, readers, strict=True))
        ]

    def _run(
        self, jobs: Sequence[Job], readers: Sequence[ConnectionReader], waiting: list[int]
    ) -> list[int]:
        """Read some of the waiting jobs; return the numbers of those that still wait."""
        with self._files() as (path, keylog):
            with private(path) as file:
                container = Container(file)
                taken = []
                for number in waiting[:RUN_CONNECTIONS]:
                    if container.size_bytes >= RUN_BYTES:
                        break
                    taken.append(number)
                    _write(container, number, jobs[number])
            write_private(keylog, self._keys.excerpt(jobs[i].id.client_random for i in taken))
            failure = self._read(path, keylog, container, readers)
        rest = waiting[len(taken) :]
        if failure is not None:
            last, reason = failure
            stopped = container.origin(last + 1).connection
            for upward in (True, False):
                readers[stopped].break_off(reason, upward=upward)
            again = taken[taken.index(stopped) + 1 :]
            rest = again + rest
        for number in taken:
            if number not in rest:
                for upward, reason in jobs[number].troubles:
                    readers[number].break_off(reason, upward=upward)
        return rest

    def _read(
        self,
        path: Path,
        keylog: Path,
        container: Container,
        readers: Sequence[ConnectionReader],
    ) -> tuple[int, str] | None:
        """Hand what tshark says to the readers; return (last packet, reason) where it ended early.

        Raises GenevecapError where it does not begin.
        """
        last, why = 0, "tshark ended in the middle of it"
        if not container.packets:
            return None
        try:
            with run_tshark(str(path), tshark=self._tshark, keylog=str(keylog)) as packets:
                for packet in packets:
                    if packet.number != last + 1:
                        break
                    last = packet.number
                    origin = container.origin(last)
                    readers[origin.connection].take(packet, origin)
        except GenevecapError as error:
            if not last:
                raise
            why = str(error).removeprefix(f"{path}: ")
        if last == container.packets:
            return None
        if not last:
            raise GenevecapError("opening HBONE: tshark ended without a word")
        return last, why

    @contextmanager
    def _files(self) -> Iterator[tuple[Path, Path]]:
        """Give the paths of two files that are gone afterwards: the capture, the keys."""
        paths = self._folder / "hbone.pcap", self._folder / "keys"
        try:
            yield paths
        finally:
            for path in paths:
                with suppress(FileNotFoundError):
                    path.unlink()


def _write(container: Container, number: int, job: Job) -> None:
    """Write a connection's records; what is wrong with them is noted with the job."""
    records = tls_records(job.recording, job.troubles)
    if not container.add(number, records, limit_bytes=MAX_CONNECTION_BYTES):
        limit = f"only its first {MAX_CONNECTION_BYTES >> 20} MiB are opened"
        job.troubles.extend(((True, limit), (False, limit)))


@dataclass(slots=True)
class _Inside:
    """Makes jobs of the connections inside the streams of one."""

    number: int
    job: Job
    spool: Spool
    inner: list[_InnerJob]
    keys: KeyLog

    def __call__(self, tunnel: Tunnel, client_random: bytes, time_ns: int) -> InnerSink | None:
        if self.keys.lacks(client_random) is not None:
            return None
        recording = Recording(self.spool, in_order=True)
        around = self.job.id
        self.inner.append(
            _InnerJob(
                around=self.number,
                tunnel=tunnel,
                job=Job(
                    id=ConnectionId(
                        client=around.client,
                        server=around.server,
                        client_isn=None,
                        syn_ns=time_ns,
                        client_random=client_random,
                        outer=tunnel.id,
                    ),
                    path=self.job.path,
                    point=self.job.point,
                    recording=recording,
                ),
            )
        )
        return recording.write

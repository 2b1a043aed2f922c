# SPDX-License-Identifier: Apache-2.0
"""Run tshark over a capture, through pyshark, and hand its readings over frame by frame.

pyshark is used in its XML mode: the JSON and EK modes keep one layer of each name, and so lose the
inner headers of a tunnel.  It drives tshark with asyncio, so it gets a thread with an event loop of
its own; frames cross to the caller's thread through a short queue, which keeps memory flat.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from ..decode.layers import Layer
from ..errors import GenevecapError, ToolMissing
from .verify_reading import Reading, read_packet

if TYPE_CHECKING:
    from ..decode.settings import DecodeSettings

PREFERENCES = {
    # Each frame for itself: a tunnel belongs to the frame that holds its header.
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    # What follows costs time and says nothing about headers.
    "tcp.desegment_tcp_streams": "FALSE",
    "tcp.analyze_sequence_numbers": "FALSE",
    "tcp.calculate_timestamps": "FALSE",
}

_QUEUE_FRAMES = 64
_POLL_S = 0.1
_END_S = 5.0
"""How long tshark may take to end after its output has."""


def find_tshark() -> str:
    """Return the path of tshark.

    Raises ToolMissing, which says how to install it.
    """
    path = shutil.which("tshark")
    if path is None:
        raise ToolMissing(
            "verify needs tshark, which was not found on PATH. Install it: "
            "apt install tshark (Debian, Ubuntu), dnf install wireshark-cli (Fedora), "
            "brew install wireshark (macOS)"
        )
    return path


def tshark_version(path: str) -> str:
    """Return the version of a tshark, as `4.0.17`; empty where it does not say."""
    try:
        output = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = output.splitlines()[0].split() if output else []
    return next((word.rstrip(".") for word in words if word[0].isdigit()), "")


def decode_as(settings: DecodeSettings, used_ports: Mapping[int, str]) -> dict[str, str]:
    """Return pyshark's decode-as rules for every port that we decode as a tunnel.

    used_ports: ports that held a tunnel in this capture, with its kind.
    """
    table = settings.udp_table()
    dissectors = {Layer.GENEVE: "geneve", Layer.VXLAN: "vxlan", Layer.VXLAN_GPE: "vxlan_gpe"}
    ports = {
        port: dissectors[Layer(layer)] for port, layer in enumerate(table) if layer in dissectors
    }
    names = {"geneve": "geneve", "vxlan": "vxlan", "vxlan-gpe": "vxlan_gpe"}
    for port, kind in used_ports.items():
        if kind in names:
            ports.setdefault(port, names[kind])
    return {f"udp.port=={port}": dissector for port, dissector in sorted(ports.items())}


@cache
def _file_capture() -> type[Any]:
    """Return pyshark's FileCapture, made to end in order.  pyshark is imported by who needs it."""
    import pyshark

    class FileCapture(pyshark.FileCapture):  # type: ignore[misc]
        """pyshark kills tshark at the end of its output: here tshark may end first.

        Only so is its exit code known, which tells a file that it cannot read from an empty one,
        and asyncio's child watcher finds the process that it waits for.
        """

        async def close_async(self) -> None:
            """Wait for tshark, ending it where it does not end, and let go of everything."""
            try:
                for process in self._running_processes:
                    try:
                        await asyncio.wait_for(process.wait(), _END_S if self._eof_reached else 0)
                    except TimeoutError:
                        with suppress(ProcessLookupError):
                            os.kill(process.pid, signal.SIGKILL)
                        # wait() ends with the pipes, and one that nobody reads never ends.
                        if process.stdout is not None:
                            await process.stdout.read()
                        await process.wait()
                await super().close_async()
            finally:
                self._running_processes.clear()
                await asyncio.gather(*self._stderr_handling_tasks, return_exceptions=True)

    return FileCapture


class Witness:
    """Readings of one capture file, in order; a context manager that leaves no process behind."""

    def __init__(self, path: str, *, tshark: str, rules: dict[str, str]) -> None:
        self._path = path
        self._tshark = tshark
        self._rules = rules
        self._queue: queue.Queue[Reading | None] = queue.Queue(_QUEUE_FRAMES)
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="tshark", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop ended in this moment
                loop.call_soon_threadsafe(task.cancel)
        self._thread.join()

    def __iter__(self) -> Iterator[Reading]:
        """Yield readings until tshark is done.

        Raises GenevecapError where tshark's output could not be read at all.
        """
        while (reading := self._next()) is not None:
            yield reading
        if self._failure is not None:
            raise GenevecapError(f"{self._path}: tshark: {self._failure}") from self._failure

    def _next(self) -> Reading | None:
        while True:
            try:
                return self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                if not self._thread.is_alive() and self._queue.empty():
                    return None

    # --- in the worker thread ---

    def _work(self) -> None:
        try:
            asyncio.run(self._drive())
        except asyncio.CancelledError:
            pass
        # Whatever pyshark raises must reach the caller's thread, not the console.
        except Exception as error:  # noqa: BLE001
            self._failure = error
        finally:
            self._put(None)

    async def _drive(self) -> None:
        from pyshark.capture.capture import TSharkCrashException

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        capture = _file_capture()(
            self._path,
            keep_packets=False,
            eventloop=self._loop,
            tshark_path=self._tshark,
            decode_as=self._rules,
            override_prefs=PREFERENCES,
        )
        seen = 0

        def take(packet: Any) -> None:
            nonlocal seen
            seen += 1
            self._put(read_packet(packet))

        try:
            await capture.packets_from_tshark(take)
        except TSharkCrashException as error:
            # tshark ends in an error for a file that is cut short too: what it read is valid.
            if not seen:
                lines = [line for line in str(error).splitlines() if line.startswith("Last error")]
                reason = lines[0].partition(": ")[2] if lines else str(error)
                raise GenevecapError(reason) from error

    def _put(self, reading: Reading | None) -> None:
        """Hand a reading over, waiting for room unless nobody listens any more."""
        while not self._stop.is_set():
            try:
                self._queue.put(reading, timeout=_POLL_S)
            except queue.Full:
                continue
            return

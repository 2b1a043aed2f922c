# SPDX-License-Identifier: Apache-2.0
"""Run tshark over a capture, through pyshark, and hand what it says over packet by packet.

pyshark is used in its XML mode: the JSON and EK modes keep one layer of each name, and so lose the
inner headers of a tunnel.  It drives tshark with asyncio, so it gets a thread with an event loop of
its own; packets cross to the caller's thread through a short queue, which keeps memory flat.
"""

from __future__ import annotations

import asyncio
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Generic, Self, TypeVar

from ..errors import GenevecapError, ToolMissing

_QUEUE_PACKETS = 64
_POLL_S = 0.1
_PACKET_BEGIN, _PACKET_END = b"<packet>", b"</packet>"
_READ_BYTES = 1 << 16
_END_S = 5.0
"""How long tshark may take to end after its output has."""

T = TypeVar("T")


def find_tshark(purpose: str) -> str:
    """Return the path of tshark.

    purpose: what needs it, as the subject of a sentence.
    Raises ToolMissing, which says how to install it.
    """
    path = shutil.which("tshark")
    if path is None:
        raise ToolMissing(
            f"{purpose} needs tshark, which was not found on PATH. Install it: "
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


@cache
def _file_capture() -> type[Any]:
    """Return pyshark's FileCapture, made to end in order.  pyshark is imported by who needs it."""
    import pyshark
    from pyshark.tshark.output_parser.tshark_xml import TsharkXmlParser

    class Parser(TsharkXmlParser):  # type: ignore[misc]  # pyshark has no types
        """Finds the packets in tshark's XML; what is made of each is the reader's matter.

        pyshark's own looks through all that has come with each read, which is too slow where a
        packet is megabytes of XML.
        """

        def __init__(self, read_xml: Callable[[bytes], Any]) -> None:
            super().__init__()
            self._read_xml = read_xml
            self._buffer = bytearray()

        async def get_packets_from_stream(
            self,
            stream: asyncio.StreamReader,
            existing_data: bytes,
            **_more: bool,
        ) -> tuple[Any, bytes]:
            """Return the next packet; raise EOFError at the end of the output."""
            buffer, looked_at = self._buffer, 0
            while (end := buffer.find(_PACKET_END, looked_at)) < 0:
                looked_at = max(0, len(buffer) - len(_PACKET_END))
                piece = await stream.read(_READ_BYTES)
                if not piece:
                    raise EOFError
                buffer += piece
            end += len(_PACKET_END)
            begin = buffer.find(_PACKET_BEGIN, 0, end)
            packet = bytes(buffer[begin:end])
            del buffer[:end]
            return self._read_xml(packet), existing_data

    class FileCapture(pyshark.FileCapture):  # type: ignore[misc]  # pyshark has no types
        """pyshark kills tshark at the end of its output: here tshark may end first.

        Only so is its exit code known, which tells a file that it cannot read from an empty one,
        and asyncio's child watcher finds the process that it waits for.
        """

        read_xml: Callable[[bytes], Any] | None = None
        environment: Mapping[str, str] | None = None

        async def _get_tshark_process(
            self,
            packet_count: int | None = None,  # pyshark's interface
            stdin: Any = None,
        ) -> asyncio.subprocess.Process:
            """Start tshark in an environment of its own, which pyshark has no word for."""
            options = self.get_parameters(packet_count=packet_count)
            command = [self._get_tshark_path(), "-l", "-n", "-T", "pdml", *options]
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment,
            )
            self._create_stderr_handling_task(process.stderr)
            self._created_new_process(command, process)
            return process

        def _setup_tshark_output_parser(self) -> Any:
            if self.read_xml is None:
                return super()._setup_tshark_output_parser()
            return Parser(self.read_xml)

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


class TsharkRun(Generic[T]):
    """What tshark says of one capture file, packet by packet; a context manager.

    No process is left behind when it ends.  The user's own settings of tshark (preferences,
    disabled protocols, decode-as rules) do not count: options do not undo all of them.

    path: the file; tshark: the program.
    read: makes of a packet, as pyshark gives it, what is handed on; it runs in the worker thread.
    read_xml: instead of `read`: makes it of the octets of a `<packet>` element.
    decode_as, preferences, arguments: tshark's `-d`, `-o` and whatever else, for this run.
    silence_s: how long tshark may say nothing before it is taken to hang; None waits for ever.
    """

    def __init__(
        self,
        path: str,
        *,
        tshark: str,
        read: Callable[[Any], T] | None = None,
        read_xml: Callable[[bytes], T] | None = None,
        decode_as: Mapping[str, str],
        preferences: Mapping[str, str],
        arguments: Sequence[str] = (),
        silence_s: float | None = None,
    ) -> None:
        self._path = path
        self._tshark = tshark
        self._read = read
        self._read_xml = read_xml
        self._decode_as = dict(decode_as)
        self._preferences = dict(preferences)
        self._arguments = list(arguments)
        self._silence_s = silence_s
        self._queue: queue.Queue[T | None] = queue.Queue(_QUEUE_PACKETS)
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self.gave_up = False
        """Whether tshark ended in an error after some packets; settled when they are at an end."""
        self._settings: tempfile.TemporaryDirectory[str] | None = None
        self._thread = threading.Thread(target=self._work, name="tshark", daemon=True)

    def __enter__(self) -> Self:
        """Start tshark.  Raises GenevecapError where there is no room for temporary files."""
        try:
            self._settings = tempfile.TemporaryDirectory(prefix="genevecap-tshark-")
        except OSError as error:
            raise GenevecapError(f"temporary files (TMPDIR): {error.strerror}") from error
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        loop, task = self._loop, self._task
        if loop is not None and task is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop ended in this moment
                loop.call_soon_threadsafe(task.cancel)
        self._thread.join()
        if self._settings is not None:
            self._settings.cleanup()

    def __iter__(self) -> Iterator[T]:
        """Yield what was read until tshark is done.

        Raises GenevecapError where tshark's output could not be read at all, or where it hangs.
        """
        while (item := self._next()) is not None:
            yield item
        if self._failure is not None:
            raise GenevecapError(f"{self._path}: tshark: {self._failure}") from self._failure

    def _next(self) -> T | None:
        begin = time.monotonic()
        while True:
            try:
                return self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                if not self._thread.is_alive() and self._queue.empty():
                    return None
                if self._silence_s is not None and time.monotonic() - begin > self._silence_s:
                    raise GenevecapError(
                        f"{self._path}: tshark said nothing for {self._silence_s:g} s"
                    ) from None

    # --- in the worker thread ---

    def _work(self) -> None:
        try:
            asyncio.run(self._drive())
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - all must reach the caller's thread
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
            decode_as=self._decode_as,
            override_prefs=self._preferences,
            custom_parameters=self._arguments,
        )
        capture.read_xml = self._read_xml
        if self._settings is not None:
            capture.environment = {**os.environ, "WIRESHARK_CONFIG_DIR": self._settings.name}
        read = self._read
        seen = 0

        def take(packet: Any) -> None:
            nonlocal seen
            seen += 1
            self._put(packet if read is None else read(packet))

        try:
            await capture.packets_from_tshark(take)
        except TSharkCrashException as error:
            # tshark ends in an error for a file that is cut short too: what it read is valid.
            if not seen:
                lines = [line for line in str(error).splitlines() if line.startswith("Last error")]
                reason = lines[0].partition(": ")[2] if lines else str(error)
                raise GenevecapError(reason) from error
            self.gave_up = True

    def _put(self, item: T | None) -> None:
        """Hand one over, waiting for room unless nobody listens any more."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return

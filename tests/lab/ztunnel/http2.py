# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 over TLS as ztunnel's h2 (Rust) speaks it: settings, windows, PING, ends.

What is said in one turn of the event loop is sent at its end; `gathering.py` makes records of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import SettingsFrame

from tests.lab.ztunnel.endpoint import Sent
from tests.lab.ztunnel.gathering import CHAINED_BYTES, Gathering, Piece
from tests.lab.ztunnel.stream import Headers, Http2Stream, StreamFailed
from tests.lab.ztunnel.tls import TlsChannel

FRAME_BYTES = 1024 * 1024
STREAM_WINDOW_BYTES = 4 * FRAME_BYTES
CONNECTION_WINDOW_BYTES = 16 * FRAME_BYTES
_INITIAL_WINDOW_BYTES = 65_535

_CLIENT_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
    SettingCodes.MAX_HEADER_LIST_SIZE: 16 * 1024,
}
_SERVER_SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: 200,
    SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
    SettingCodes.MAX_HEADER_LIST_SIZE: 64 * 1024,
}
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_PING = bytes.fromhex("3b7cdb7a0b8716b4")  # what h2 (Rust) sends for a user's ping
_QUEUE_BYTES = 256 * 1024

OnRequest = Callable[[Http2Stream, dict[str, str]], Awaitable[None]]


class Http2:
    """One connection: `start`, then `run` until it ends.

    on_request: (servers) called in a task of its own for every CONNECT.
    """

    def __init__(
        self, channel: TlsChannel, *, client: bool, on_request: OnRequest | None = None
    ) -> None:
        self.channel = channel
        self._client = client
        self._on_request = on_request
        self._h2 = H2Connection(
            H2Configuration(
                client_side=client,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                header_encoding="utf-8",
            )
        )
        self.streams: dict[int, Http2Stream] = {}
        self.peer_max_streams = 2**31
        self.closed = asyncio.Event()
        self.draining = False
        """No new streams; it closes with the last one."""
        self._waiting = Gathering()
        self._flush_planned = False
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the connection ----------------------------------------------------------------------

    def start(self) -> None:
        """Send preface and settings."""
        told = _CLIENT_SETTINGS if self._client else _SERVER_SETTINGS
        self._h2.local_settings = Settings(client=self._client, initial_values=dict(told))
        self._h2.max_inbound_frame_size = FRAME_BYTES
        self._h2.initiate_connection()
        self._h2.data_to_send()  # the library adds settings that ztunnel does not send
        frame = SettingsFrame(0)
        frame.settings = {int(code): value for code, value in told.items()}
        if self._client:
            self.channel.write(_PREFACE)
            self._queue(frame.serialize())
            self._enlarge_window()
        else:
            self.channel.write(frame.serialize())

    def _enlarge_window(self) -> None:
        self._h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES - _INITIAL_WINDOW_BYTES)
        self._queue(self._h2.data_to_send())

    async def run(self, ping_interval_s: float) -> None:
        """Read until the peer closes; then every stream has ended or failed."""
        pinging = asyncio.create_task(self._ping(ping_interval_s))
        try:
            while True:
                data, stamp = await self.channel.receive()
                if not data:
                    return
                self._take(data, stamp)
        except (OSError, H2Error):
            return
        finally:
            pinging.cancel()
            self.close()

    def _take(self, data: bytes, stamp: int | None) -> None:
        events = self._h2.receive_data(data)
        self._queue(self._h2.data_to_send())
        for event in events:
            self._dispatch(event, stamp)

    async def _ping(self, interval_s: float) -> None:
        while interval_s > 0:
            await asyncio.sleep(interval_s)
            with contextlib.suppress(H2Error):
                self._h2.ping(_PING)
                self._queue(self._h2.data_to_send())

    def retire(self) -> None:
        """Open no more streams; say GOAWAY and close when the last one has ended."""
        self.draining = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self.draining and not self.streams and not self.closed.is_set():
            self.go_away()

    def go_away(self) -> None:
        """Say GOAWAY and close; streams that are still open fail."""
        with contextlib.suppress(H2Error):
            self._h2.close_connection()
            self._queue(self._h2.data_to_send())
        self.close()

    def close(self) -> None:
        """Close the TCP connection; streams that are still open fail."""
        if self.closed.is_set():
            return
        self._flush()
        self.closed.set()
        for stream in list(self.streams.values()):
            stream.fail(StreamFailed("the connection ended"))
        self.channel.finish()
        self.channel.endpoint.close()

    # --- streams -----------------------------------------------------------------------------

    def open_stream(self, headers: Headers) -> Http2Stream:
        """Send HEADERS on a new stream. Raises StreamFailed if the connection has ended."""
        self._check()
        number = self._h2.get_next_available_stream_id()
        stream = self.streams[number] = Http2Stream(self, number)
        self._h2.send_headers(number, headers)
        self._queue(self._h2.data_to_send(), number)
        return stream

    def respond(self, stream: Http2Stream, headers: Headers, *, end: bool) -> None:
        """Answer a request; `end`: with END_STREAM and the RST_STREAM that h2 (Rust) adds."""
        with contextlib.suppress(H2Error):
            self._h2.send_headers(stream.number, headers, end_stream=end)
            if end:
                self._h2.reset_stream(stream.number, ErrorCodes.NO_ERROR)
        self._queue(self._h2.data_to_send(), stream.number)

    def room(self, stream: Http2Stream) -> int:
        """Return how many bytes of DATA the peer takes at the moment."""
        self._check()
        try:
            return self._h2.local_flow_control_window(stream.number)
        except H2Error as error:
            raise StreamFailed(str(error)) from error

    def send_data(self, stream: Http2Stream, data: bytes, sent: Sent | None) -> None:
        """Send one DATA frame; there must be room for it."""
        self._check()
        try:
            self._h2.send_data(stream.number, data)
        except H2Error as error:
            raise StreamFailed(str(error)) from error
        self._queue(self._h2.data_to_send(), stream.number, sent, len(data) >= CHAINED_BYTES)

    def end_stream(self, stream: Http2Stream) -> None:
        """Send an empty DATA frame with END_STREAM."""
        with contextlib.suppress(H2Error):
            self._h2.end_stream(stream.number)
            self._queue(self._h2.data_to_send(), stream.number)

    def reset_stream(self, stream: Http2Stream) -> None:
        """Send RST_STREAM(CANCEL) unless the stream is closed."""
        with contextlib.suppress(H2Error):
            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
            self._queue(self._h2.data_to_send(), stream.number)

    def release(self, stream: Http2Stream, count: int) -> None:
        """Give the peer back so many bytes of window."""
        try:
            self._h2.acknowledge_received_data(count, stream.number)
        except (H2Error, ValueError):
            return
        self._queue(self._h2.data_to_send())

    def forget(self, stream: Http2Stream) -> None:
        """The stream has ended both ways."""
        self.streams.pop(stream.number, None)
        if self.draining:
            # The stream's last frame is still to come, if it was ours.
            asyncio.get_running_loop().call_soon(self._close_if_unused)

    async def drained(self) -> None:
        """Wait until the socket has taken most of what was queued. Raises StreamFailed."""
        if self._waiting.waiting_bytes > _QUEUE_BYTES:
            self._flush()
        try:
            await self.channel.endpoint.drained(_QUEUE_BYTES)
        except OSError as error:
            raise StreamFailed(str(error)) from error

    def _check(self) -> None:
        if self.closed.is_set():
            raise StreamFailed("the connection ended")

    # --- frames ------------------------------------------------------------------------------

    def _dispatch(self, event: Event, stamp: int | None) -> None:
        if isinstance(event, RemoteSettingsChanged):
            self._on_settings()
        elif isinstance(event, ConnectionTerminated):
            self.draining = True
            asyncio.get_running_loop().call_soon(self._close_if_unused)
        elif isinstance(event, RequestReceived):
            self._on_new_request(event)
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number) if number else None
        if isinstance(event, DataReceived):
            self._on_data(event, stream, stamp)
        elif stream is None:
            for waiting in self.streams.values():
                waiting.wake()  # the connection's window may have grown
        elif isinstance(event, ResponseReceived):
            stream.on_response(_text(event.headers))
        elif isinstance(event, StreamEnded):
            stream.on_end()
        elif isinstance(event, StreamReset):
            stream.on_reset(event.error_code)
        else:
            stream.wake()

    def _on_settings(self) -> None:
        limit = self._h2.remote_settings.max_concurrent_streams
        first, self.peer_max_streams = self.peer_max_streams == 2**31, limit
        if first and not self._client:
            self._enlarge_window()  # beside the acknowledgement, as the recorded servers do

    def _on_new_request(self, event: RequestReceived) -> None:
        number = event.stream_id
        if self._on_request is None:
            return
        stream = self.streams[number] = Http2Stream(self, number)
        task = asyncio.ensure_future(self._on_request(stream, _text(event.headers)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_data(self, event: DataReceived, stream: Http2Stream | None, stamp: int | None) -> None:
        data = event.data or b""
        if stream is not None:
            stream.on_data(data, event.flow_controlled_length or 0, stamp)
        elif event.flow_controlled_length:
            with contextlib.suppress(H2Error, StreamClosedError):
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._queue(self._h2.data_to_send())

    def _queue(
        self, data: bytes, stream: int = 0, sent: Sent | None = None, ends_record: bool = False
    ) -> None:
        if not data or self.closed.is_set():
            return
        self._waiting.add(Piece(data, stream, ends_record, sent))
        if not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        for record, sent in self._waiting.records():
            self.channel.write(record, sent)


def _text(headers: Iterable[tuple[str | bytes, str | bytes]] | None) -> dict[str, str]:
    """Return headers as text; the library decodes them as told, its types do not say so."""
    return {
        name if isinstance(name, str) else name.decode(): (
            value if isinstance(value, str) else value.decode()
        )
        for name, value in headers or ()
    }

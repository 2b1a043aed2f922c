# SPDX-License-Identifier: Apache-2.0
"""What every connection through the proxy shares: logs, a number, the copying, the last line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.lab.ztunnel.config import Address, Config, Workload, format_address
from tests.lab.ztunnel.contention import Contention
from tests.lab.ztunnel.endpoint import Endpoint
from tests.lab.ztunnel.logs import AccessLog, EventLog
from tests.lab.ztunnel.relay import Relay, Side

TIMED_OUT = (
    "connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: deadline has elapsed"
)


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all handlers of one proxy use."""

    config: Config
    log: EventLog
    access: AccessLog
    contention: Contention
    numbers: Iterator[int]


class Session:
    """One connection of an application, as far as this proxy sees it."""

    def __init__(self, shared: Shared, *, outbound: bool, client: Address) -> None:
        self._shared = shared
        self._outbound = outbound
        self._started_s = time.monotonic()
        self._relay: Relay | None = None
        self.client = client
        self.number = next(shared.numbers)
        # For the access log:
        self.destination: Address = ("", 0)
        self.hbone_address = ""
        self.service = ""
        self.workload: Workload | None = None
        self.source_identity = ""

    def write(self, event: str, **values: Any) -> None:
        """Write an event of this connection."""
        self._shared.log.write(event, connection=self.number, **values)

    async def dial(self, to: Address, source: str) -> Endpoint:
        """Open the plain connection to the application. Raises OSError."""
        config = self._shared.config
        self.write("dial", conn3={"client": source, "destination": format_address(to)})
        endpoint = await Endpoint.connect(
            to,
            source=source if config.original_source else None,
            mark=config.mark,
            stamps=config.kernel_timestamps,
            limit_s=config.connect_timeout_s,
        )
        told = {"client": format_address(endpoint.local), "destination": format_address(to)}
        self.write("established", conn3=told)
        return endpoint

    async def relay(self, downstream: Side, upstream: Side) -> None:
        """Copy until the connection has ended, then write its last lines."""
        config = self._shared.config
        self._relay = Relay(
            number=self.number,
            downstream=downstream,
            upstream=upstream,
            behaviour=config.behaviour,
            residence_up_s=config.residence_up_s,
            residence_down_s=config.residence_down_s,
            log=self._shared.log,
        )
        await self._relay.run()
        self.complete(self._relay.error)

    def complete(self, error: str = "") -> None:
        """Write the last event and the access log's line."""
        up = self._relay.up_bytes if self._relay else 0
        down = self._relay.down_bytes if self._relay else 0
        self.write("close", up_bytes=up, down_bytes=down, error=error or None)
        self._shared.access.write(
            client=self.client,
            destination=self.destination,
            outbound=self._outbound,
            sent_bytes=up if self._outbound else down,
            received_bytes=down if self._outbound else up,
            duration_s=time.monotonic() - self._started_s,
            source_identity=self.source_identity,
            hbone_address=self.hbone_address,
            service=self.service,
            workload=self.workload,
            error=error,
        )

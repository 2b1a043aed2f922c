# SPDX-License-Identifier: Apache-2.0
"""A session while it is put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...addresses import endpoint_text
from ..connections import Endpoint
from ..grouping import Connection
from ..linking.legs import endpoint_address
from .keys import OpenStream
from .ztunnel_log import LoggedConnection

if TYPE_CHECKING:
    from .waypoints import Carrier, FirstRequest


def text(endpoint: Endpoint) -> str:
    """Return `ip:port` or `[ip6]:port`."""
    return endpoint_text(endpoint_address(endpoint), endpoint.port)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A session that is being put together; numbers are indices into the mesh's lists."""

    connection: Connection
    outbound: int | None = None
    kind: str = "unlinked"
    outcome: str = "unknown"
    origin: str = "unknown"
    server: str | None = None
    confidence: float = 0.0
    hbone: int | None = None
    stream: OpenStream | None = None
    """The HTTP/2 stream, where keys opened it."""
    onward: int | None = None
    """Connection of a gateway to the server."""
    carriers: list[Carrier] = field(default_factory=list)
    """Streams in which a waypoint sent its requests on."""
    first_request: FirstRequest | None = None
    """Its first one, where it is known behind the waypoint."""
    inbound: int | None = None
    logged: LoggedConnection | None = None
    """ztunnel's own line for it."""
    direct: int | None = None
    """Plain connection that ztunnel opened for a passed-through one."""
    notes: list[str] = field(default_factory=list)
    """Evidence for its kind."""
    verdict: list[str] = field(default_factory=list)
    """Evidence that it was refused or denied; where the outcome is unknown, for either."""

# SPDX-License-Identifier: Apache-2.0
"""Who stands between client and server: a waypoint that ends HBONE, or a gateway that passes it on.

An address that HBONE leads to and that opens HBONE itself may be either, or an ordinary pod.

**By ClientHellos.**  If what leaves it begins with a ztunnel's ClientHello, and ClientHellos of
that length came to it inside HBONE, it passes the client's own TLS on, octet by octet: an east-west
gateway (multi-network).  If it says hello itself, it ends the tunnel and builds another: a
waypoint.  ztunnel's hello (rustls) and Envoy's (BoringSSL, with post-quantum key shares) differ in
length by a factor of several.

**By octets.**  As many octets leave as came in: of application data with a waypoint, of whole
streams with a gateway.  That needs all of both sides, and works for a waypoint that is no Envoy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import StrEnum

from .linking.relay import WRAPPED_BYTES

_HELLO_TOLERANCE = 48
"""ClientHellos of one program differ by this much at most (session tickets, server names)."""
ZTUNNEL_HELLO = (150, 420)
"""Lengths that ztunnel's may have where no intercepted connection shows it (200 in 1.24, 1.31)."""
_MOST_OF = 0.5
_WAYPOINT_TOLERANCE = 0.25
"""Both sides are estimates, and a waypoint adds headers of its own."""
_GATEWAY_TOLERANCE = 0.05
"""What a gateway passes on is the same octets; one side of the comparison is counted."""

Sums = Sequence[int]
"""Octets up and down."""


class Relay(StrEnum):
    """What stands between client and server."""

    WAYPOINT = "waypoint"
    GATEWAY = "gateway"


def is_ztunnels(hello_bytes: int, known: Collection[int] = ()) -> bool:
    """Tell whether a ClientHello has the length of a ztunnel's.

    known: lengths of hellos that ztunnels are known to have sent in this capture.
    """
    if known:
        return any(abs(hello_bytes - other) <= _HELLO_TOLERANCE for other in known)
    low, high = ZTUNNEL_HELLO
    return low <= hello_bytes <= high


def by_hellos(
    leaving: Sequence[int],
    wrapped: Callable[[Collection[int]], int],
    known: Collection[int] = (),
) -> Relay | None:
    """Return what an address is by ClientHellos, None where they do not tell.

    leaving: their lengths, of the connections that leave it.  wrapped: says how many TLS records
    of these lengths came to it.  known: see `is_ztunnels`.
    """
    if not leaving:
        return None
    if not all(is_ztunnels(size, known) for size in leaving):
        return Relay.WAYPOINT
    came = wrapped(frozenset(size + WRAPPED_BYTES for size in leaving))
    return Relay.GATEWAY if came >= max(len(leaving) * _MOST_OF, 1) else None


def by_octets(data: Sums, behind_data: Sums, behind_streams: Sums) -> Relay | None:
    """Return what an address is by octets, None where they do not tell.

    data: application data into it.  behind_data, behind_streams: what left it, of application data
    and of whole streams.
    """
    passed_on = _distance(data, behind_streams) < _distance(data, behind_data)
    relay = Relay.GATEWAY if passed_on else Relay.WAYPOINT
    return relay if went_on(relay, data, behind_data, behind_streams) else None


def went_on(relay: Relay, data: Sums, behind_data: Sums, behind_streams: Sums) -> bool:
    """Tell whether all that came to a relay is seen to leave it again; see `by_octets`."""
    if relay is Relay.GATEWAY:
        return _near(data, behind_streams, _GATEWAY_TOLERANCE)
    return _near(data, behind_data, _WAYPOINT_TOLERANCE)


def _distance(some: Sums, others: Sums) -> int:
    return sum(abs(one - other) for one, other in zip(some, others, strict=True))


def _near(some: Sums, others: Sums, tolerance: float) -> bool:
    return all(
        min(one, other) > 0 and abs(one - other) <= tolerance * max(one, other)
        for one, other in zip(some, others, strict=True)
    )

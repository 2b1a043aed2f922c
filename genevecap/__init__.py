# SPDX-License-Identifier: Apache-2.0
"""Decode VXLAN and Geneve captures and explain Istio ambient interception.

::

    import genevecap

    result = genevecap.inspect("node-a.pcapng")
    for tunnel in result.tunnels:
        print(tunnel.kind, tunnel.vni, tunnel.packets, tunnel.overhead_bytes)

    for packet in genevecap.packets("node-a.pcapng", vnis=(1001,)):
        print(packet.frame, packet.inner)

What is not named in `__all__` may change without notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._api import (
        convert,
        diff_captures,
        diff_encapsulations,
        flows,
        inspect,
        latency,
        open_capture,
        overhead,
        packets,
        points,
    )

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "convert",
    "diff_captures",
    "diff_encapsulations",
    "flows",
    "inspect",
    "latency",
    "open_capture",
    "overhead",
    "packets",
    "points",
]


def __getattr__(name: str) -> object:
    """Load the API when it is first used: a command line that needs none of it starts faster."""
    if name in __all__:
        from . import _api

        return getattr(_api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

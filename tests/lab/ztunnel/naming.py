# SPDX-License-Identifier: Apache-2.0
"""The headers of a CONNECT and of its answer (zt src/proxy/{outbound,h2}.rs, src/baggage.rs)."""

from __future__ import annotations

import secrets

from tests.lab.ztunnel.config import Address, Config, Workload, format_address
from tests.lab.ztunnel.stream import Headers


def baggage(workload: Workload, cluster: str) -> str:
    """Return the description of a workload, as W3C baggage."""
    return (
        f"k8s.cluster.name={cluster},k8s.namespace.name={workload.namespace},"
        f"k8s.{workload.kind}.name={workload.name},"
        f"service.name={workload.name},service.version=v1"
    )


def traceparent() -> str:
    """Return a new W3C trace context, not sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def forwarded(client: Address, service: str, config: Config) -> str:
    """Return who the client is: RFC 7239, with the port from 1.22 on.

    service: host name of the Service the client addressed; empty for a pod.
    """
    host = f"[{client[0]}]" if ":" in client[0] else client[0]
    if not config.forwarded_port:
        # zt 1.18-1.21, src/proxy/outbound.rs: format!("for={}", ip); RFC 7239 quotes brackets.
        return f'for="{host}"' if ":" in host else f"for={host}"
    told = f'for="{format_address(client)}"'
    return f"{told};host={service}" if service else told


def connect_headers(
    authority: str, source: Workload | None, client_told: str, trace: str, cluster: str
) -> Headers:
    """Return the headers of a CONNECT in ztunnel's order."""
    headers = [(":method", "CONNECT"), (":authority", authority)]
    if source is not None:
        headers.append(("baggage", baggage(source, cluster)))
    headers.append(("forwarded", client_told))
    headers.append(("traceparent", trace))
    return headers


def response_headers(status: int, server: Workload | None, config: Config) -> Headers:
    """Return the headers of an answer."""
    headers = [(":status", str(status))]
    if status == 200 and server is not None and config.behaviour.response_baggage:
        headers.append(("baggage", baggage(server, config.cluster)))
    return headers

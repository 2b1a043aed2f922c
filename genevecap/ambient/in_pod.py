# SPDX-License-Identifier: Apache-2.0
"""In-pod redirection (Istio 1.21 and later, today's default): ztunnel's sockets are in the pod.

istio/istio cni/pkg/iptables/iptables.go, tags 1.21 to 1.31: OUTPUT `REDIRECT` to 127.0.0.1:15001
(`[::1]:15001`) on the pod's `lo`; replies there carry the original destination as their source.
cni/pkg/nodeagent: TCP from node-local sockets to enrolled pods is translated to 169.254.7.127.
"""

from __future__ import annotations

from . import OUTBOUND_PORT, RedirectMode, Signs

LOOPBACKS = ("127.0.0.1", "::1")


class InPod(RedirectMode):
    """Traffic is redirected inside each pod's own network namespace."""

    name = "in-pod"
    title = "in-pod redirection"
    versions = "1.21 and later"

    @classmethod
    def recognise(cls, signs: Signs) -> tuple[str, ...]:
        """See `RedirectMode`."""
        evidence = []
        redirected = [
            flow
            for flow in signs.flows
            if flow.destination_port == OUTBOUND_PORT and flow.destination in LOOPBACKS
        ]
        if redirected:
            least = "at least " if OUTBOUND_PORT in signs.more_flows else ""
            evidence.append(
                f"{least}{len(redirected)} flows redirected to {redirected[0].destination}:"
                f"{OUTBOUND_PORT} inside a pod, the first from {redirected[0].source}"
            )
        if signs.snat_flows:
            flow = signs.snat_flows[0]
            evidence.append(
                f"{len(signs.snat_flows)} one-way flows of node-local sources translated for "
                f"enrolled pods ({flow.source} to {flow.destination})"
            )
        return tuple(evidence)

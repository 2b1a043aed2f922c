# SPDX-License-Identifier: Apache-2.0
"""Redirect modes: one module each, with what Istio sets up on nodes and in pods.

A module has TOOLS and HEADERS (programs and files it needs), install(lab, scenario),
proxies(scenario) and interfaces(scenario), which names the devices it adds, by namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.mesh.modes import ebpf, in_pod, iptables_geneve

if TYPE_CHECKING:
    from types import ModuleType

BY_NAME: dict[str, ModuleType] = {
    "in-pod": in_pod,
    "iptables-geneve": iptables_geneve,
    "ebpf": ebpf,
}

# SPDX-License-Identifier: Apache-2.0
"""eBPF redirection, as istio 1.20 has it with `redirectMode=ebpf`.

Source: istio 1.20, `cni/pkg/ebpf/server/redirectionServer_linux.go` (what is attached where) and
`cni/pkg/ambient/net_linux.go` (CreateEBPFRulesWithinNodeProxyNS). The programs are the lab's own:
`redirect.bpf.c`, compiled for each node.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.mesh import topology as net
from tests.lab.mesh.proxies import Proxy
from tests.lab.namespaces import LabError, LabUnavailable

if TYPE_CHECKING:
    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Pod
    from tests.lab.namespaces import Lab

TOOLS = ("clang", "tc", "sysctl")
HEADERS = (Path("/usr/include/bpf/bpf_helpers.h"), Path("/usr/include/linux/bpf.h"))
"""Debian: libbpf-dev and linux-libc-dev."""

_SOURCE = Path(__file__).with_name("redirect.bpf.c")
_MULTIARCH = "/usr/include/x86_64-linux-gnu"
"""Where Debian keeps asm/ for a compiler that targets another machine."""
_ZTUNNEL_ROUTING = (
    "rule add priority 20000 fwmark 0x400/0xfff lookup 100",
    "route add local 0.0.0.0/0 dev lo table 100",
)
"""What got the programs' mark in ztunnel's pod is for ztunnel."""


def install(lab: Lab, scenario: Scenario) -> None:
    """Compile for each node, attach to pods' and ztunnel's veths, set up ztunnel's routes."""
    for ztunnel in net.ZTUNNELS:
        members = scenario.mesh.members_of(ztunnel.node)
        program = _compile(lab, ztunnel, members)
        broken = not scenario.intercepts and ztunnel.node == 1
        for pod in () if broken else members:
            _attach(lab, pod.node_name, pod.veth, "ingress", program, "app_outbound")
            _attach(lab, pod.node_name, pod.veth, "egress", program, "app_inbound")
        _attach(lab, ztunnel.node_name, ztunnel.veth, "ingress", program, "ztunnel_host_ingress")
        _attach(lab, ztunnel.name, "eth0", "ingress", program, "ztunnel_tproxy")
        lab.run(ztunnel.node_name, "sysctl", "-qw", f"net.ipv4.conf.{ztunnel.veth}.accept_local=1")
        for rule in _ZTUNNEL_ROUTING:
            lab.run(ztunnel.name, "ip", *rule.split())


def definitions(
    ztunnel: Pod, members: tuple[Pod, ...], interface_indices: dict[str, int]
) -> tuple[str, ...]:
    """Return the macros `redirect.bpf.c` asks for."""
    pods = " ".join(
        f"POD({_number(pod.address())},{interface_indices[pod.veth]},{_octets(pod.mac)})"
        for pod in members
    )
    return (
        f"HOST_IP={_number(net.gateway(ztunnel.node))}",
        f"ZTUNNEL_IFINDEX={interface_indices[ztunnel.veth]}",
        f"ZTUNNEL_MAC={_octets(ztunnel.mac)}",
        f"PODS(POD)={pods}",
    )


def _number(address: str) -> str:
    return f"0x{bytes(map(int, address.split('.'))).hex()}"


def _octets(mac: str) -> str:
    return ",".join(f"0x{octet}" for octet in mac.split(":"))


def _compile(lab: Lab, ztunnel: Pod, members: tuple[Pod, ...]) -> Path:
    links = json.loads(lab.run(ztunnel.node_name, "ip", "-json", "link"))
    indices = {link["ifname"]: link["ifindex"] for link in links}
    program = lab.folder / f"redirect-{ztunnel.node_name}.o"
    macros = [f"-D{one}" for one in definitions(ztunnel, members, indices)]
    flags = ["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", f"-I{_MULTIARCH}"]
    try:
        lab.run(None, "clang", *flags, *macros, "-c", str(_SOURCE), "-o", str(program))
    except LabError as error:
        if "file not found" in str(error):
            raise LabUnavailable(
                f"headers are missing (libbpf-dev, linux-libc-dev): {error}"
            ) from error
        raise
    return program


def _attach(
    lab: Lab, namespace: str, interface: str, side: str, program: Path, function: str
) -> None:
    if "clsact" not in lab.run(namespace, "tc", "qdisc", "show", "dev", interface):
        lab.run(namespace, "tc", "qdisc", "add", "dev", interface, "clsact")
    lab.run(namespace, "tc", "filter", "add", "dev", interface, side, "bpf", "direct-action",
            "object-file", str(program), "section", f"tc/{function}")  # fmt: skip


def proxies(scenario: Scenario) -> tuple[Proxy, ...]:
    """Return a ztunnel per node, in its own pod."""
    return tuple(
        Proxy(name=pod.name, namespace=pod.name, node=pod.node,
              original_destination="sockname", same_node_in_memory=True,
              identity=scenario.mesh.members_of(pod.node)[0].identity)
        for pod in net.ZTUNNELS
    )  # fmt: skip


def interfaces(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return nothing: this mode adds no device."""
    return {}

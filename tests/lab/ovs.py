# SPDX-License-Identifier: Apache-2.0
"""Open vSwitch with its userspace datapath, one instance per namespace.

Each instance has a database, sockets and logs of its own in the lab's folder: a switch that runs on
the host is neither used nor seen. The userspace datapath needs no kernel module and sends Geneve
itself; it finds the way to the other tunnel endpoint through a bridge that holds the underlay.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.namespaces import LabUnavailable, wait_until
from tests.lab.topology import configure

if TYPE_CHECKING:
    from tests.lab.namespaces import Lab

TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl")
UNDERLAY_BRIDGE = "br-ex"
OVERLAY_BRIDGE = "br-int"
TUNNEL_PORT = "ovn-g0"

_FOLDER_VARIABLES = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
_SCHEMAS = (
    Path("/usr/share/openvswitch/vswitch.ovsschema"),
    Path("/usr/local/share/openvswitch/vswitch.ovsschema"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelOption:
    """One Geneve option the switch may send, bound to a metadata field of OpenFlow."""

    option_class: int
    option_type: int
    """The whole octet, critical bit included."""
    data_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One node's two bridges, wired as OVN wires them."""

    namespace: str
    underlay_interface: str
    underlay_mac: str
    """Not that of the interface: its own kernel would take the packets for itself as well and
    answer Geneve with ICMP port unreachable."""
    underlay_address: str
    """With prefix length."""
    remote_address: str
    pod_interfaces: tuple[str, ...]
    options: tuple[TunnelOption, ...]
    """Option i is `tun_metadata<i>` in `flows`."""
    flows: tuple[str, ...]
    """In the form of `ovs-ofctl add-flow`, ports by name."""
    settings: dict[str, str] = field(default_factory=lambda: {"csum": "true"})
    """Further options of the tunnel port; OVN sends the outer UDP checksum."""


class OpenVSwitch:
    """A running instance; make one with `start_switch`."""

    def __init__(self, lab: Lab, namespace: str) -> None:
        self._lab = lab
        self._namespace = namespace
        self._folder = lab.folder / f"ovs-{namespace}"
        self._folder.mkdir()
        self._database = self._folder / "db.sock"
        # Without these, management sockets would lie beside those of the host's own switch.
        self._environment = dict.fromkeys(_FOLDER_VARIABLES, str(self._folder))

    def start(self) -> None:
        """Start the database and the switch and wait until both answer."""
        schema = next((path for path in _SCHEMAS if path.exists()), None)
        if schema is None:
            raise LabUnavailable("Open vSwitch's vswitch.ovsschema was not found")
        self._lab.run(None, "ovsdb-tool", "create", str(self._folder / "conf.db"), str(schema))
        self._start(
            "ovsdb-server", str(self._folder / "conf.db"), f"--remote=punix:{self._database}"
        )
        wait_until(self._database.exists, f"ovsdb-server in {self._namespace}")
        self.configure("--no-wait", "init")
        self._start("ovs-vswitchd", f"unix:{self._database}")

    def _start(self, program: str, *arguments: str) -> None:
        self._lab.start(
            self._namespace,
            program,
            *arguments,
            f"--unixctl={self._folder / program}.ctl",
            log=self._folder / f"{program}.log",
            environment=self._environment,
        )

    def configure(self, *command: str) -> None:
        """Run ovs-vsctl, which returns once the switch has done it."""
        self._lab.run(
            self._namespace, "ovs-vsctl", f"--db=unix:{self._database}", "--timeout=15", *command,
            environment=self._environment,
        )  # fmt: skip

    def openflow(self, command: str, bridge: str, argument: str) -> None:
        """Run ovs-ofctl on a bridge of this instance."""
        self._lab.run(
            self._namespace, "ovs-ofctl", "-O", "OpenFlow15", command, bridge, argument,
            environment=self._environment,
        )  # fmt: skip


def start_switch(lab: Lab, switch: Switch) -> OpenVSwitch:
    """Start Open vSwitch in the node's namespace and wire it as `switch` says."""
    instance = OpenVSwitch(lab, switch.namespace)
    instance.start()
    instance.configure(
        *_add_bridge(UNDERLAY_BRIDGE, "fail_mode=standalone"),
        *f"-- set bridge {UNDERLAY_BRIDGE} other-config:hwaddr={switch.underlay_mac}".split(),
        *f"-- add-port {UNDERLAY_BRIDGE} {switch.underlay_interface}".split(),
    )
    instance.configure(
        *_add_bridge(OVERLAY_BRIDGE, "fail_mode=secure"),
        *f"-- add-port {OVERLAY_BRIDGE} {TUNNEL_PORT}".split(),
        *f"-- set interface {TUNNEL_PORT} type=geneve options:key=flow".split(),
        f"options:remote_ip={switch.remote_address}",
        *(f"options:{name}={value}" for name, value in switch.settings.items()),
    )
    for interface in switch.pod_interfaces:
        instance.configure("add-port", OVERLAY_BRIDGE, interface)
    instance.openflow("add-tlv-map", OVERLAY_BRIDGE, _tlv_map(switch.options))
    for flow in switch.flows:
        instance.openflow("add-flow", OVERLAY_BRIDGE, flow)
    configure(lab, switch.namespace, UNDERLAY_BRIDGE, (switch.underlay_address,))
    return instance


def _add_bridge(name: str, fail_mode: str) -> list[str]:
    return f"add-br {name} -- set bridge {name} datapath_type=netdev {fail_mode}".split()


def _tlv_map(options: tuple[TunnelOption, ...]) -> str:
    return ",".join(
        f"{{class={option.option_class:#06x},type={option.option_type:#04x},"
        f"len={option.data_bytes}}}->tun_metadata{index}"
        for index, option in enumerate(options)
    )

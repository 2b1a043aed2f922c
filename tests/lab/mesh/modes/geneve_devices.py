# SPDX-License-Identifier: Apache-2.0
"""Geneve devices in a namespace: the kernel's where it has them, else TAPs with `geneve_tap.py`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.mesh import programs
from tests.lab.namespaces import LabError
from tests.lab.topology import configure

if TYPE_CHECKING:
    from tests.lab.namespaces import Lab

_TAP = Path(__file__).with_name("geneve_tap.py")
_NO_SUCH_DEVICES = ("Unknown device type", "not supported")


@dataclass(frozen=True, slots=True, kw_only=True)
class Geneve:
    """One device."""

    name: str
    vni: int
    mac: str
    address: str
    """With prefix length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The devices of one namespace; all have the same ends and UDP port."""

    namespace: str
    local: str
    remote: str
    port: int
    mtu_bytes: int
    devices: tuple[Geneve, ...]


def add(lab: Lab, endpoint: Endpoint) -> None:
    """Make all devices of an endpoint, with addresses, and set them up."""
    if not _add_to_kernel(lab, endpoint):
        devices = [f"{one.name}:{one.vni}:{one.mac}" for one in endpoint.devices]
        ends = (str(endpoint.port), endpoint.local, endpoint.remote)
        programs.start(lab, endpoint.namespace, _TAP, *ends, *devices)
    for one in endpoint.devices:
        mtu_bytes = str(endpoint.mtu_bytes)
        lab.run(endpoint.namespace, "ip", "link", "set", one.name, "mtu", mtu_bytes)
        configure(lab, endpoint.namespace, one.name, (one.address,))


def _add_to_kernel(lab: Lab, endpoint: Endpoint) -> bool:
    """Return whether the kernel made the devices; False where it has none of this type."""
    try:
        for one in endpoint.devices:
            # No UDP checksum, as Istio's devices have it over IPv4.
            command = (
                f"ip link add {one.name} address {one.mac} type geneve id {one.vni}"
                f" remote {endpoint.remote} dstport {endpoint.port} noudpcsum"
            )
            lab.run(endpoint.namespace, *command.split())
    except LabError as error:
        if any(sign in str(error) for sign in _NO_SUCH_DEVICES):
            return False
        raise
    return True

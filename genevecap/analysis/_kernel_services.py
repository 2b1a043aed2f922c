# SPDX-License-Identifier: Apache-2.0
# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# mypy: ignore-errors
"""Which service a flow is of, compiled: the registry of `services` as look-up tables."""

from __future__ import annotations

import cython
from cython.cimports.libc.stdint import uint16_t, uint32_t
from cython.cimports.libc.string import memset

from . import services

TCP = cython.declare(uint32_t, services.TCP)
UDP = cython.declare(uint32_t, services.UDP)
BY_PROTOCOL = cython.declare(uint16_t[256])
# By port plus one, so that 0 is no port.
TCP_PORTS = cython.declare(uint16_t[65537])
UDP_PORTS = cython.declare(uint16_t[65537])


def service_of(protocol, source, destination):
    """Return the bit of a flow, as `services.service_of` does; ports plus one, 0 for none."""
    service = 0
    if protocol == TCP:
        service = TCP_PORTS[destination] if TCP_PORTS[destination] else TCP_PORTS[source]
    elif protocol == UDP:
        service = UDP_PORTS[destination] if UDP_PORTS[destination] else UDP_PORTS[source]
    return service if service else BY_PROTOCOL[protocol]


def fill():
    """Copy the registry, once."""
    i: cython.int
    memset(TCP_PORTS, 0, cython.sizeof(TCP_PORTS))
    memset(UDP_PORTS, 0, cython.sizeof(UDP_PORTS))
    for i in range(256):
        BY_PROTOCOL[i] = services.service_of(i, -1, -1)
    for port, service in services.BY_PORT[services.TCP].items():
        i = port + 1
        TCP_PORTS[i] = service
    for port, service in services.BY_PORT[services.UDP].items():
        i = port + 1
        UDP_PORTS[i] = service


fill()

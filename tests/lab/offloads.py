# SPDX-License-Identifier: Apache-2.0
"""Switch an interface's send offloads and GRO off, as `ethtool -K NAME tx off …` does.

Run inside the interface's namespace: `python offloads.py NAME`. Written out because ethtool is
missing on many machines; the request is `struct ethtool_value` of linux/ethtool.h.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

_SIOCETHTOOL = 0x8946
_SET_TX_CHECKSUM, _SET_TSO, _SET_GSO, _SET_GRO = 0x17, 0x1F, 0x24, 0x2C
_INTERFACE_NAME_BYTES = 16
_IFREQ_BYTES = 40


def switch_off(interface: str) -> None:
    """Set all four to 0; raise OSError where the interface is missing or refuses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_SET_TX_CHECKSUM, _SET_TSO, _SET_GSO, _SET_GRO):
            value = array.array("B", struct.pack("=II", command, 0))
            address, _ = value.buffer_info()
            name = interface.encode().ljust(_INTERFACE_NAME_BYTES, b"\0")
            request = struct.pack("16sP", name, address).ljust(_IFREQ_BYTES, b"\0")
            fcntl.ioctl(control, _SIOCETHTOOL, request)


if __name__ == "__main__":
    switch_off(sys.argv[1])

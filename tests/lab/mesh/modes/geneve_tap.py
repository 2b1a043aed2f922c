# SPDX-License-Identifier: Apache-2.0
"""A Geneve endpoint in user space on TAP devices, where the kernel has no Geneve device.

`python geneve_tap.py PORT LOCAL REMOTE NAME:VNI:MAC…` makes one TAP device per NAME, wraps what
the kernel sends through it (RFC 8926 section 3.4: no options, protocol Ethernet) and unwraps what
arrives for its VNI. The UDP checksum is left out and the source port follows the inner flow, both
as Linux's own device does. It says `ready` when the devices exist.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_IFREQ = struct.Struct("16sH22x")
_FRAME_BYTES = 1 << 17
# Version 0, no options; no flags; Trans Ether Bridging; VNI and a reserved octet.
_GENEVE = struct.Struct("!BBHI")
_TRANSPARENT_ETHERNET_BRIDGING = 0x6558
_UDP = struct.Struct("!HHHH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV4_UDP = 17
_LOWEST_SOURCE_PORT = 1024


@dataclass(frozen=True, slots=True)
class Device:
    """One TAP device and its VNI."""

    name: str
    vni: int
    descriptor: int


def encapsulate(frame: bytes, vni: int, port: int, local: str, remote: str) -> bytes:
    """Return the IPv4 packet that carries `frame`; the kernel adds identification and checksum."""
    payload = _GENEVE.pack(0, 0, _TRANSPARENT_ETHERNET_BRIDGING, vni << 8) + frame
    udp = _UDP.pack(source_port(frame), port, _UDP.size + len(payload), 0)
    ends = (socket.inet_aton(local), socket.inet_aton(remote))
    size_bytes = _IPV4.size + _UDP.size + len(payload)
    return _IPV4.pack(0x45, 0, size_bytes, 0, 0, 64, _IPV4_UDP, 0, *ends) + udp + payload


def source_port(frame: bytes) -> int:
    """Return the outer source port of an inner frame: the same for all packets of a flow."""
    flow = frame[12:14] + frame[23:24] + frame[26:38]  # EtherType, protocol, addresses, ports
    return _LOWEST_SOURCE_PORT + zlib.crc32(flow) % (65_536 - _LOWEST_SOURCE_PORT)


def decapsulate(datagram: bytes) -> tuple[int, bytes] | None:
    """Return (VNI, inner frame) of a UDP payload, None where it is not Geneve over Ethernet."""
    if len(datagram) < _GENEVE.size:
        return None
    first, _, protocol, vni = _GENEVE.unpack_from(datagram)
    if first >> 6 or protocol != _TRANSPARENT_ETHERNET_BRIDGING:
        return None
    return vni >> 8, datagram[_GENEVE.size + (first & 0x3F) * 4 :]


def _open_tap(name: str, mac: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, _IFREQ.pack(name.encode(), _IFF_TAP | _IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "address", mac], check=True, timeout=10)
    return descriptor


class Endpoint:
    """The devices of one namespace, all with the same remote endpoint."""

    def __init__(self, port: int, local: str, remote: str, devices: list[Device]) -> None:
        self._port, self._local, self._remote = port, local, remote
        self._by_vni = {device.vni: device for device in devices}
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listener.bind((local, port))
        self._listener.setblocking(False)
        # A raw socket, because every flow has a source port of its own.
        self._sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def run(self) -> None:
        """Pass frames both ways until the program is ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ, None)
            for device in self._by_vni.values():
                selector.register(device.descriptor, selectors.EVENT_READ, device)
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        self._receive()
                    else:
                        self._send(key.data)

    def _send(self, device: Device) -> None:
        try:
            frame = os.read(device.descriptor, _FRAME_BYTES)
        except BlockingIOError:
            return
        packet = encapsulate(frame, device.vni, self._port, self._local, self._remote)
        try:
            self._sender.sendto(packet, (self._remote, 0))
        except OSError as error:
            sys.stdout.write(f"not sent: {len(frame)} bytes of {device.name}: {error}\n")
            sys.stdout.flush()

    def _receive(self) -> None:
        try:
            datagram, (sender, _) = self._listener.recvfrom(_FRAME_BYTES)
        except BlockingIOError:
            return
        inner = decapsulate(datagram)
        if sender == self._remote and inner is not None and inner[0] in self._by_vni:
            # EIO while the device is not up yet: a device that is down receives nothing.
            with contextlib.suppress(OSError):
                os.write(self._by_vni[inner[0]].descriptor, inner[1])


def _main(port: str, local: str, remote: str, *specifications: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    devices = []
    for specification in specifications:
        name, vni, mac = specification.split(":", 2)
        devices.append(Device(name, int(vni), _open_tap(name, mac)))
    Endpoint(int(port), local, remote, devices).run()


if __name__ == "__main__":
    _main(*sys.argv[1:])

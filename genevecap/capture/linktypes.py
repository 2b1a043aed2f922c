# SPDX-License-Identifier: Apache-2.0
"""Names of link types (https://www.tcpdump.org/linktypes.html): data, not decoding."""

from __future__ import annotations

NULL = 0
ETHERNET = 1
LINUX_SLL = 113
LINUX_SLL2 = 276

LINK_TYPE_MASK = 0x03FF_FFFF
"""Of the pcap header's field; above it are the FCS length and its flag."""

_NAMES = {
    0: "NULL",
    1: "ETHERNET",
    6: "IEEE802_5",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    12: "RAW",
    14: "RAW",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    101: "RAW",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    108: "LOOP",
    113: "LINUX_SLL",
    117: "PFLOG",
    127: "IEEE802_11_RADIOTAP",
    147: "USER0",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    220: "USB_LINUX_MMAPPED",
    228: "IPV4",
    229: "IPV6",
    239: "NFLOG",
    251: "BLUETOOTH_LE_LL",
    253: "NETLINK",
    271: "VSOCK",
    276: "LINUX_SLL2",
}


def link_type_name(number: int) -> str:
    """Return the registered name of a link type, or `linktype-N`."""
    return _NAMES.get(number, f"linktype-{number}")

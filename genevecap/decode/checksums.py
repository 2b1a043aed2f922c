# SPDX-License-Identifier: Apache-2.0
"""Checksums of transport headers: right, wrong, or left to the network card.

RFC 1071, RFC 9293 section 3.1.  The sum of 16-bit words in one's complement is the number that all
octets are together, modulo 65,535.
"""

from __future__ import annotations

_MODULUS = 0xFFFF


def ones_sum(octets: bytes | bytearray) -> int:
    """Return the one's complement sum of 16-bit words: 0 to 65,534, where 0 is 65,535 too."""
    return int.from_bytes(octets + bytes(len(octets) % 2), "big") % _MODULUS


def pseudo_sum(addresses: bytes | bytearray, protocol: int, length_bytes: int) -> int:
    """Return the sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).

    addresses: source and destination as they stand in the IP header.
    """
    return (ones_sum(addresses) + protocol + length_bytes) % _MODULUS


def is_partial(field: int, pseudo: int, segment: bytes | bytearray) -> bool:
    """Tell whether a checksum is only begun: it is the pseudo-header's, not yet the segment's.

    field: the checksum as captured; pseudo: `pseudo_sum`; segment: the whole of it, field included.
    """
    return field % _MODULUS == pseudo and (pseudo + ones_sum(segment)) % _MODULUS != 0
